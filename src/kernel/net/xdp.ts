/**
 * A packet as XDP programs see it: one page with headroom and tailroom, what does not fit in fragments, and an `xdp_md`
 * whose words are the packet's bounds. Models `struct xdp_buff` (include/net/xdp.h) of Linux 6.18 on x86-64.
 */
import { offsetOf } from '../../abi/context/layout.js';
import { XDP_MD } from '../../abi/context/xdp.js';
import { Errno } from '../../abi/errno.js';
import { ETH_HLEN } from '../../abi/packet.js';
import { PAGE_SIZE } from '../../abi/page.js';
import type { EngineMemory, Region } from '../../vm/index.js';
import { ContextPointers } from './context-pointers.js';

export const XDP_PACKET_HEADROOM = 256;
/** Room for struct skb_shared_info behind the data. */
export const XDP_TAILROOM = 320;
/** sizeof(struct xdp_frame), kept free in front of the data. */
const XDP_FRAME = 40;
const MAX_METADATA = 255;

const DATA = offsetOf(XDP_MD, 'data');
const DATA_END = offsetOf(XDP_MD, 'data_end');
const DATA_META = offsetOf(XDP_MD, 'data_meta');
const INGRESS_IFINDEX = offsetOf(XDP_MD, 'ingress_ifindex');
const RX_QUEUE = offsetOf(XDP_MD, 'rx_queue_index');
const EGRESS_IFINDEX = offsetOf(XDP_MD, 'egress_ifindex');

/** Metadata comes in whole words, and its length has to fit a byte. */
export function metadataLengthOk(length: number): boolean {
  return length >= 0 && length <= MAX_METADATA && length % 4 === 0;
}

export class XdpBuff {
  private readonly page: Region;
  readonly context: Region;
  readonly pointers: ContextPointers;
  /** What does not fit the page: reachable through helpers only. */
  fragments: Uint8Array = new Uint8Array(0);

  constructor(private readonly memory: EngineMemory) {
    this.page = memory.alloc(PAGE_SIZE, 'none');
    this.pointers = new ContextPointers(memory, XDP_MD.size);
    this.context = this.pointers.context;
  }

  get data(): number {
    return this.word(DATA);
  }

  get dataEnd(): number {
    return this.word(DATA_END);
  }

  get ingressIfindex(): number {
    return this.word(INGRESS_IFINDEX);
  }

  get dataMeta(): number {
    return this.word(DATA_META);
  }

  /** Bytes of packet, fragments included, metadata not. */
  get length(): number {
    return this.dataEnd - this.data + this.fragments.length;
  }

  /** Puts a packet in, `metaLength` bytes of metadata in front of it. */
  fill(
    linear: Uint8Array,
    metaLength: number,
    fragments: Uint8Array,
    ifindex: number,
    rxQueue: number,
  ): void {
    const start = this.page.address32;
    const meta = start + XDP_PACKET_HEADROOM - metaLength;
    const { u8 } = this.memory;
    u8.fill(0, start, start + PAGE_SIZE);
    u8.set(linear, meta);
    this.fragments = fragments;
    this.setWord(DATA_META, meta);
    this.setWord(DATA, meta + metaLength);
    this.setWord(DATA_END, meta + linear.length);
    this.setWord(INGRESS_IFINDEX, ifindex);
    this.setWord(RX_QUEUE, rxQueue);
    this.setWord(EGRESS_IFINDEX, 0);
    this.protect();
  }

  /** Metadata, packet, fragments. */
  contents(): Uint8Array {
    const linear = this.memory.u8.subarray(this.dataMeta, this.dataEnd);
    const all = new Uint8Array(linear.length + this.fragments.length);
    all.set(linear);
    all.set(this.fragments, linear.length);
    return all;
  }

