/**
 * Timers of programs: `struct bpf_timer` in a map's value, started in simulated time, with a function of the program that
 * runs when it is due. Models kernel/bpf/helpers.c (`bpf_timer_*`) of Linux 6.18. `run` is called by whoever moves time on.
 */
import { Errno } from '../../abi/errno.js';
import type { Machine } from '../machine.js';
import type { Callbacks } from './callbacks.js';
import type { BpfMap } from './map.js';

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const CLOCKS: readonly number[] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME];
const MAX_CLOCKS = 16;
/** BPF_F_TIMER_ABS, BPF_F_TIMER_CPU_PIN. */
const ABS = 1;
const START_FLAGS = 3;

interface BpfTimer {
  readonly map: BpfMap;
  /** Memory offset of the `bpf_timer`. */
  readonly at: number;
  /** Memory offset of the value that it lies in. */
  readonly value: number;
  callback: bigint | undefined;
  /** ns since boot; undefined while it is not started. */
  due: bigint | undefined;
  /** Order of starts, among timers due at once. */
  started: number;
}

export class BpfTimers {
  private readonly timers = new Map<number, BpfTimer>();
  private running: BpfTimer | undefined;
  private starts = 0;

  constructor(
    private readonly kernel: Machine,
    private readonly callbacks: Callbacks,
  ) {}

  /** bpf_timer_init: `value` is the map value's memory offset. */
  init(at: number, map: BpfMap, value: number, flags: number): number {
    if (flags >= MAX_CLOCKS || !CLOCKS.includes(flags)) return -Errno.EINVAL;
    if (this.timers.has(at)) return -Errno.EBUSY;
    this.timers.set(at, { map, at, value, callback: undefined, due: undefined, started: 0 });
    // Something other than zero: Linux keeps a pointer here.
    this.kernel.memory.view.setBigUint64(at, this.kernel.memory.addressOf(at), true);
    return 0;
  }

  setCallback(at: number, callback: bigint): number {
    const timer = this.timers.get(at);
    if (timer === undefined) return -Errno.EINVAL;
    timer.callback = callback;
    return 0;
  }

  /** bpf_timer_start: in `ns`, or at `ns` with BPF_F_TIMER_ABS. */
  start(at: number, ns: bigint, flags: number): number {
    if ((flags & ~START_FLAGS) !== 0) return -Errno.EINVAL;
    const timer = this.timers.get(at);
    if (timer?.callback === undefined) return -Errno.EINVAL;
    timer.due = (flags & ABS) !== 0 ? ns : this.kernel.clock.now + ns;
    timer.started = ++this.starts;
    return 0;
  }

  /** 1 when it was started, 0 when not. */
  cancel(at: number): number {
    const timer = this.timers.get(at);
    if (timer === undefined) return -Errno.EINVAL;
    if (timer === this.running) return -Errno.EDEADLK;
    const active = timer.due !== undefined;
    timer.due = undefined;
    timer.callback = undefined;
    return active ? 1 : 0;
  }

  /** The value that holds it goes. */
  drop(at: number): void {
    this.timers.delete(at);
  }

  /** When the next one is due, ns since boot. */
  get nextDue(): bigint | undefined {
    return this.first()?.due;
  }

  /** Runs what is due now; the number of callbacks. */
  run(): number {
    let count = 0;
    for (let timer = this.first(); timer !== undefined; timer = this.first()) {
      if (timer.due! > this.kernel.clock.now) break;
      timer.due = undefined;
      this.fire(timer);
      count++;
    }
    return count;
  }

  /** Moves time on by `ns`, stopping at every timer on the way. */
  advance(ns: bigint): number {
    const { clock } = this.kernel;
    const end = clock.now + ns;
    let count = 0;
    for (let due = this.nextDue; due !== undefined && due <= end; due = this.nextDue) {
      if (due > clock.now) clock.advance(due - clock.now);
      count += this.run();
    }
    if (end > clock.now) clock.advance(end - clock.now);
    return count;
  }

  private fire(timer: BpfTimer): void {
    const { memory } = this.kernel;
    const key = keyOf(timer.map, timer.value, this.kernel);
    this.running = timer;
    try {
      const args = [timer.map.header.address, key.address, memory.addressOf(timer.value)];
      this.callbacks.run(timer.callback!, args);
    } finally {
      this.running = undefined;
      memory.free(key);
    }
  }

  private first(): BpfTimer | undefined {
    let best: BpfTimer | undefined;
    for (const timer of this.timers.values()) {
      if (timer.due === undefined) continue;
      const earlier =
        best === undefined ||
        timer.due < best.due! ||
        (timer.due === best.due && timer.started < best.started);
      if (earlier) best = timer;
    }
    return best;
  }
}

/** A copy of the key under which a map has a value; zeros where the value is in none any more. */
export function keyOf(map: BpfMap, value: number, kernel: Machine) {
  const { memory } = kernel;
  const copy = memory.alloc(Math.max(8, map.keySize), 'read');
  map.walk((key, at) => {
    if (at !== value) return false;
    memory.u8.copyWithin(copy.address32, key, key + map.keySize);
    return true;
  });
  return copy;
}
