/**
 * Spills and fills around calls that clobber few registers: where a compiler added them, the kernel may take
 * them out again, and the function's stack shrinks. Only the stack depth shows it. Models
 * `mark_fastcall_patterns` and its companions of Linux 6.18 (kernel/bpf/verifier.c).
 */

import { BPF_CALL, BPF_DW, BPF_JMP, BPF_LDX, BPF_MEM, BPF_STX } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Subprog, Verifier } from './context.js';
import { callSummary } from './helper-traits.js';
import { FASTCALL_PATTERN } from './insn-facts.js';
import { CALLER_SAVED } from './live-regs.js';

const SPILL = BPF_STX | BPF_MEM | BPF_DW;
const FILL = BPF_LDX | BPF_MEM | BPF_DW;
const FRAME_POINTER = 10;
const NEVER = -0x8000;

export function markFastcallPatterns(v: Verifier): void {
  v.subprogs.forEach((subprog, s) => {
    const end = v.subprogEnd(s);
    let lowest = 0;
    for (let i = subprog.start; i < end; i++) {
      const insn = v.insns[i]!;
      if (insn.code === SPILL && insn.dst === FRAME_POINTER) lowest = Math.min(lowest, insn.off);
    }
    for (let i = subprog.start; i < end; i++) {
      if (v.insns[i]!.code === (BPF_JMP | BPF_CALL)) markAround(v, subprog, i, lowest);
    }
  });
}

function markAround(v: Verifier, subprog: Subprog, call: number, lowest: number): void {
  const summary = callSummary(v, v.insns[call]!);
  if (summary === undefined) return;
  const args = ((1 << (summary.params + 1)) - 1) & ~1;
  const clobbered = summary.returnsVoid ? args : args | 1;
  let expected = CALLER_SAVED & ~clobbered;
  let pairs = 0;
  for (let off = lowest; pairs < 6; off += 8) {
    const stx = v.insns[call - pairs - 1];
    const ldx = v.insns[call + pairs + 1];
    if (stx === undefined || ldx === undefined || !isPair(stx, ldx, off)) break;
    if ((expected & (1 << stx.src)) === 0) break;
    expected &= ~(1 << stx.src);
    v.aux.set(call - pairs - 1, FASTCALL_PATTERN);
    v.aux.set(call + pairs + 1, FASTCALL_PATTERN);
    pairs++;
  }
  if (pairs === 0) return;
  if (summary.fastcall) v.aux.of(call).fastcallSpills = pairs;
  else subprog.keepFastcallStack = true;
  subprog.fastcallStackOff = Math.min(subprog.fastcallStackOff, lowest + 8 * pairs);
}

function isPair(stx: Insn, ldx: Insn, off: number): boolean {
  return (
    stx.code === SPILL &&
    ldx.code === FILL &&
    stx.dst === FRAME_POINTER &&
    ldx.src === FRAME_POINTER &&
    stx.src === ldx.dst &&
    stx.off === off &&
    ldx.off === off
  );
}

/** An access below the pattern's slots from elsewhere forbids the rewrite (`check_fastcall_stack_contract`). */
export function checkFastcallContract(v: Verifier, subprogIndex: number, insn: number, off: number): void {
  const subprog = v.subprogs[subprogIndex]!;
  if (subprog.fastcallStackOff <= off || v.aux.has(insn, FASTCALL_PATTERN)) return;
  subprog.fastcallStackOff = NEVER;
  const end = v.subprogEnd(subprogIndex);
  for (let i = subprog.start; i < end; i++) v.aux.flags[i]! &= ~FASTCALL_PATTERN;
  for (const [i, aux] of v.aux.others) if (i >= subprog.start && i < end) aux.fastcallSpills = 0;
}

/** Stack depth without what can be taken out (`remove_fastcall_spills_fills`). */
export function shrinkFastcallStack(v: Verifier): void {
  v.subprogs.forEach((subprog, s) => {
    let modified = false;
    const end = v.subprogEnd(s);
    for (const [i, aux] of v.aux.others) {
      if (i >= subprog.start && i < end && aux.fastcallSpills > 0) modified = true;
    }
    if (modified && !subprog.keepFastcallStack) subprog.stackDepth = -subprog.fastcallStackOff;
  });
}
