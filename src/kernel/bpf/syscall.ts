/**
 * `bpf()` as a façade: maps (`map-syscall.ts`) and programs by object instead of by file descriptor. Models
 * kernel/bpf/syscall.c of Linux 6.18.
 */
import type { LoadableProgram } from '../../object/types.js';
import type { Machine } from '../machine.js';
import type { BpfMap } from './map.js';
import { MapSyscalls } from './map-syscall.js';
import type { BpfProg } from './prog.js';
import { type HelperSets, loadProg, type ProgLoadOptions } from './prog-load.js';

export class BpfSyscalls extends MapSyscalls {
  constructor(
    kernel: Machine,
    private readonly helpers: HelperSets,
  ) {
    super(kernel);
  }

  /**
   * BPF_PROG_LOAD. `maps` are what the program's map references count into. Throws `UnsupportedError` for a helper or
   * kfunc that is not there, `SyscallError` for what the verifier refuses where it is asked to, `VmProgramError` for
   * instructions that cannot be.
   */
  progLoad(source: LoadableProgram, maps: readonly BpfMap[], options: ProgLoadOptions = {}): BpfProg {
    const prog = loadProg(this.kernel, this.helpers, source, maps, options, this.kernel.progs.length + 1);
    this.kernel.progs.push(prog);
    return prog;
  }
}
