/**
 * Infrared receivers with decoders on them: each sample goes through all of a device's programs, in its thread. Models
 * drivers/media/rc/bpf-lirc.c.
 */
import { LIRC_SAMPLE } from '../../abi/context/lirc.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import { SyscallError } from '../errors.js';
import { runOnContext } from '../net/context-run.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';

export const DEFAULT_LIRC = 'lirc0';
const MAX_PROGS = 64;

export class LircDevices {
  private readonly progs = new Map<string, BpfProg[]>();

  constructor(private readonly tracing: Tracing) {}

  /** Throws `SyscallError`: EEXIST for a program that is there already, E2BIG for one too many. */
  attach({ prog }: BpfLink, device: string): () => void {
    const list = this.progs.get(device) ?? [];
    this.progs.set(device, list);
    if (list.includes(prog))
      throw SyscallError.of('EEXIST', `${device} has the program`, { symbol: prog.name });
    if (list.length >= MAX_PROGS)
      throw SyscallError.of('E2BIG', `${device} has ${MAX_PROGS} programs`, { symbol: prog.name });
    list.push(prog);
    return () => {
      list.splice(list.indexOf(prog), 1);
    };
  }

  /** lirc_bpf_run. */
  *sample(device: string, sample: number): Flow<void> {
    for (const prog of [...(this.progs.get(device) ?? [])])
      yield* runOnContext(this.tracing, prog, LIRC_SAMPLE, { fields: { sample } });
  }
}
