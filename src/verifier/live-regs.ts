/**
 * Which registers may still be read, before each instruction: an ordinary backward data-flow over the
 * whole program. Models `compute_live_registers` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { callSummary } from './helper-traits.js';
import { insnText } from './insn-text.js';

/** r0 to r5. */
export const CALLER_SAVED = 0x3f;
const ALL = 0xffff;

/** Fills `aux.liveRegs`. */
export function computeLiveRegisters(v: Verifier): void {
  const { insns, postorder, postorderCount, successors } = v;
  const use = new Uint16Array(insns.length);
  const def = new Uint16Array(insns.length);
  const before = v.aux.liveRegs;
  for (let i = 0; i < insns.length; i++) {
    use[i] = usedRegs(v, insns[i]!);
    def[i] = definedRegs(insns[i]!);
  }
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 0; i < postorderCount; i++) {
      const at = postorder[i]!;
      let after = 0;
      const n = successors.count[at]!;
      for (let s = 0; s < n; s++) after |= before[successors.at[2 * at + s]!]!;
      const next = (after & ~def[at]!) | use[at]!;
      if (next === before[at]) continue;
      before[at] = next;
      changed = true;
    }
  }
  if (v.log.chatty) writeLiveRegs(v);
}

function writeLiveRegs(v: Verifier): void {
  v.log.write('Live regs before insn:\n');
  for (let i = 0; i < v.insns.length; i++) {
    const scc = v.aux.scc[i]!;
    const liveRegs = v.aux.liveRegs[i]!;
    let text = scc === 0 ? '    ' : `${`${scc}`.padStart(3)} `;
    text += `${`${i}`.padStart(3)}: `;
    for (let reg = 0; reg < 10; reg++) text += (liveRegs & (1 << reg)) === 0 ? '.' : `${reg}`;
    v.log.write(`${text} ${insnText(v, i)}\n`);
    if (v.insns[i]!.code === C.LD_IMM64) i++;
  }
}

function usedRegs(v: Verifier, insn: Insn): number {
  const src = 1 << insn.src;
  const dst = 1 << insn.dst;
  const mode = C.bpfMode(insn.code);
  switch (C.bpfClass(insn.code)) {
    case C.BPF_LD:
      return insn.code === C.LD_IMM64 ? 0 : ALL;
    case C.BPF_LDX:
      return mode === C.BPF_MEM || mode === C.BPF_MEMSX ? src : ALL;
    case C.BPF_ST:
      return mode === C.BPF_MEM ? dst : ALL;
    case C.BPF_STX:
      return usedByStx(insn, mode, dst, src);
    case C.BPF_ALU:
    case C.BPF_ALU64:
      return usedByAlu(insn, dst, src);
    default:
      return usedByJump(v, insn, dst, src);
  }
}

function usedByStx(insn: Insn, mode: number, dst: number, src: number): number {
  if (mode === C.BPF_MEM) return dst | src;
  if (mode !== C.BPF_ATOMIC) return ALL;
  if (insn.imm === C.BPF_CMPXCHG) return 1 | dst | src;
  return insn.imm === C.BPF_LOAD_ACQ ? src : dst | src;
}

function usedByAlu(insn: Insn, dst: number, src: number): number {
  const op = C.bpfOp(insn.code);
  if (op === C.BPF_END) return dst;
  const immediate = C.bpfSrc(insn.code) === C.BPF_K;
  if (op === C.BPF_MOV) return immediate ? 0 : src;
  return immediate ? dst : dst | src;
}

function usedByJump(v: Verifier, insn: Insn, dst: number, src: number): number {
  switch (C.bpfOp(insn.code)) {
    case C.BPF_JA:
    case C.BPF_JCOND:
      return 0;
    case C.BPF_EXIT:
      return 1;
    case C.BPF_CALL: {
      const call = callSummary(v, insn);
      return call === undefined ? CALLER_SAVED & ~1 : ((1 << (call.params + 1)) - 1) & ~1;
    }
    default:
      return C.bpfSrc(insn.code) === C.BPF_K ? dst : dst | src;
  }
}

function definedRegs(insn: Insn): number {
  const dst = 1 << insn.dst;
  const mode = C.bpfMode(insn.code);
  switch (C.bpfClass(insn.code)) {
    case C.BPF_LD:
      return insn.code === C.LD_IMM64 ? dst : 0;
    case C.BPF_LDX:
      return mode === C.BPF_MEM || mode === C.BPF_MEMSX ? dst : 0;
    case C.BPF_STX:
      return mode === C.BPF_ATOMIC ? definedByAtomic(insn, dst) : 0;
    case C.BPF_ALU:
    case C.BPF_ALU64:
      return dst;
    case C.BPF_JMP:
    case C.BPF_JMP32:
      return C.bpfOp(insn.code) === C.BPF_CALL ? CALLER_SAVED : 0;
    default:
      return 0;
  }
}

function definedByAtomic(insn: Insn, dst: number): number {
  if (insn.imm === C.BPF_CMPXCHG) return 1;
  if (insn.imm === C.BPF_LOAD_ACQ) return dst;
  if (insn.imm === C.BPF_STORE_REL) return 0;
  return (insn.imm & C.BPF_FETCH) !== 0 ? 1 << insn.src : 0;
}
