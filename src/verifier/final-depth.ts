/**
 * Stack depths as the kernel reports them for an accepted program, after it rewrote it: an inlined `bpf_loop` and a timed
 * `may_goto` take room of their own, functions that no path reaches are gone. Models what `optimize_bpf_loop`,
 * `opt_remove_dead_code` and `do_misc_fixups` of Linux 6.18 do to the depths (kernel/bpf/verifier.c).
 */
import type { Verifier } from './context.js';
import { isLive, isMayGoto, remainingInsns } from './dead-code.js';

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
    const end = v.subprogEnd(s);
    for (const [i, aux] of v.aux.others) {
      if (i >= start && i < end && aux.loopInline === 'yes') inlinesLoop = true;
    }
    for (let i = start; i < end; i++) {
      if (remains[i] === 1 && isMayGoto(v.insns[i]!)) mayGoto = true;
    }
    let depth = stackDepth;
    if (inlinesLoop) depth = ((depth + 7) & ~7) + LOOP_STACK;
    if (mayGoto) depth += MAY_GOTO_STACK;
    depths.push(depth);
  });
  if (v.appendsHandler) depths.push(0);
  return depths;
}
