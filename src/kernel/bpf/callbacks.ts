/**
 * Calls of a program's functions from outside a run of it: timers, work queues, task work. The function runs as a program
 * of its own would: on the current CPU, to its end.
 */
import { BPF_CALL, BPF_EXIT, BPF_JMP } from '../../isa/constants.js';
import type { HelperDef, Program, RegValue } from '../../vm/index.js';
import { ProgramFaultError } from '../errors.js';
import type { Machine } from '../machine.js';

const CALL = 1;

export class Callbacks {
  private readonly programs = new Map<boolean, Program>();
  private target = 0n;
  private args: readonly RegValue[] = [];

  constructor(private readonly kernel: Machine) {}

  /** r0 of the function at an address, as `BPF_PSEUDO_FUNC` gives it. Throws `ProgramFaultError`. */
  run(address: bigint, args: readonly RegValue[]): bigint {
    const { engine, checked } = this.kernel;
    let program = this.programs.get(checked);
    if (program === undefined) {
      program = this.make(checked);
      this.programs.set(checked, program);
    }
    this.target = address;
    this.args = args;
    const { r0, fault } = engine.run(program);
    if (fault === undefined) return r0;
    throw new ProgramFaultError('FAULT_CALLBACK', fault.detail, { symbol: fault.program, insn: fault.insn });
  }

  /** A program that does nothing but to call. */
  private make(checked: boolean): Program {
    const insn = (op: number, imm: number) => ({ code: BPF_JMP | op, dst: 0, src: 0, off: 0, imm });
    const helper: HelperDef = {
      kind: 'plain',
      name: 'callback',
      run: (call) => call.execution.callFunction(this.target, this.args),
    };
    return this.kernel.engine.load(
      { name: 'callback', insns: [insn(BPF_CALL, CALL), insn(BPF_EXIT, 0)] },
      { helpers: () => helper, checked },
    );
  }
}
