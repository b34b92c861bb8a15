/**
 * States in the log: registers and stack slots in Linux 6.18's notation (kernel/bpf/log.c,
 * `print_verifier_state`), source lines, instruction lines with the state behind them.
 */
import { MAX_BPF_REG } from '../isa/constants.js';
import type { Verifier } from './context.js';
import { dynptrText } from './dynptr/slots.js';
import { ITER_ACTIVE, iterDepth, iterState, iterText } from './iter/slots.js';
import { ADD_CONST, ID_MASK, type Reg } from './reg.js';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  NON_OWN_REF,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  regTypeText,
  SCALAR_VALUE,
} from './reg-type.js';
import { constValue, isConst, snumText, unumText, variableText } from './scalar/index.js';
import {
  type FuncState,
  SLOT_DYNPTR,
  SLOT_ITER,
  SLOT_SPILL,
  type StackSlot,
  type VerifierState,
} from './state.js';

const asIntN = BigInt.asIntN;
/** Log characters of slot types: invalid, spill, misc, zero, dynptr, iter, irq flag. */
const SLOT_CHARS = '?rm0dif';

function regText(v: Verifier, frame: FuncState, reg: Reg): string {
  const precise = reg.type === SCALAR_VALUE && (reg.precise || !v.capable) ? 'P' : '';
  if (reg.type === SCALAR_VALUE && isConst(reg)) return precise + snumText(asIntN(64, constValue(reg)));
  const name = regTypeText(reg.type);
  if (reg.type === PTR_TO_ARENA) return name;
  if (reg.type === PTR_TO_STACK) {
    const other = frame.frameno === reg.frameno ? '' : `[${reg.frameno}]`;
    if (isConst(reg)) return `fp${other}${snumText(asIntN(64, constValue(reg) + BigInt(reg.off)))}`;
    return `fp${other}(${attributes(reg)})`;
  }
  const struct = baseType(reg.type) === PTR_TO_BTF_ID && reg.btf !== null ? reg.btf.nameOf(reg.btfId) : '';
  return `${precise}${name}${struct}(${attributes(reg)})`;
}

function attributes(reg: Reg): string {
  const parts: string[] = [];
  const base = baseType(reg.type);
  const linked = (reg.id & ADD_CONST) !== 0;
  if (reg.id !== 0) {
    parts.push(`id=${reg.id & ID_MASK}${linked ? (reg.off < 0 ? `${reg.off}` : `+${reg.off}`) : ''}`);
  }
  if (reg.refObjId !== 0) parts.push(`ref_obj_id=${reg.refObjId}`);
  if ((reg.type & NON_OWN_REF) !== 0) parts.push('non_own_ref');
  if (
    (base === CONST_PTR_TO_MAP || base === PTR_TO_MAP_KEY || base === PTR_TO_MAP_VALUE) &&
    reg.map !== null
  ) {
    if (reg.map.name !== '') parts.push(`map=${reg.map.name}`);
    parts.push(`ks=${reg.map.keySize},vs=${reg.map.valueSize}`);
  }
  if (reg.type !== SCALAR_VALUE && reg.off !== 0) parts.push(`off=${snumText(BigInt(reg.off))}`);
  if (reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META) {
    parts.push(
      `r=${reg.range < 0 ? unumText(BigInt.asUintN(64, BigInt(reg.range))) : unumText(BigInt(reg.range))}`,
    );
  }
  if (base === CONST_PTR_TO_DYNPTR) parts.push(`type=${dynptrText(reg.extra)}`);
  if (base === PTR_TO_MEM) parts.push(`sz=${unumText(BigInt(reg.memSize))}`);
  if (isConst(reg)) {
    const value = asIntN(64, constValue(reg));
    if (value !== 0n) parts.push(`imm=${snumText(value)}`);
  } else {
    const variable = variableText(reg);
    if (variable !== '') parts.push(variable);
  }
  return parts.join(',');
}

