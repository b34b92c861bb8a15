/**
 * Looking at a task's mappings from wherever a program is: `mmap_lock` is only tried, and where interrupts are off its
 * release is left to an irq_work of the CPU, one at a time. Models `stack_map_get_build_id_offset` and `do_up_read`
 * (kernel/bpf/stackmap.c) and kernel/bpf/mmap_unlock_work.h.
 */
import type { IrqWork } from '../irq/irq-work.js';
import type { RwSemOps } from '../locking/rwsem.js';
import type { Flow } from '../sched/flow.js';
import type { MapHost } from './map.js';

const PLACE = 'stack_map_get_build_id_offset';

interface UnlockWork {
  readonly work: IrqWork;
  lock: RwSemOps | undefined;
}

/** `mmap_unlock_work` of each CPU of a kernel. */
const works = new WeakMap<MapHost, UnlockWork[]>();

/** Takes the current task's `mmap_lock` for reading if that can be done at once: what releases it, or undefined. */
export function holdMappings(host: MapHost): (() => void) | undefined {
  const { sched, mm, irq } = host;
  const lock = mm.addressSpace(sched.current)?.mmapLock;
  const later = sched.here.irqsDisabled ? workOf(host) : undefined;
  if (lock === undefined || later?.work.busy === true || !lock.downReadTrylock(PLACE)) return undefined;
  if (later === undefined) return () => lock.upRead();
  return () => {
    lock.disownRead();
    later.lock = lock;
    irq.work.queue(later.work);
  };
}

function workOf(host: MapHost): UnlockWork {
  const each = works.get(host) ?? host.sched.cpus.map(() => newWork(host));
  works.set(host, each);
  return each[host.sched.here.id]!;
}

function newWork({ irq }: MapHost): UnlockWork {
  const own: UnlockWork = { work: irq.irqWork('do_up_read', release), lock: undefined };
  function* release(): Flow<void> {
    own.lock?.upReadNonOwner();
  }
  return own;
}
