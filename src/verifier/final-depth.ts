/**
 * Stack depths as the kernel reports them for an accepted program, after it rewrote it: an inlined `bpf_loop` and a timed
 * `may_goto` take room of their own, functions that no path reaches are gone. Models what `optimize_bpf_loop`,
 * `opt_remove_dead_code` and `do_misc_fixups` of Linux 6.18 do to the depths (kernel/bpf/verifier.c).
 */
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';

/** Three registers that the inlined loop saves. */
const LOOP_STACK = 24;
/** Count and time stamp. */
const MAY_GOTO_STACK = 16;

export function finalStackDepths(v: Verifier): number[] {
  const remains = remainingInsns(v);
  const depths: number[] = [];
  v.subprogs.forEach(({ start, stackDepth }, s) => {
    if (!isLive(v, start)) return;
    let inlinesLoop = false;
    let mayGoto = false;
    for (let i = start; i < v.subprogEnd(s); i++) {
      if (v.aux[i]!.loopInline === 'yes') inlinesLoop = true;
      if (remains[i] === 1 && isMayGoto(v.insns[i]!)) mayGoto = true;
    }
    let depth = stackDepth;
    if (inlinesLoop) depth = ((depth + 7) & ~7) + LOOP_STACK;
    if (mayGoto) depth += MAY_GOTO_STACK;
    depths.push(depth);
  });
  return depths;
}

const isMayGoto = (insn: Insn): boolean => insn.code === (C.BPF_JMP | C.BPF_JCOND) && insn.src === 0;

const isLdImm64 = (insn: Insn | undefined): boolean => insn?.code === (C.BPF_LD | C.BPF_IMM | C.BPF_DW);

const isLive = (v: Verifier, i: number): boolean =>
  v.aux[i]!.seen || (i > 0 && isLdImm64(v.insns[i - 1]) && v.aux[i - 1]!.seen);

/** 1 for what is left once dead code and jumps to the next instruction are removed. */
function remainingInsns(v: Verifier): Uint8Array {
  const { insns } = v;
  const remains = new Uint8Array(insns.length);
  for (let i = insns.length - 1; i >= 0; i--) {
    if (isLive(v, i) && !goesNowhere(v, remains, i)) remains[i] = 1;
  }
  return remains;
}

/** A jump over nothing, be it because the other way is dead. */
function goesNowhere(v: Verifier, remains: Uint8Array, i: number): boolean {
  const insn = v.insns[i]!;
  const jmpClass = C.bpfClass(insn.code);
  if (jmpClass !== C.BPF_JMP && jmpClass !== C.BPF_JMP32) return false;
  const op = C.bpfOp(insn.code);
  if (op === C.BPF_CALL || op === C.BPF_EXIT) return false;
  const off = insn.code === (C.BPF_JMP32 | C.BPF_JA) ? insn.imm : insn.off;
  const target = i + 1 + off;
  const always = op === C.BPF_JA;
  if (!always && !isLive(v, target)) return true;
  if (!always && !isMayGoto(insn) && isLive(v, i + 1)) return false;
  return off >= 0 && !remains.subarray(i + 1, target).includes(1);
}
