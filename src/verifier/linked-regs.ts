/**
 * Registers and spilled registers that share an id hold the same number, or one a constant away: what a branch teaches
 * of one holds for all. Models `collect_linked_regs` and `sync_linked_regs` of Linux 6.18.
 */
import type { Verifier } from './context.js';
import { ADD_CONST, ADD_CONST32, copyReg, ID_MASK, type Reg, unlink } from './reg.js';
import { SCALAR_VALUE } from './reg-type.js';
import { addScalar, Scalar, setConst, syncBounds, zext32To64 } from './scalar/index.js';
import { type FuncState, frameInsnIdx, type LinkedReg, type VerifierState } from './state.js';

/** More than these are cut loose. */
const MAX_LINKED = 6;

const isLinked = (reg: Readonly<Reg>, id: number): boolean =>
  reg.type === SCALAR_VALUE && (reg.id & ID_MASK) === id;

function collect(found: LinkedReg[], frame: FuncState, index: number, isReg: boolean): void {
  if (found.length < MAX_LINKED) found.push({ frameno: frame.frameno, index, isReg });
  else unlink(isReg ? frame.reg(index) : frame.slot(index).reg!);
}

/** Registers that no path reads any more are left alone. */
export function collectLinked(v: Verifier, linkId: number, found: LinkedReg[]): void {
  const id = linkId & ID_MASK;
  const { state } = v;
  for (let i = state.curframe; i >= 0; i--) {
    const frame = state.frames[i]!;
    const liveRegs = v.aux.liveRegs[frameInsnIdx(state, i)]!;
    for (let r = 0; r < 10; r++) {
      if ((liveRegs & (1 << r)) !== 0 && isLinked(frame.peek(r), id)) collect(found, frame, r, true);
    }
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const slot = frame.peekSlot(spi)!;
      if (slot.reg !== null && slot.isSpilled && isLinked(slot.reg, id)) collect(found, frame, spi, false);
    }
  }
}

const delta = new Scalar();

/** Copies what is known of `known` to those linked with it. */
export function syncLinked(state: VerifierState, known: Reg, linked: readonly LinkedReg[]): void {
  for (const { frameno, index, isReg } of linked) {
    const frame = state.frames[frameno]!;
    const reg = isReg ? frame.reg(index) : frame.slot(index).reg;
    if (reg === null || reg === known || reg.type !== SCALAR_VALUE) continue;
    if ((reg.id & ID_MASK) !== (known.id & ID_MASK)) continue;
    // A distance of 32 bits says nothing of one of 64.
    if (((reg.id ^ known.id) & ADD_CONST) === ADD_CONST) continue;
    const plain = ((reg.id | known.id) & ADD_CONST) === 0;
    if (plain || reg.off === known.off) {
      copyReg(reg, known);
      continue;
    }
    const { off, id } = reg;
    setConst(delta, off - known.off);
    copyReg(reg, known);
    reg.off = off;
    reg.id = id;
    addScalar(reg, delta);
    if (((id | known.id) & ADD_CONST32) !== 0) zext32To64(reg);
    syncBounds(reg);
  }
}
