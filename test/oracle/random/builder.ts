/** Instructions of a random program as slots, with jumps and calls patched once their targets are known. */

export interface Slot {
  code: number;
  dst: number;
  src: number;
  off: number;
  imm: number;
}

export const Size = { w: 0x00, h: 0x08, b: 0x10, dw: 0x18 } as const;
export const SIZES: readonly number[] = [Size.b, Size.h, Size.w, Size.dw];

export const bytesOf = (size: number): number =>
  size === Size.b ? 1 : size === Size.h ? 2 : size === Size.w ? 4 : 8;

export const EXIT = 0x95;
export const CALL = 0x85;
export const LD_IMM64 = 0x18;
export const JA = 0x05;
export const MOV64_IMM = 0xb7;
export const MOV64_REG = 0xbf;
export const ADD64_IMM = 0x07;
export const ADD64_REG = 0x0f;
export const AND64_IMM = 0x57;
export const JEQ_IMM = 0x15;
export const JNE_IMM = 0x55;

export class Builder {
  readonly slots: Slot[] = [];

  get here(): number {
    return this.slots.length;
  }

  /** Index of the new slot. */
  emit(code: number, dst = 0, src = 0, off = 0, imm = 0): number {
    return this.slots.push({ code, dst, src, off, imm }) - 1;
  }

  /** Lets the jump at `at` lead to the next instruction. */
  land(at: number): void {
    this.slots[at]!.off = this.here - at - 1;
  }

  mov(dst: number, imm: number): void {
    this.emit(MOV64_IMM, dst, 0, 0, imm);
  }

  copy(dst: number, src: number): void {
    this.emit(MOV64_REG, dst, src);
  }

  add(dst: number, imm: number): void {
    this.emit(ADD64_IMM, dst, 0, 0, imm);
  }

  load(size: number, dst: number, src: number, off: number): void {
    this.emit(0x61 | size, dst, src, off);
  }

  store(size: number, dst: number, off: number, src: number): void {
    this.emit(0x63 | size, dst, src, off);
  }

  storeImm(size: number, dst: number, off: number, imm: number): void {
    this.emit(0x62 | size, dst, 0, off, imm);
  }

  call(helper: number): void {
    this.emit(CALL, 0, 0, 0, helper);
  }

  /** LD_IMM64 of a pseudo source. */
  wide(dst: number, src: number, low: number, high = 0): number {
    const at = this.emit(LD_IMM64, dst, src, 0, low);
    this.emit(0, 0, 0, 0, high);
    return at;
  }
}

export function encodeSlots(slots: readonly Slot[]): string {
  const bytes = Buffer.alloc(slots.length * 8);
  slots.forEach(({ code, dst, src, off, imm }, i) => {
    bytes.writeUInt8(code, 8 * i);
    bytes.writeUInt8(dst | (src << 4), 8 * i + 1);
    bytes.writeInt16LE((off << 16) >> 16, 8 * i + 2);
    bytes.writeInt32LE(imm | 0, 8 * i + 4);
  });
  return bytes.toString('hex');
}

export function decodeSlots(hex: string): Slot[] {
  const bytes = Buffer.from(hex, 'hex');
  return Array.from({ length: bytes.length / 8 }, (_, i) => ({
    code: bytes.readUInt8(8 * i),
    dst: bytes.readUInt8(8 * i + 1) & 15,
    src: bytes.readUInt8(8 * i + 1) >> 4,
    off: bytes.readInt16LE(8 * i + 2),
    imm: bytes.readInt32LE(8 * i + 4),
  }));
}
