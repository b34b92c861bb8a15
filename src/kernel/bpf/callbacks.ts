/**
 * Calls of a program's functions from outside a run of it: timers, work queues, task work. The function runs as a program
 * of its own would, where the caller is; a fault is reported as the kernel's oops.
 */
import { BPF_CALL, BPF_EXIT, BPF_JMP } from '../../isa/constants.js';
import type { HelperDef, Program, RegValue } from '../../vm/index.js';
import { ProgramFaultError } from '../errors.js';
import type { Machine } from '../machine.js';
import { type Flow, type Pause, point } from '../sched/flow.js';

const CALL = 1;
/** Instructions that a callback may execute. */
const FUEL = 100_000_000;
const AFTER_INSNS = point('between instructions of a callback');

export class Callbacks {
  private program: Program | undefined;
  private target = 0n;
  private args: readonly RegValue[] = [];

  constructor(private readonly kernel: Machine) {}

  /**
   * r0 of the function at an address, as `BPF_PSEUDO_FUNC` gives it; 0 where it was stopped. `around` is called before and
   * after every step, for what has to be in place meanwhile.
   */
  *run(address: bigint, args: readonly RegValue[], around: (entering: boolean) => void): Flow<bigint> {
    const { engine, sched, clock } = this.kernel;
    this.program ??= this.make();
    const execution = engine.borrow();
    let charged = 0;
    try {
      execution.start(this.program, { fuel: FUEL });
      this.target = address;
      this.args = args;
      const steps = execution.drive(sched.interleaved ? this.kernel.insnQuantum : undefined);
      for (;;) {
        around(true);
        clock.publish();
        const step = steps.next();
        around(false);
        sched.charge((execution.instructions - charged) * sched.costs.insn);
        charged = execution.instructions;
        if (step.done !== true) {
          yield step.value === undefined ? AFTER_INSNS : (step.value as Pause);
          continue;
        }
        const { r0, fault } = step.value;
        if (fault === undefined) return r0;
        const { detail, program, insn } = fault;
        const error = new ProgramFaultError('FAULT_CALLBACK', detail, { symbol: program, insn });
        sched.console.splat('bug', [
          `BUG: bpflab: a callback of program ${program} was stopped`,
          error.message,
        ]);
        return 0n;
      }
    } finally {
      engine.giveBack(execution);
    }
  }

  /** A program that does nothing but to call. */
  private make(): Program {
    const insn = (op: number, imm: number) => ({ code: BPF_JMP | op, dst: 0, src: 0, off: 0, imm });
    const helper: HelperDef = {
      kind: 'flow',
      name: 'callback',
      run: (caller) => caller.driveFunction(this.target, this.args),
    };
    return this.kernel.engine.load(
      { name: 'callback', insns: [insn(BPF_CALL, CALL), insn(BPF_EXIT, 0)] },
      { helpers: () => helper, checked: this.kernel.checked },
    );
  }
}
