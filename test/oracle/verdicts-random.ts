/**
 * Random programs that stand a chance with a verifier: registers mostly initialised, pointers used mostly as such. Weighted
 * to what is hard: ranges, branches, spills at all widths, maps, packets, calls. The same seed gives the same program.
 */
import type { MapSpec } from './random/gen.js';
import { Rng } from './verdicts-rng.js';

export interface RandomProgram {
  readonly progType: 'socket_filter' | 'xdp' | 'sched_cls';
  readonly insns: string;
  readonly maps: readonly MapSpec[];
}

interface Slot {
  code: number;
  dst: number;
  src: number;
  off: number;
  imm: number;
}

const MAPS = [
  { type: 'array', key_size: 4, value_size: 64, max_entries: 4, map_flags: 0, name: 'arr' },
  { type: 'hash', key_size: 8, value_size: 48, max_entries: 8, map_flags: 0, name: 'hash' },
] as const;

const ALU_OPS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xc0];
const JUMP_OPS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
const IMMS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256, 0x7fff, 0xffff, -1, -2, -8, -16, -64, 0x7fffffff,
  -0x80000000,
];
const SIZES = [0x10, 0x08, 0x00, 0x18];
const BYTES = new Map([
  [0x10, 1],
  [0x08, 2],
  [0x00, 4],
  [0x18, 8],
]);

class Generator {
  readonly #rng: Rng;
  readonly #out: Slot[] = [];
  readonly #progType: RandomProgram['progType'];
  /** Registers that hold numbers, as far as a look at the straight line tells. */
  readonly #scalars = new Set<number>();

  constructor(rng: Rng) {
    this.#rng = rng;
    this.#progType = rng.pick(['socket_filter', 'xdp', 'sched_cls']);
  }

  run(): RandomProgram {
    this.#emit(0xbf, 9, 1);
    for (let reg = 0; reg <= 8; reg++) this.#initial(reg);
    const length = this.#rng.range(4, 40);
    for (let i = 0; i < length; i++) this.#step(length - i);
    this.#emit(0xb7, 0, 0, 0, this.#rng.range(0, 1));
    this.#emit(0x95, 0);
    this.#fixJumps();
    return { progType: this.#progType, insns: toHex(encode(this.#out)), maps: MAPS };
  }

  #emit(code: number, dst: number, src = 0, off = 0, imm = 0): void {
    this.#out.push({ code, dst, src, off, imm });
  }