  adjustHead(by: number): number {
    const { data, dataMeta, dataEnd } = this;
    const metaLength = data - dataMeta;
    const moved = data + by;
    if (moved < this.page.address32 + XDP_FRAME + metaLength || moved > dataEnd - ETH_HLEN)
      return -Errno.EINVAL;
    this.memory.u8.copyWithin(dataMeta + by, dataMeta, data);
    this.setWord(DATA_META, dataMeta + by);
    this.setWord(DATA, moved);
    this.protect();
    return 0;
  }

  adjustMeta(by: number): number {
    const meta = this.dataMeta + by;
    if (meta < this.page.address32 + XDP_FRAME || meta > this.data) return -Errno.EINVAL;
    if (!metadataLengthOk(this.data - meta)) return -Errno.EACCES;
    this.setWord(DATA_META, meta);
    this.protect();
    return 0;
  }

  adjustTail(by: number): number {
    if (this.fragments.length > 0) return this.adjustFragments(by);
    const end = this.dataEnd + by;
    if (end > this.page.address32 + PAGE_SIZE - XDP_TAILROOM) return -Errno.EINVAL;
    if (end < this.data + ETH_HLEN) return -Errno.EINVAL;
    if (by > 0) this.memory.u8.fill(0, this.dataEnd, end);
    this.setWord(DATA_END, end);
    this.protect();
    return 0;
  }

  /** Offset in memory of `size` bytes at `at` of the packet, or -1 when they are not in one piece in the page. */
  linear(at: number, size: number): number {
    return at + size <= this.dataEnd - this.data ? this.data + at : -1;
  }

  /** Copies bytes of the packet to memory; false when they are not all there. */
  load(at: number, to: number, size: number): boolean {
    if (at + size > this.length) return false;
    for (let i = 0; i < size; i++) this.memory.u8[to + i] = this.byte(at + i);
    return true;
  }

  store(at: number, from: number, size: number): boolean {
    if (at + size > this.length) return false;
    const linear = this.dataEnd - this.data;
    for (let i = 0; i < size; i++) {
      const value = this.memory.u8[from + i]!;
      if (at + i < linear) this.memory.u8[this.data + at + i] = value;
      else this.fragments[at + i - linear] = value;
    }
    return true;
  }

  /** The first `size` bytes of the packet, or undefined when it is shorter. */
  head(size: number): Uint8Array | undefined {
    if (size > this.length) return undefined;
    return Uint8Array.from({ length: size }, (_, i) => this.byte(i));
  }

  release(): void {
    this.memory.free(this.page);
    this.memory.free(this.context);
  }

  private byte(at: number): number {
    const linear = this.dataEnd - this.data;
    return at < linear ? this.memory.u8[this.data + at]! : this.fragments[at - linear]!;
  }

  /** The last fragment grows into its page, or fragments and then the linear part shrink. */
  private adjustFragments(by: number): number {
    const linear = this.dataEnd - this.data;
    const length = this.length + by;
    if (by >= 0) {
      const room = (PAGE_SIZE - (this.fragments.length % PAGE_SIZE)) % PAGE_SIZE;
      if (by > room) return -Errno.EINVAL;
    } else if (length < ETH_HLEN) {
      return -Errno.EINVAL;
    }
    const rest = new Uint8Array(Math.max(0, length - linear));
    rest.set(this.fragments.subarray(0, rest.length));
    this.fragments = rest;
    if (length < linear) this.setWord(DATA_END, this.data + length);
    this.protect();
    return 0;
  }

  private word(at: number): number {
    return this.memory.i32[(this.context.address32 + at) >> 2]!;
  }

  private setWord(at: number, value: number): void {
    this.memory.i32[(this.context.address32 + at) >> 2] = value;
  }

  /** Programs may touch metadata and packet, to the byte at the end and to 8 bytes at the start. */
  private protect(): void {
    const first = this.dataMeta & ~7;
    this.pointers.set(this.data, this.dataEnd, this.dataMeta);
    this.memory.protect(this.page.address32, PAGE_SIZE, 'none');
    this.memory.protect(first, this.dataEnd - first, 'readwrite');
  }
}
