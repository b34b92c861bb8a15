/**
 * Ring buffer: records of any size from programs to one reader. Models kernel/bpf/ringbuf.c of Linux 6.18. Reserving takes
 * the buffer's lock (the profile's `ringLock`); committing takes none.
 */
import { Errno } from '../../abi/errno.js';
import { RingbufFlag } from '../../abi/map-flags.js';
import type { MapLock } from '../locking/map-lock.js';
import { type Flow, point } from '../sched/flow.js';
import type { MapAttr, MapHost } from './map.js';
import { BUSY, DISCARD, HEADER, RingMap, recordLength } from './ring-map.js';

/** Largest record (RINGBUF_MAX_RECORD_SZ): a quarter of what 32 bits can say. */
const MAX_RECORD = 0xffffffff / 4;

/** No lock is held. */
const BEFORE_LOCK = point('rb->spinlock');
const RESERVE = '__bpf_ringbuf_reserve';
const WAKEUP_FLAGS = RingbufFlag.BPF_RB_NO_WAKEUP | RingbufFlag.BPF_RB_FORCE_WAKEUP;

export class RingbufMap extends RingMap {
  private readonly lock: MapLock;
  /** Oldest position that may hold a record not yet committed. */
  private pending = 0;
  /** Times that the reader was, or would have been, woken. */
  wakeups = 0;

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    const { ringLock } = host.sched.profile;
    this.lock = host.locks.map(ringLock === 'sl' ? 'spin' : ringLock, '&rb->spinlock', 'try');
  }

  /** Offset of `size` writable bytes, or 0 when there is no room or the lock cannot be had. */
  reserve(size: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.reserveFlow(size));
    if (!this.fits(size) || this.lock.lockNow(RESERVE) !== 0) return 0;
    const record = this.reserveLocked(size);
    this.lock.unlock();
    return record;
  }

  *reserveFlow(size: number): Flow<number> {
    if (!this.fits(size)) return 0;
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    if ((yield* this.lock.lock(RESERVE)) !== 0) return 0;
    const record = this.reserveLocked(size);
    this.lock.unlock();
    return record;
  }

  private fits(size: number): boolean {
    return size <= MAX_RECORD && recordLength(size) <= this.maxEntries;
  }

  private reserveLocked(size: number): number {
    const length = recordLength(size);
    this.advancePending();
    const end = this.producer + length;
    if (end - this.consumer > this.mask || end - this.pending > this.mask) return 0;
    const header = this.headerAt(this.producer);
    const { view } = this.memory;
    view.setUint32(header, (size | BUSY) >>> 0, true);
    view.setUint32(header + 4, header >>> 12, true);
    this.producer = end;
    this.memory.protect(header + HEADER, size, 'readwrite');
    return header + HEADER;
  }

  /** Submits or discards a record; false when `record` is none of this buffer's open ones. */
  commit(record: number, flags: number, discard: boolean): boolean {
    const header = record - HEADER;
    if (!this.holds(record)) return false;
    const { view } = this.memory;
    const length = view.getUint32(header, true);
    if ((length & BUSY) === 0) return false;
    const size = (length ^ BUSY) >>> 0;
    view.setUint32(header, (discard ? size | DISCARD : size) >>> 0, true);
    this.memory.protect(record, size, 'none');
    const caughtUp = (this.consumer & this.mask) === header - this.data.address32;
    const force = (flags & RingbufFlag.BPF_RB_FORCE_WAKEUP) !== 0;
    if (force || (caughtUp && (flags & RingbufFlag.BPF_RB_NO_WAKEUP) === 0)) this.wakeups++;
    return true;
  }

  /** Whether a record of this buffer could start at a memory offset. */
  holds(record: number): boolean {
    const at = record - HEADER - this.data.address32;
    return at >= 0 && at <= this.mask && at % 8 === 0;
  }

  /** bpf_ringbuf_output: 0 or a negative errno. */
  output(data: number, size: number, flags: number): number {
    if ((flags & ~WAKEUP_FLAGS) !== 0) return -Errno.EINVAL;
    return this.fill(this.reserve(size), data, size, flags);
  }

  *outputFlow(data: number, size: number, flags: number): Flow<number> {
    if ((flags & ~WAKEUP_FLAGS) !== 0) return -Errno.EINVAL;
    return this.fill(yield* this.reserveFlow(size), data, size, flags);
  }

  private fill(record: number, data: number, size: number, flags: number): number {
    if (record === 0) return -Errno.EAGAIN;
    this.memory.u8.copyWithin(record, data, data + size);
    this.commit(record, flags, false);
    return 0;
  }

  /** bpf_ringbuf_query. */
  query(what: number): number {
    switch (what) {
      case RingbufFlag.BPF_RB_AVAIL_DATA:
        return this.producer - this.consumer;
      case RingbufFlag.BPF_RB_RING_SIZE:
        return this.maxEntries;
      case RingbufFlag.BPF_RB_CONS_POS:
        return this.consumer;
      case RingbufFlag.BPF_RB_PROD_POS:
        return this.producer;
      default:
        return 0;
    }
  }

  /** The reader: takes the records that are committed, in order, up to the first that is not. */
  consume(): Uint8Array[] {
    const records: Uint8Array[] = [];
    while (this.consumer < this.producer) {
      const header = this.headerAt(this.consumer);
      const length = this.memory.view.getUint32(header, true);
      if ((length & BUSY) !== 0) break;
      const size = length & ~DISCARD;
      if ((length & DISCARD) === 0) {
        records.push(this.memory.u8.slice(header + HEADER, header + HEADER + size));
      }
      this.consumer += recordLength(size);
    }
    return records;
  }

  private advancePending(): void {
    while (this.pending < this.producer) {
      const length = this.memory.view.getUint32(this.headerAt(this.pending), true);
      if ((length & BUSY) !== 0) return;
      this.pending += recordLength(length & ~DISCARD);
    }
  }
}