function slotText(v: Verifier, frame: FuncState, slot: Readonly<StackSlot>, spi: number): string {
  let types = '';
  for (let i = 0; i < 8; i++) types += SLOT_CHARS[slot.typeAt(i)] ?? '?';
  const name = ` fp${-(spi + 1) * 8}=`;
  if (slot.typeAt(7) === SLOT_DYNPTR) return dynptrSlotText(frame, slot, spi);
  if (slot.typeAt(7) === SLOT_ITER) return iterSlotText(slot.reg!, name);
  if (!slot.isSpilled || slot.reg === null) return name + types;
  let first = 0;
  while (slot.typeAt(first) !== SLOT_SPILL) first++;
  return name + types.slice(0, first) + regText(v, frame, slot.reg);
}

/** Both slots of a dynptr print as one, when the upper one's turn is. */
function dynptrSlotText(frame: FuncState, slot: Readonly<StackSlot>, spi: number): string {
  if (slot.reg!.extra2 === 1) return '';
  const reg = frame.peekSlot(spi + 1)!.reg!;
  const parts: string[] = [];
  if (reg.id !== 0) parts.push(`id=${reg.id}`);
  if (reg.refObjId !== 0) parts.push(`ref_id=${reg.refObjId}`);
  if (reg.extra2 !== 0) parts.push(`dynptr_id=${reg.extra2}`);
  return ` fp${-(spi + 2) * 8}=dynptr_${dynptrText(reg.extra)}(${parts.join(',')})`;
}

function iterSlotText(reg: Reg, name: string): string {
  if (reg.refObjId === 0) return '';
  const state = iterState(reg) === ITER_ACTIVE ? 'active' : 'drained';
  const type = `iter_${iterText(reg.btf!, reg.btfId)}`;
  return `${name}${type}(ref_id=${reg.refObjId},state=${state},depth=${iterDepth(reg)})`;
}

/** Writes the state of one frame; only what changed since the last time, unless `all`. */
export function writeState(v: Verifier, state: VerifierState, frameno: number, all: boolean): void {
  const frame = state.frames[frameno]!;
  let text = frameno > 0 ? ` frame${frameno}:` : '';
  for (let i = 0; i < MAX_BPF_REG; i++) {
    const reg = frame.peek(i);
    if (reg.type === NOT_INIT) continue;
    if (!all && (v.scratchedRegs & (1 << i)) === 0) continue;
    text += ` R${i}=${regText(v, frame, reg)}`;
  }
  for (let spi = 0; spi < frame.slotCount; spi++) {
    const slot = frame.peekSlot(spi)!;
    if (slot.types !== 0 && (all || slotScratched(v, spi))) text += slotText(v, frame, slot, spi);
  }
  const ids = state.refs.map(({ id }) => id).filter((id) => id !== 0);
  if (ids.length > 0) text += ` refs=${ids.join(',')}`;
  if (frame.inCallback) text += ' cb';
  if (frame.inAsyncCallback) text += ' async_cb';
  v.log.write(`${text}\n`);
  if (!all) v.markClean();
}

function slotScratched(v: Verifier, spi: number): boolean {
  return spi < 32 ? (v.scratchedSlotsLo & (1 << spi)) !== 0 : (v.scratchedSlotsHi & (1 << (spi - 32))) !== 0;
}

/** What changed, behind the instruction that changed it (`print_insn_state`). */
export function writeInsnState(v: Verifier): void {
  if (v.prevLogPosition !== 0 && v.prevLogPosition === v.log.position) {
    v.log.reset(v.prevLogPosition - 1);
    const position = v.prevInsnTextLength;
    const target = (Math.max(position + 4, 40) + 7) & ~7;
    v.log.write(`${' '.repeat(Math.max(target - position - 1, 0))};`);
  } else {
    v.log.write(`${v.insnIdx}:`);
  }
  writeState(v, v.state, v.state.curframe, false);
}

/** The source line of an instruction, where it begins a new one. */
export function writeLine(v: Verifier, insn: number, prefix = '; '): void {
  const lines = v.request.lineInfo;
  if (lines === undefined || lines.length === 0) return;
  let index = lines.length - 1;
  while (index > 0 && lines[index]!.insnOff > insn) index--;
  const line = lines[index]!;
  if (v.prevLine === index) return;
  const previous = v.prevLine >= 0 ? lines[v.prevLine] : undefined;
  v.prevLine = index;
  if (previous !== undefined && previous.file === line.file && previous.line === line.line) return;
  const file = line.file.slice(line.file.lastIndexOf('/') + 1);
  v.log.write(`${prefix}${line.text.trimStart()} @ ${file}:${line.line}\n`);
}
