/**
 * Timers, work queues and task work of programs: a field of a map's value, and a function of the program that runs later. A
 * timer expires in softirq context, work runs in a thread of the kernel's. Models `bpf_timer_*`, `bpf_wq_*` and
 * `bpf_task_work_*` (kernel/bpf/helpers.c) of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { Hrtimer } from '../time/hrtimer.js';
import type { Callbacks } from './callbacks.js';
import type { BpfMap } from './map.js';

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const CLOCKS: readonly number[] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME];
const MAX_CLOCKS = 16;
/** BPF_F_TIMER_ABS; BPF_F_TIMER_CPU_PIN is what happens anyway. */
const ABS = 1;
const START_FLAGS = 3;

interface Deferred {
  readonly map: BpfMap;
  /** Memory offset of the field. */
  readonly at: number;
  /** Memory offset of the value that it lies in. */
  readonly value: number;
  callback: bigint | undefined;
  /** Of a timer. */
  hrtimer: Hrtimer | undefined;
  /** Of work: queued, and not yet begun. */
  queued: boolean;
}

/** What is in place while a callback runs. */
export type Around = (entering: boolean) => void;

export class BpfTimers {
  private readonly deferred = new Map<number, Deferred>();
  private running: Deferred | undefined;

  constructor(
    private readonly kernel: Machine,
    private readonly callbacks: Callbacks,
    private readonly around: Around,
  ) {}

  /** bpf_timer_init: `value` is the map value's memory offset. */
  init(at: number, map: BpfMap, value: number, flags: number): number {
    if (flags >= MAX_CLOCKS || !CLOCKS.includes(flags)) return -Errno.EINVAL;
    const made = this.create(at, map, value);
    if (typeof made === 'number') return made;
    made.hrtimer = this.kernel.hrtimers.create('bpf_timer_cb', () => this.expire(made), 'soft');
    return 0;
  }

  /** bpf_wq_init. */
  initWork(at: number, map: BpfMap, value: number): number {
    const made = this.create(at, map, value);
    return typeof made === 'number' ? made : 0;
  }

  /** Work that waits to be done. */
  isQueued(at: number): boolean {
    return this.deferred.get(at)?.queued === true;
  }

  setCallback(at: number, callback: bigint): number {
    const found = this.deferred.get(at);
    if (found === undefined) return -Errno.EINVAL;
    found.callback = callback;
    return 0;
  }

  /** bpf_timer_start: in `ns`, or at `ns` with BPF_F_TIMER_ABS. */
  start(at: number, ns: bigint, flags: number): number {
    if ((flags & ~START_FLAGS) !== 0) return -Errno.EINVAL;
    const timer = this.deferred.get(at);
    if (timer?.callback === undefined || timer.hrtimer === undefined) return -Errno.EINVAL;
    const { hrtimers } = this.kernel;
    if ((flags & ABS) !== 0) hrtimers.startAt(timer.hrtimer, Number(ns));
    else hrtimers.start(timer.hrtimer, Number(ns));
    return 0;
  }

  /** bpf_wq_start. Work that waits already stays where it is. */
  startWork(at: number): number {
    const work = this.deferred.get(at);
    if (work === undefined) return -Errno.EINVAL;
    if (work.queued || work.callback === undefined) return 0;
    work.queued = true;
    const { sched } = this.kernel;
    const pid = sched.kthreadPid();
    const attr = { pid, tgid: pid, comm: `kworker/${sched.here.id}:0`, uid: 0, gid: 0, kthread: true };
    sched.spawn(attr, () => this.runWork(work));
    return 0;
  }

  /** 1 when it was started, 0 when not; a timer may not cancel itself. */
  cancel(at: number): number {
    const timer = this.deferred.get(at);
    if (timer?.hrtimer === undefined) return -Errno.EINVAL;
    if (timer === this.running) return -Errno.EDEADLK;
    const result = this.kernel.hrtimers.tryToCancel(timer.hrtimer);
    timer.callback = undefined;
    return result === 1 ? 1 : 0;
  }

  /** The value that holds it goes. */
  drop(at: number): void {
    const found = this.deferred.get(at);
    if (found === undefined) return;
    if (found.hrtimer !== undefined) this.kernel.hrtimers.tryToCancel(found.hrtimer);
    found.callback = undefined;
    this.deferred.delete(at);
  }

  private create(at: number, map: BpfMap, value: number): Deferred | number {
    if (this.deferred.has(at)) return -Errno.EBUSY;
    const made = { map, at, value, callback: undefined, hrtimer: undefined, queued: false };
    this.deferred.set(at, made);
    // Something other than zero: Linux keeps a pointer here.
    const { memory } = this.kernel;
    memory.view.setBigUint64(at, memory.addressOf(at), true);
    return made;
  }

  private *expire(timer: Deferred): Flow<undefined> {
    const outer = this.running;
    this.running = timer;
    yield* this.fire(timer);
    this.running = outer;
    return undefined;
  }

  private *runWork(work: Deferred): Flow<void> {
    work.queued = false;
    yield* this.fire(work);
  }

  private *fire({ map, value, callback }: Deferred): Flow<void> {
    if (callback === undefined) return;
    const { memory } = this.kernel;
    const key = copyKey(this.kernel, map, value);
    const args = [map.header.address, key.address, memory.addressOf(value)];
    yield* this.callbacks.run(callback, args, this.around);
    memory.free(key);
  }
}

/** A copy of the key under which a map has a value; zeros where the value is in none any more. */
function copyKey(kernel: Machine, map: BpfMap, value: number) {
  const { memory } = kernel;
  const copy = memory.alloc(Math.max(8, map.keySize), 'read');
  map.walk((key, at) => {
    if (at !== value) return false;
    memory.u8.copyWithin(copy.address32, key, key + map.keySize);
    return true;
  });
  return copy;
}
