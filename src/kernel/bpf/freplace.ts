/**
 * Programs that take the place of a function of another program (BPF_PROG_TYPE_EXT). Models `bpf_tracing_prog_attach`
 * (kernel/bpf/syscall.c): the new function runs as part of the other program, in its context, and nobody guards it.
 */
import { type HelperDef, HelperFault } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { BpfLink } from './link.js';
import type { BpfProg } from './prog.js';

const ARGUMENTS = [1, 2, 3, 4, 5];
/** Instructions that a function may execute (as for any run). */
const FUEL = 100_000_000;

/** Throws `SyscallError`: ENOENT for a function that is not there, EBUSY for one that is replaced, EINVAL for an extension. */
export function attachFreplace(
  kernel: Machine,
  { prog }: BpfLink,
  target: { readonly prog: BpfProg; readonly fn: string },
): () => void {
  if (target.prog.type === prog.type)
    throw SyscallError.of('EINVAL', 'an extension cannot be extended', { symbol: prog.name });
  const { prog: other, fn } = target;
  const { text } = other;
  if (text === undefined)
    throw SyscallError.of('EINVAL', `${other.name} is a classic program`, { symbol: prog.name });
  const undo = text.replace(fn, callOf(kernel, prog));
  other.program = text.current;
  return () => {
    undo();
    other.program = text.current;
  };
}

/** A call that runs the program on its caller's arguments. */
function callOf(kernel: Machine, prog: BpfProg): HelperDef {
  const { engine, sched } = kernel;
  return {
    kind: 'flow',
    name: prog.name,
    *run(caller) {
      const args = ARGUMENTS.map((n) => caller.reg(n));
      const execution = engine.borrow();
      try {
        execution.start(prog.program, { args, fuel: FUEL });
        const result = yield* execution.drive(sched.interleaved ? kernel.insnQuantum : undefined);
        prog.stats.runs++;
        prog.stats.instructions += result.instructions;
        if (result.fault !== undefined) throw new HelperFault(`${prog.name}: ${result.fault.detail}`);
        return result.r0;
      } finally {
        engine.giveBack(execution);
      }
    },
  };
}
