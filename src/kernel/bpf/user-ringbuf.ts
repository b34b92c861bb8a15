/**
 * Ring buffer from user space to programs: user space publishes samples, `bpf_user_ringbuf_drain` takes them. Models the
 * user part of kernel/bpf/ringbuf.c of Linux 6.18. Positions and headers are user space's to write, so that everything
 * in them is doubted.
 */
import { Errno } from '../../abi/errno.js';
import { BUSY, DISCARD, HEADER, RingMap, recordLength } from './ring-map.js';

/** Largest sample that a dynptr can stand for (DYNPTR_MAX_SIZE). */
const MAX_DYNPTR = 2 ** 24 - 1;

/** A sample for the callback: memory offset and bytes. */
export interface UserSample {
  readonly offset: number;
  readonly size: number;
}

export class UserRingbufMap extends RingMap {
  /** A program drains it now; another gets -EBUSY. */
  private busy = false;
  /** Times that user space was woken since there was room. */
  wakeups = 0;

  /** Bytes that user space has published and no program has taken. */
  get available(): number {
    return this.producer - this.consumer;
  }

  /** User space writes a sample and publishes it; false when there is no room. */
  produce(sample: Uint8Array, discard = false): boolean {
    const length = recordLength(sample.length);
    if (this.producer + length - this.consumer > this.maxEntries) return false;
    const at = this.headerAt(this.producer);
    this.memory.view.setUint32(at, (discard ? sample.length | DISCARD : sample.length) >>> 0, true);
    this.memory.u8.set(sample, at + HEADER);
    this.producer += length;
    return true;
  }

  /** User space writes what it likes: a header word, and the producer's position. */
  publishRaw(header: number, producer: number): void {
    this.memory.view.setUint32(this.headerAt(this.producer), header >>> 0, true);
    this.producer = producer;
  }

  /** False when another program drains it. */
  startDrain(): boolean {
    if (this.busy) return false;
    this.busy = true;
    return true;
  }

  /** @param woken samples were taken, or waking was asked for */
  endDrain(woken: boolean): void {
    this.busy = false;
    if (woken) this.wakeups++;
  }

  /** The next sample; -ENODATA when there is none, -EAGAIN when one was discarded, or what is wrong with it. */
  nextSample(): UserSample | number {
    if (this.producer % 8 !== 0) return -Errno.EINVAL;
    if (this.consumer >= this.producer) return -Errno.ENODATA;
    const at = this.headerAt(this.consumer);
    const header = this.memory.view.getUint32(at, true);
    const size = header & ~(BUSY | DISCARD);
    const length = recordLength(size);
    if (length > this.producer - this.consumer) return -Errno.EINVAL;
    if (length > this.maxEntries || size > MAX_DYNPTR) return -Errno.E2BIG;
    if ((header & DISCARD) !== 0) {
      this.consumer += length;
      return -Errno.EAGAIN;
    }
    return (header & BUSY) !== 0 ? -Errno.ENODATA : { offset: at + HEADER, size };
  }

  /** The sample that `nextSample` gave is done with. */
  takeSample(sample: UserSample): void {
    this.consumer += recordLength(sample.size);
  }
}
