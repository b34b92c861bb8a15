/**
 * Simulated time. It moves only when something moves it, so that the same run reads the same times. The value that
 * programs read lies in engine memory: `bpf_ktime_get_ns` is then a load and no call.
 */
import type { EngineMemory } from '../../vm/index.js';

/** Where the clock starts: the system has been up for a second. */
export const BOOT_NS = 1_000_000_000n;
/** Wall-clock time at boot, for `bpf_ktime_get_tai_ns`: 2020-02-14 00:00 UTC. */
const EPOCH_NS = 1_581_638_400_000_000_000n;
/** CONFIG_HZ. */
const HZ = 250n;
/** Jiffies count from here, so that a wrap of 32 bits is seen soon after boot (INITIAL_JIFFIES). */
const INITIAL_JIFFIES = 2n ** 32n - 300n * HZ;

export class Clock {
  /** Memory offset of the 8 bytes that hold nanoseconds since boot, as of the last `publish`. */
  readonly offset: number;
  /** Nanoseconds since boot on the CPU that runs: a whole number, exact up to 104 days. */
  nanos = 0;

  constructor(private readonly memory: EngineMemory) {
    this.offset = memory.alloc(8, 'none').address32;
    this.set(BOOT_NS);
  }

  /** Nanoseconds since boot. */
  get now(): bigint {
    return BigInt(this.nanos);
  }

  set(ns: bigint): void {
    this.nanos = Number(ns);
    this.publish();
  }

  advance(ns: bigint): void {
    this.set(this.now + ns);
  }

  /** Lets programs read the time as it is now. */
  publish(): void {
    const { i32 } = this.memory;
    const at = this.offset >> 2;
    i32[at] = this.nanos | 0;
    i32[at + 1] = (this.nanos / 0x100000000) | 0;
  }

  get tai(): bigint {
    return EPOCH_NS + this.now;
  }

  get jiffies(): bigint {
    return INITIAL_JIFFIES + (this.now * HZ) / 1_000_000_000n;
  }
}
