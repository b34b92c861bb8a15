/**
 * Programs that one place runs one after the other. Models `struct bpf_prog_array` and `bpf_prog_run_array`
 * (include/linux/bpf.h): the task is pinned, and the results are combined.
 */
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { BpfProg } from './prog.js';
import { pin, unpin } from './recursion.js';
import { type EventStart, runProgFlow } from './run-prog.js';

/** Runs them all; the results' low 32 bits, AND-ed together and with 1, as for events that programs may filter out. */
function* runArray(kernel: Machine, progs: readonly BpfProg[], start: EventStart): Flow<number> {
  let result = 1;
  for (const prog of [...progs]) result &= Number((yield* runProgFlow(kernel, prog, start)).r0 & 1n);
  return result;
}

/** The same with the task pinned, as the macros of include/linux/bpf.h do it. */
export function* runArrayPinned(kernel: Machine, progs: readonly BpfProg[], start: EventStart): Flow<number> {
  const { sched } = kernel;
  pin(sched, 'pinArray', 'bpf_prog_run_array');
  sched.current.rcuDepth++;
  const result = yield* runArray(kernel, progs, start);
  sched.current.rcuDepth--;
  unpin(sched, 'pinArray');
  yield* sched.resched();
  return result;
}
