/**
 * Dynptrs: pointers to memory whose size is known only when a program runs, kept in 16 bytes of the program's stack.
 * Models `struct bpf_dynptr_kern` (include/linux/bpf.h) and the helpers and kernel functions on it in
 * kernel/bpf/helpers.c of Linux 6.18. Programs cannot forge one where a verifier has passed them; what others forge is
 * checked when it is used.
 */
import { Errno } from '../../abi/errno.js';
import { type HelperCall, HelperFault } from '../../vm/index.js';
import type { Machine } from '../machine.js';

const DYNPTR_BYTES = 16;
/** `enum bpf_dynptr_type`. */
export const DynptrKind = { invalid: 0, local: 1, ringbuf: 2, skb: 3, xdp: 4, skbMeta: 5 } as const;
export type DynptrKind = (typeof DynptrKind)[keyof typeof DynptrKind];

/** DYNPTR_MAX_SIZE. */
export const MAX_DYNPTR_SIZE = (1 << 24) - 1;
const KIND_SHIFT = 28;
const KIND_MASK = 7;
const RDONLY = 0x8000_0000;

export class Dynptr {
  constructor(
    private readonly kernel: Machine,
    /** Memory offset of its 16 bytes. */
    readonly at: number,
  ) {}

  /** Memory offset of the data, of the context for a packet; 0 for a null dynptr. */
  get data(): number {
    return this.kernel.memory.view.getUint32(this.at, true);
  }

  private get word(): number {
    return this.kernel.memory.view.getUint32(this.at + 8, true);
  }

  private set word(word: number) {
    this.kernel.memory.view.setUint32(this.at + 8, word >>> 0, true);
  }

  get isNull(): boolean {
    return this.data === 0;
  }

  get kind(): DynptrKind {
    return ((this.word >>> KIND_SHIFT) & KIND_MASK) as DynptrKind;
  }

  get readOnly(): boolean {
    return (this.word & RDONLY) !== 0;
  }

  setReadOnly(): void {
    this.word |= RDONLY;
  }

  get size(): number {
    return this.word & MAX_DYNPTR_SIZE;
  }

  set size(size: number) {
    this.word = (this.word & ~MAX_DYNPTR_SIZE) | size;
  }

  get offset(): number {
    return this.kernel.memory.view.getUint32(this.at + 12, true);
  }

  set offset(offset: number) {
    this.kernel.memory.view.setUint32(this.at + 12, offset, true);
  }

  init(data: number, kind: DynptrKind, offset: number, size: number): void {
    const { view } = this.kernel.memory;
    view.setBigUint64(this.at, this.kernel.memory.addressOf(data), true);
    view.setUint32(this.at + 8, ((kind << KIND_SHIFT) | size) >>> 0, true);
    view.setUint32(this.at + 12, offset, true);
  }

  setNull(): void {
    this.kernel.memory.u8.fill(0, this.at, this.at + DYNPTR_BYTES);
  }

  copyFrom(other: Dynptr): void {
    this.kernel.memory.u8.copyWithin(this.at, other.at, other.at + DYNPTR_BYTES);
  }

  /** Whether `length` bytes from `offset` lie in it. */
  has(offset: number, length: number): boolean {
    const { size } = this;
    return length <= size && offset <= size - length;
  }

  /** Memory offset of bytes that lie in one piece; -1 where they do not. */
  piece(offset: number, length: number): number {
    const { kind, data } = this;
    const at = this.offset + offset;
    if (kind === DynptrKind.local || kind === DynptrKind.ringbuf || kind === DynptrKind.skbMeta) {
      const { memory } = this.kernel;
      if (memory.offsetOf(memory.addressOf(data + at), Math.max(length, 1)) < 0) this.forged();
      return data + at;
    }
    if (kind === DynptrKind.xdp) return this.xdp().linear(at, length);
    if (kind === DynptrKind.skb) return this.skb().at(at, length);
    return this.forged();
  }

  /** Copies bytes out of it; 0 or a negative errno. */
  load(offset: number, to: number, length: number): number {
    const piece = this.piece(offset, length);
    if (piece >= 0) {
      this.kernel.memory.u8.copyWithin(to, piece, piece + length);
      return 0;
    }
    if (this.kind === DynptrKind.xdp)
      return this.xdp().load(this.offset + offset, to, length) ? 0 : -Errno.EINVAL;
    return -Errno.EFAULT;
  }

  store(offset: number, from: number, length: number): number {
    const piece = this.piece(offset, length);
    if (piece >= 0) {
      this.kernel.memory.u8.copyWithin(piece, from, from + length);
      return 0;
    }
    if (this.kind === DynptrKind.xdp)
      return this.xdp().store(this.offset + offset, from, length) ? 0 : -Errno.EINVAL;
    return -Errno.EFAULT;
  }

  private xdp() {
    const { xdp } = this.kernel.net;
    return xdp !== undefined && xdp.context.address32 === this.data ? xdp : this.forged();
  }

  private skb() {
    const { skb } = this.kernel.net;
    return skb !== undefined && skb.context.address32 === this.data ? skb : this.forged();
  }

  private forged(): never {
    throw new HelperFault(`the dynptr at 0x${this.kernel.memory.addressOf(this.at).toString(16)} is none`);
  }
}

/** The dynptr in register `n`. */
export function dynptrArg(kernel: Machine, call: HelperCall, n: number, write = false): Dynptr {
  return new Dynptr(kernel, call.pointer(n, DYNPTR_BYTES, write));
}
