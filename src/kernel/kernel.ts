/** The simulated kernel as far as a single program run needs it: the machine, and `bpf()` on it. */
import { helperResolver } from './bpf/helpers/index.js';
import { BpfSyscalls } from './bpf/syscall.js';
import { Machine, type MachineOptions } from './machine.js';

export type KernelOptions = MachineOptions;

export class Kernel extends Machine {
  readonly bpf: BpfSyscalls;

  constructor(options: KernelOptions = {}) {
    super(options);
    this.bpf = new BpfSyscalls(this, helperResolver(this));
  }
}