  #imm(): number {
    return this.#rng.chance(0.7) ? this.#rng.pick(IMMS) : this.#rng.int32();
  }

  #any(): number {
    return this.#rng.range(0, 8);
  }

  /** A number most of the time. */
  #reg(): number {
    const scalars = [...this.#scalars];
    return scalars.length > 0 && this.#rng.chance(0.97) ? this.#rng.pick(scalars) : this.#any();
  }

  #pointer(): number {
    const pointers = [0, 1, 2, 3, 4, 5, 6, 7, 8].filter((reg) => !this.#scalars.has(reg));
    return pointers.length > 0 && this.#rng.chance(0.9) ? this.#rng.pick(pointers) : this.#any();
  }

  #initial(reg: number): void {
    const kind = this.#rng.range(0, 9);
    this.#scalars.add(reg);
    if (kind < 3) this.#emit(0xb7, reg, 0, 0, this.#imm());
    else if (kind < 8) this.#emit(0x61, reg, 9, this.#progType === 'xdp' ? 16 : this.#rng.pick([0, 4, 8]));
    else if (kind === 8) this.#emit(0xb4, reg, 0, 0, this.#imm());
    else {
      this.#emit(0xbf, reg, 10);
      this.#scalars.delete(reg);
    }
  }

  #step(left: number): void {
    const kind = this.#rng.range(0, 19);
    if (kind < 7) this.#alu();
    else if (kind < 10) this.#jump(left);
    else if (kind < 13) this.#stack();
    else if (kind === 13) this.#lookup();
    else if (kind === 14) this.#access();
    else if (kind === 15) this.#random();
    else if (kind === 16 && this.#progType !== 'socket_filter') this.#packet();
    else if (kind === 17) this.#bounded();
    else if (kind === 18) this.#atomic();
    else this.#move();
  }

  #alu(): void {
    const cls = this.#rng.chance(0.6) ? 0x07 : 0x04;
    const op = this.#rng.pick(ALU_OPS);
    const dst = this.#reg();
    if (this.#rng.chance(0.5)) {
      const isShift = op === 0x60 || op === 0x70 || op === 0xc0;
      const imm = isShift ? this.#rng.range(0, cls === 7 ? 63 : 31) : this.#imm();
      this.#emit(cls | op, dst, 0, 0, (op === 0x30 || op === 0x90) && imm === 0 ? 3 : imm);
    } else {
      this.#emit(cls | op | 0x08, dst, this.#reg());
    }
    if (this.#rng.chance(0.05)) this.#emit(cls | 0x80, dst);
    if (this.#rng.chance(0.05))
      this.#emit(this.#rng.pick([0xd4, 0xdc, 0xd7]), dst, 0, 0, this.#rng.pick([16, 32, 64]));
  }

  #move(): void {
    const wide = this.#rng.chance(0.7);
    const off = this.#rng.chance(0.7) ? 0 : this.#rng.pick(wide ? [8, 16, 32] : [8, 16]);
    const src = this.#rng.chance(0.05) ? 10 : this.#reg();
    const dst = this.#any();
    if (src !== 10 && (this.#scalars.has(src) || !wide || off !== 0)) this.#scalars.add(dst);
    else this.#scalars.delete(dst);
    this.#emit(wide ? 0xbf : 0xbc, dst, src, off);
  }

  #jump(left: number): void {
    const cls = this.#rng.chance(0.6) ? 0x05 : 0x06;
    const op = this.#rng.pick(JUMP_OPS);
    const off = this.#rng.chance(0.04) ? -this.#rng.range(2, 10) : this.#rng.range(0, Math.min(left, 12));
    if (this.#rng.chance(0.6)) this.#emit(cls | op, this.#reg(), 0, off, this.#imm());
    else this.#emit(cls | op | 0x08, this.#reg(), this.#reg(), off);
  }

  #stack(): void {
    const size = this.#rng.pick(SIZES);
    const bytes = BYTES.get(size)!;
    const off = -bytes * this.#rng.range(1, Math.floor(48 / bytes));
    const kind = this.#rng.range(0, 3);
    if (kind === 0) this.#emit(0x62 | size, 10, 0, off, this.#imm());
    else if (kind === 1) this.#emit(0x63 | size, 10, this.#reg(), off);
    else if (kind === 2) this.#emit(0x61 | size, this.#reg(), 10, off);
    else this.#emit(size === 0x18 ? 0x79 : 0x81 | size, this.#reg(), 10, off);
  }

  #lookup(): void {
    const map = this.#rng.range(0, 1);
    this.#emit(0x7a, 10, 0, -8, this.#rng.range(0, 5));
    this.#emit(0xbf, 2, 10);
    this.#emit(0x07, 2, 0, 0, -8);
    this.#emit(0x18, 1, 1, 0, map);
    this.#emit(0, 0);
    this.#emit(0x85, 0, 0, 0, 1);
    if (this.#rng.chance(0.9)) this.#emit(this.#rng.pick([0x15, 0x55]), 0, 0, this.#rng.range(0, 6), 0);
    this.#scalars.delete(0);
    if (this.#rng.chance(0.5)) {
      const copy = this.#rng.range(6, 8);
      this.#emit(0xbf, copy, 0);
      this.#scalars.delete(copy);
    }
    this.#refill();
  }

  /** Registers that a call left empty. */
  #refill(): void {
    for (let reg = 1; reg <= 5; reg++) {
      this.#emit(0xb7, reg, 0, 0, this.#imm());
      this.#scalars.add(reg);
    }
  }

  #access(): void {
    const size = this.#rng.pick(SIZES);
    const base = this.#pointer();
    const off = this.#rng.pick([0, 0, 8, 16, 32, 40, 44, 56, -8, -16]);
    if (this.#rng.chance(0.5)) this.#emit(0x61 | size, this.#reg(), base, off);
    else this.#emit(0x63 | size, base, this.#reg(), off);
  }

  #random(): void {
    this.#emit(0x85, 0, 0, 0, 7);
    this.#scalars.add(0);
    this.#refill();
  }

  #packet(): void {
    const end = this.#progType === 'xdp' ? 4 : 80;
    const data = this.#progType === 'xdp' ? 0 : 76;
    for (let reg = 2; reg <= 4; reg++) this.#scalars.delete(reg);
    this.#scalars.add(5);
    this.#emit(0x61, 2, 9, data);
    this.#emit(0x61, 3, 9, end);
    this.#emit(0xbf, 4, 2);
    if (this.#rng.chance(0.4)) {
      const index = this.#reg();
      this.#emit(0x57, index, 0, 0, 63);
      this.#emit(0x0f, 4, index);
    }
    this.#emit(0x07, 4, 0, 0, this.#rng.range(0, 32));
    const op = this.#rng.pick([0x2d, 0x3d, 0xad, 0xbd]);
    if (this.#rng.chance(0.5)) this.#emit(op, 4, 3, this.#rng.range(0, 4));
    else this.#emit(op, 3, 4, this.#rng.range(0, 4));
    this.#emit(this.#rng.pick([0x71, 0x69, 0x61]), 5, 2, this.#rng.range(0, 8));
  }

  /** A number made small, then added to a pointer. */
  #bounded(): void {
    const reg = this.#reg();
    if (this.#rng.chance(0.5)) this.#emit(0x57, reg, 0, 0, this.#rng.pick([1, 3, 7, 15, 31, 63, 0x78]));
    else this.#emit(0x25, reg, 0, this.#rng.range(1, 4), this.#rng.pick([1, 8, 15, 47, 63]));
    if (this.#rng.chance(0.3)) this.#emit(this.#rng.pick([0x0f, 0x0f, 0x1f]), this.#pointer(), reg);
  }

  #atomic(): void {
    const imm = this.#rng.pick([0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1, 0x100, 0x110]);
    const wide = this.#rng.chance(0.6);
    const off = wide ? -8 * this.#rng.range(1, 4) : -4 * this.#rng.range(1, 8);
    if (imm === 0x100) this.#emit(wide ? 0xdb : 0xc3, this.#reg(), 10, off, imm);
    else this.#emit(wide ? 0xdb : 0xc3, 10, this.#reg(), off, imm);
  }

  /** Jumps that would leave the program or land in the second half of a load are moved to the next instruction. */
  #fixJumps(): void {
    const out = this.#out;
    out.forEach((slot, i) => {
      const cls = slot.code & 7;
      const op = slot.code & 0xf0;
      if ((cls !== 5 && cls !== 6) || op === 0x80 || op === 0x90) return;
      const target = i + 1 + slot.off;
      const inside = target > 9 && target < out.length && out[target]!.code !== 0;
      if (!inside) slot.off = 0;
    });
  }
}

function encode(slots: readonly Slot[]): Uint8Array {
  const bytes = new Uint8Array(slots.length * 8);
  const view = new DataView(bytes.buffer);
  slots.forEach(({ code, dst, src, off, imm }, i) => {
    view.setUint8(8 * i, code);
    view.setUint8(8 * i + 1, dst | (src << 4));
    view.setInt16(8 * i + 2, off, true);
    view.setInt32(8 * i + 4, imm, true);
  });
  return bytes;
}

export function randomProgram(seed: number): RandomProgram {
  return new Generator(new Rng(seed)).run();
}

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
