/** Runs a program to its end on a context, and turns a fault into an error that names the source line. */
import type { Fault, RunResult, StartOptions } from '../../vm/index.js';
import { ProgramFaultError } from '../errors.js';
import type { CallchainInput } from '../events/callchain.js';
import type { Kernel } from '../kernel.js';
import { type BpfProg, sourcePlace } from './prog.js';

/** Instructions that a run may execute where nothing else is said. */
export const DEFAULT_RUN_FUEL = 100_000_000;

/** Tells when the repeated part of a test run begins and ends; for whoever measures. */
export interface RunTimer {
  enter(): void;
  leave(): void;
}

export interface RunOptions {
  readonly repeat?: number;
  /** Instructions that a single run may execute. */
  readonly fuel?: number;
  readonly timer?: RunTimer;
  /** Return addresses that `bpf_get_stackid` and `bpf_get_stack` find, innermost first. */
  readonly callchain?: CallchainInput;
}

/** What came of the last of `repeat` runs, with the instructions of all. Throws `ProgramFaultError`. */
export function runProg(kernel: Kernel, prog: BpfProg, start: StartOptions, options: RunOptions): RunResult {
  const { repeat = 1, fuel = DEFAULT_RUN_FUEL, timer } = options;
  const { engine } = kernel;
  kernel.callchain.set(options.callchain);
  const startOptions = { ...start, fuel };
  const { net } = kernel;
  let instructions = 0;
  const execution = engine.borrow();
  try {
    timer?.enter();
    for (let i = 0; i < Math.max(1, repeat); i++) {
      net.redirect = undefined;
      execution.start(prog.program, startOptions);
      const exited = execution.complete();
      instructions += execution.instructions;
      if (!exited) throw faultOf(kernel, prog, execution.fault!);
    }
    timer?.leave();
    return { r0: execution.reg(0), instructions };
  } finally {
    engine.giveBack(execution);
  }
}

/** The error for a fault; `source` is the source line it lies in, where that is known. */
export function faultError(fault: Fault, source?: string): ProgramFaultError {
  const code = `FAULT_${fault.kind.toUpperCase().replaceAll('-', '_')}`;
  const detail = source === undefined ? fault.detail : `${fault.detail} (${source})`;
  return new ProgramFaultError(code, detail, { symbol: fault.program, insn: fault.insn });
}

/** The fault may lie in a program that a tail call led to. */
function faultOf(kernel: Kernel, prog: BpfProg, fault: Fault): ProgramFaultError {
  const stopped = fault.program === prog.name ? prog : (kernel.bpf.progByName(fault.program) ?? prog);
  return faultError(fault, sourcePlace(stopped.lineInfo, fault.insn));
}
