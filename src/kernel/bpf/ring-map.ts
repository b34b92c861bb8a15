/**
 * What both kinds of ring buffer share: what BPF_MAP_CREATE asks of them, records behind a header of 8 bytes, and the
 * operations that they refuse. Models kernel/bpf/ringbuf.c of Linux 6.18. Where Linux maps the data pages twice, so that a
 * record may run over the end, the memory here is twice as long.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, RingbufFlag } from '../../abi/map-flags.js';
import { PAGE_SIZE } from '../../abi/page.js';
import type { Region } from '../../vm/index.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';

export const HEADER = RingbufFlag.BPF_RINGBUF_HDR_SZ;
/** Bits of a header beside the record's length. */
export const { BPF_RINGBUF_BUSY_BIT: BUSY, BPF_RINGBUF_DISCARD_BIT: DISCARD } = RingbufFlag;

/** Bytes that a record takes, its header with it. */
export function recordLength(size: number): number {
  return Math.ceil((size + HEADER) / 8) * 8;
}

export abstract class RingMap extends BpfMap {
  protected readonly data: Region;
  protected readonly mask: number;
  /** Positions in bytes, not wrapped. */
  protected consumer = 0;
  protected producer = 0;

  static check(attr: MapAttr): void {
    const size = attr.maxEntries;
    requireAttr((attr.mapFlags & ~MapFlag.BPF_F_NUMA_NODE) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr(attr.keySize === 0 && attr.valueSize === 0, attr, 'EINVAL', 'key and value size must be 0');
    const powerOfTwo = size > 0 && Math.log2(size) % 1 === 0;
    const message = `${size} bytes are no power of two of whole pages`;
    requireAttr(powerOfTwo && size % PAGE_SIZE === 0, attr, 'EINVAL', message);
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 2);
    super(attr, host);
    this.mask = attr.maxEntries - 1;
    this.data = host.memory.alloc(attr.maxEntries * 2, 'none');
  }

  /** Memory offset of the header at a position. */
  protected headerAt(position: number): number {
    return this.data.address32 + (position & this.mask);
  }

  override update(): number {
    return -Errno.ENOTSUPP;
  }

  override delete(): number {
    return -Errno.ENOTSUPP;
  }

  override nextKey(): number {
    return -Errno.ENOTSUPP;
  }

  override sysLookup(): number {
    return -Errno.ENOTSUPP;
  }

  override release(): void {
    this.memory.free(this.data);
    super.release();
  }
}
