/**
 * A helper's view of its caller: the registers of the execution that owns the core. One object an engine,
 * made so that reading an argument is one typed-array access.
 */
import { HOT_PACKET, HOT_PACKET_LEN, HOT_PACKET_NET, HOT_REGS } from './core/layout.js';
import { HelperFault } from './errors.js';
import type { EngineMemory } from './memory.js';
import type { Caller, RegValue } from './types.js';

const asUintN = BigInt.asUintN;

export class HelperCall {
  /** Registers as 32-bit halves: low half of rN at 2N, high half at 2N + 1. */
  i32!: Int32Array;
  u32!: Uint32Array;
  /** Registers r0 to r10. */
  i64!: BigInt64Array;
  f64!: Float64Array;
  /** The execution that made the call. */
  execution!: Caller;

  constructor(readonly memory: EngineMemory) {
    this.refresh();
  }

  /** Makes the views anew after memory has grown. */
  refresh(): void {
    const { buffer } = this.memory.wasm;
    this.i32 = new Int32Array(buffer, HOT_REGS, 22);
    this.u32 = new Uint32Array(buffer, HOT_REGS, 22);
    this.i64 = new BigInt64Array(buffer, HOT_REGS, 11);
    this.f64 = new Float64Array(buffer, HOT_REGS, 11);
  }

  /** Register `n` as an unsigned 64-bit number. */
  arg(n: number): bigint {
    return asUintN(64, this.i64[n]!);
  }

  /** Low half of register `n`, signed. */
  argI32(n: number): number {
    return this.i32[2 * n]!;
  }

  /** Low half of register `n`, unsigned. */
  argU32(n: number): number {
    return this.u32[2 * n]!;
  }

  /** Sets r0: a bigint modulo 2^64, or a safe integer. */
  setR0(value: RegValue): void {
    setHalves(this.i32, this.i64, 0, value);
  }

  /** What LD_ABS and LD_IND of the caller read from now on, for helpers that move or resize the packet. */
  setPacket(offset: number, length: number, networkOffset: number): void {
    const { i32 } = this.memory;
    i32[HOT_PACKET >> 2] = offset;
    i32[HOT_PACKET_LEN >> 2] = length;
    i32[HOT_PACKET_NET >> 2] = networkOffset;
  }

  /**
   * Memory offset of the `size` bytes that register `n` points to, which the helper will read or, with
   * `write`, write. Throws `HelperFault` when they are not memory that the caller may use so.
   */
  pointer(n: number, size: number, write = false): number {
    const { memory } = this;
    const offset = memory.offsetOfHalves(this.i32[2 * n]!, this.i32[2 * n + 1]!, size);
    if (offset >= 0 && (!this.execution.program.checked || memory.allows(offset, size, write))) return offset;
    const address = this.arg(n);
    const what = `${write ? 'write' : 'read'} of ${size} bytes at 0x${address.toString(16)}`;
    throw new HelperFault(`r${n}: ${what} is not allowed`, address, size);
  }

  /** View of those bytes; valid until memory grows. */
  bytes(n: number, size: number, write = false): Uint8Array {
    const offset = this.pointer(n, size, write);
    return this.memory.u8.subarray(offset, offset + size);
  }
}

/** Writes a register given as bigint or safe integer; `n` counts 8-byte words of both views. */
export function setHalves(i32: Int32Array, i64: BigInt64Array, n: number, value: RegValue): void {
  if (typeof value === 'bigint') {
    i64[n] = value;
    return;
  }
  const low = value | 0;
  i32[2 * n] = low;
  i32[2 * n + 1] = low === value ? low >> 31 : Math.floor(value / 4294967296);
}
