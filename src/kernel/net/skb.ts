/**
 * A socket buffer as programs see it: a linear buffer with headroom, and a `__sk_buff` in engine memory. Where Linux
 * converts each access to a field of `__sk_buff`, the fields lie here as they are read. Models `struct sk_buff` and
 * the context conversion of net/core/filter.c, Linux 6.18.
 */

import { SK_BUFF, SOCK } from '../../abi/context/skb.js';
import { PAGE_SIZE } from '../../abi/page.js';
import type { EngineMemory, Region } from '../../vm/index.js';
import { ContextPointers } from './context-pointers.js';
import type { Sock } from './sock.js';
import type { TunnelInfo } from './tunnel.js';

/** NET_SKB_PAD: headroom of a received packet. */
export const NET_SKB_PAD = 64;
/** Room for struct skb_shared_info behind the data. */
export const SKB_TAILROOM = 320;
/** Largest packet that fits a page. */
export const MAX_LINEAR = PAGE_SIZE - NET_SKB_PAD - SKB_TAILROOM;
/** Headroom that a packet has or, as Linux does, is given when a program wants to add more in front. */
const HEADROOM = 1024;
/** With as much room at the end. */
const BUFFER = HEADROOM + PAGE_SIZE;

/** Longest packet that one allocation holds (SKB_MAX_ALLOC). */
export const MAX_LENGTH = 16064;

export type SkbField =
  | 'len'
  | 'pkt_type'
  | 'mark'
  | 'protocol'
  | 'priority'
  | 'ingress_ifindex'
  | 'ifindex'
  | 'hash'
  | 'data'
  | 'data_end'
  | 'data_meta'
  | 'family'
  | 'remote_ip4'
  | 'local_ip4'
  | 'wire_len'
  | 'gso_segs'
  | 'gso_size';

export const SKB_OFFSET = Object.fromEntries(SK_BUFF.fields.map((f) => [f.name, f.offset])) as Record<
  string,
  number
>;

export class SkBuff {
  private buffer: Region;
  readonly context: Region;
  readonly pointers: ContextPointers;
  /** The socket that `__sk_buff.sk` leads to. */
  readonly socket: Region;
  /** Memory offset of the first byte. */
  data = 0;
  /** Bytes from `data` on. */
  length = 0;
  /** Memory offsets of the headers. */
  macHeader = 0;
  networkHeader = 0;
  /** Received and not yet passed up: where a socket can be chosen for it. */
  atIngress = false;
  /** The socket that `bpf_sk_assign` chose. */
  assigned: Sock | undefined;
  /** Bytes without a socket buffer around them, as a test run gives them to a flow dissector: helpers find no packet. */
  bare = false;
  /** Has an outer header that a program put there. */
  encapsulated = false;
  /** Metadata of a tunnel: set for the way out, or as the packet came in. */
  tunnel: TunnelInfo | undefined;
  /** Whether programs of this run may use `data` and `data_end`. */
  direct = true;
  /** Memory offset of the `struct sk_buff` that netfilter's programs are given. */
  kernelImage: number | undefined;

  constructor(private readonly memory: EngineMemory) {
    this.buffer = memory.alloc(BUFFER, 'none');
    this.pointers = new ContextPointers(memory, SK_BUFF.size);
    this.context = this.pointers.context;
    this.socket = memory.alloc(SOCK.size, 'read');
  }

  get u8(): Uint8Array {
    return this.memory.u8;
  }

  get view(): DataView {
    return this.memory.view;
  }

  /** Whether an offset of memory is what a program knows the packet by. */
  isAt(offset: number): boolean {
    return this.context.address32 === offset || this.kernelImage === offset;
  }

  /** The packet's bytes from `data` on: what LD_ABS and LD_IND read. */
  get region(): Region {
    const { memory, data, length } = this;
    const bytes = memory.u8.subarray(data, data + length);
    return { address: memory.addressOf(data), address32: data, size: length, bytes };
  }

  /** Puts a frame in, Ethernet header first, and clears the context. */
  fill(frame: Uint8Array): void {
    const { u8 } = this.memory;
    const start = this.buffer.address32;
    u8.fill(0, start, start + this.buffer.size);
    this.context.bytes.fill(0);
    this.socket.bytes.fill(0);
    this.tunnel = undefined;
    this.bare = false;
    this.encapsulated = false;
    this.assigned = undefined;
    this.data = start + HEADROOM;
    this.length = frame.length;
    this.macHeader = this.data;
    u8.set(frame, this.data);
  }

  get(field: SkbField): number {
    return this.memory.view.getUint32(this.context.address32 + SKB_OFFSET[field]!, true);
  }

  set(field: SkbField, value: number): void {
    this.memory.view.setUint32(this.context.address32 + SKB_OFFSET[field]!, value, true);
  }

  /** Takes `size` bytes off the front. */
  pull(size: number): void {
    this.data += size;
    this.length -= size;
  }

  /** Puts the front `size` bytes further ahead; false where there cannot be as much room. */
  push(size: number): boolean {
    if (this.data - size < this.buffer.address32 && !this.grow(size, 0)) return false;
    this.data -= size;
    this.length += size;
    return true;
  }

  /** Cuts, or lengthens by zeros; false when there is no room. */
  resize(length: number): boolean {
    const more = this.data + length - (this.buffer.address32 + this.buffer.size);
    if (more > 0 && !this.grow(0, more)) return false;
    if (length > this.length) this.memory.u8.fill(0, this.data + this.length, this.data + length);
    this.length = length;
    return true;
  }

  /** A larger buffer, with so many bytes more in front and behind (`pskb_expand_head`). */
  private grow(front: number, behind: number): boolean {
    const { buffer, memory } = this;
    if (this.length + front + behind > MAX_LENGTH) return false;
    const larger = memory.alloc(buffer.size + front + behind, 'none');
    const by = larger.address32 + front - buffer.address32;
    memory.u8.copyWithin(this.data + by, this.data, this.data + this.length);
    this.data += by;
    this.macHeader += by;
    this.networkHeader += by;
    memory.free(buffer);
    this.buffer = larger;
    return true;
  }

  /** Brings the context's view of the packet up to date: what `bpf_compute_data_pointers` does. */
  sync(): void {
    this.set('len', this.length);
    this.set('data', this.data);
    // Without direct access the control block that holds the end is empty.
    this.set('data_end', this.direct ? this.data + this.length : 0);
    this.set('data_meta', this.direct ? this.data : 0);
    this.pointers.set(this.data, this.direct ? this.data + this.length : 0, this.direct ? this.data : 0);
    this.memory.protect(this.buffer.address32, this.buffer.size, 'none');
    if (!this.direct) return;
    const first = this.data & ~7;
    this.memory.protect(first, this.data + this.length - first, 'readwrite');
  }

  /** Bytes from `data` on. */
  contents(): Uint8Array {
    return this.memory.u8.slice(this.data, this.data + this.length);
  }

  /** Memory offset of `size` bytes at `at`, or -1 when they are not all there. */
  at(at: number, size: number): number {
    return at >= 0 && at + size <= this.length ? this.data + at : -1;
  }

  release(): void {
    for (const region of [this.buffer, this.context, this.socket]) this.memory.free(region);
  }
}
