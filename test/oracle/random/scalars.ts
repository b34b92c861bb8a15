/** Statements on numbers: arithmetic at both widths, extensions, swaps, branches, loops. */
import { AND64_IMM, JA } from './builder.js';
import { type Gen, SCALAR } from './gen.js';

const ALU = [0x00, 0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xc0];
const JUMPS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
const SHIFTS = [0x60, 0x70, 0xc0];
const DIVISIONS = [0x30, 0x90];

export function alu(g: Gen): void {
  const { rng } = g;
  const wide = rng.chance(0.6);
  const op = rng.pick(ALU);
  const dst = g.mutable();
  const signed = DIVISIONS.includes(op) && rng.chance(0.4) ? 1 : 0;
  const cls = wide ? 7 : 4;
  if (rng.chance(0.45)) {
    g.b.emit(cls | op | 8, dst, g.scalar(), signed);
  } else if (SHIFTS.includes(op)) {
    g.b.emit(cls | op, dst, 0, 0, rng.range(0, wide ? 63 : 31));
  } else {
    const imm = g.imm();
    g.b.emit(cls | op, dst, 0, signed, DIVISIONS.includes(op) && imm === 0 ? 3 : imm);
  }
  g.set(dst, SCALAR);
}

export function move(g: Gen): void {
  const { rng } = g;
  const wide = rng.chance(0.6);
  const src = g.scalar();
  const dst = g.dest();
  const off = rng.chance(0.5) ? 0 : rng.pick(wide ? [8, 16, 32] : [8, 16]);
  g.b.emit(wide ? 0xbf : 0xbc, dst, src, off);
  g.set(dst, SCALAR);
}

export function swapOrNegate(g: Gen): void {
  const { rng } = g;
  const reg = g.mutable();
  if (rng.chance(0.4)) g.b.emit(rng.chance(0.5) ? 0x87 : 0x84, reg);
  else g.b.emit(rng.pick([0xd4, 0xdc, 0xd7]), reg, 0, 0, rng.pick([16, 32, 64]));
}

export function constant(g: Gen): void {
  const { rng } = g;
  const reg = g.dest();
  if (rng.chance(0.3))
    g.b.wide(reg, 0, rng.int32(), rng.pick([0, 1, -1, 0x7fffffff, -0x80000000, rng.int32()]));
  else g.b.emit(rng.chance(0.7) ? 0xb7 : 0xb4, reg, 0, 0, g.imm());
  g.set(reg, SCALAR);
}

export function unknown(g: Gen): void {
  g.unknown(g.dest());
}

/** A conditional jump without its target. Returns its slot. */
export function condition(g: Gen, dst: number): number {
  const { rng } = g;
  const cls = rng.chance(0.6) ? 5 : 6;
  const op = rng.pick(JUMPS);
  if (rng.chance(0.65)) return g.b.emit(cls | op, dst, 0, 0, g.imm());
  return g.b.emit(cls | op | 8, dst, g.scalar());
}

export type Body = (g: Gen, count: number) => void;

/** if / else. */
export function branch(g: Gen, body: Body): void {
  const { rng } = g;
  const jump = condition(g, g.scalar());
  const before = g.snapshot();
  body(g, rng.range(1, 4));
  if (rng.chance(0.5)) {
    g.b.land(jump);
    g.join(before);
    return;
  }
  const over = g.b.emit(JA);
  g.b.land(jump);
  const taken = g.snapshot();
  g.restore(before);
  body(g, rng.range(1, 4));
  g.b.land(over);
  g.join(taken);
}

/** Leaves the function early. */
export function guard(g: Gen): void {
  if (g.noExit > 0) return;
  const jump = condition(g, g.scalar());
  g.exit();
  g.b.land(jump);
}

/** Several numbers of one origin, one of which is then compared: linked registers. */
export function linked(g: Gen): void {
  const { rng, b } = g;
  const src = g.scalar();
  const copy = g.dest([src]);
  const wide = rng.chance(0.7);
  b.emit(wide ? 0xbf : 0xbc, copy, src);
  g.set(copy, SCALAR);
  if (rng.chance(0.5))
    b.emit(
      rng.chance(0.7) ? 0x07 : 0x04,
      copy,
      0,
      0,
      rng.pick([1, 2, 4, 8, -1, -4, 100, 0x7fffffff, rng.int32()]),
    );
  if (rng.chance(0.3)) {
    const third = g.dest([src, copy]);
    b.copy(third, rng.pick([src, copy]));
    g.set(third, SCALAR);
  }
  if (g.noExit > 0) return;
  const jump = condition(g, rng.pick([src, copy]));
  g.exit();
  b.land(jump);
}

/** Makes a number at most `max`, one way or another. Returns its register. */
export function bounded(g: Gen, max: number): number {
  const { rng, b } = g;
  const reg = g.mutable();
  const limit = g.slips()
    ? max + rng.pick([1, 1, 2, 8])
    : Math.max(0, max - (rng.chance(0.5) ? rng.range(0, max) : 0));
  const way = g.noExit > 0 ? rng.range(0, 2) : rng.range(0, 6);
  const mask = limit === 0 ? 0 : 2 ** Math.floor(Math.log2(limit + 1)) - 1;
  if (way === 0) b.emit(rng.chance(0.7) ? AND64_IMM : 0x54, reg, 0, 0, mask);
  else if (way === 1) b.emit(rng.chance(0.5) ? 0x97 : 0x94, reg, 0, 0, limit + 1);
  else if (way === 2) {
    b.emit(0x77, reg, 0, 0, Math.min(63, 64 - Math.floor(Math.log2(limit + 1))));
    if (limit === 0) b.mov(reg, 0);
  } else if (way <= 4) {
    const cls = rng.chance(0.6) ? 5 : 6;
    const jump = b.emit(cls | 0xb0, reg, 0, 0, limit);
    g.exit();
    b.land(jump);
    if (cls === 6 && !g.slips()) b.emit(0xbc, reg, reg);
  } else if (way === 5) {
    const low = b.emit(rng.chance(0.8) ? 0x75 : 0x65, reg, 0, 0, rng.pick([0, -1, 0]));
    g.exit();
    b.land(low);
    const high = b.emit(0xd5, reg, 0, 0, limit);
    g.exit();
    b.land(high);
  } else {
    const other = g.dest([reg]);
    b.emit(0xb7, other, 0, 0, limit);
    const jump = b.emit(rng.pick([0xbd, 0xbd, 0xbe]), reg, other);
    g.exit();
    b.land(jump);
    g.set(other, SCALAR);
  }
  g.set(reg, SCALAR);
  return reg;
}

/** A counted loop. */
export function loop(g: Gen, body: Body): void {
  const { rng, b } = g;
  const counter = g.dest([0, 1, 2, 3, 4, 5].filter(() => rng.chance(0.6)));
  if (g.held.has(counter)) return;
  const count = rng.range(2, 8);
  b.mov(counter, 0);
  g.set(counter, SCALAR);
  g.held.add(counter);
  const before = g.snapshot();
  const start = b.here;
  const mayGoto = rng.chance(0.25) ? b.emit(0xe5) : undefined;
  body(g, rng.range(1, 3));
  const kept = counter >= 6 || g.regs[counter]!.kind === 'scalar';
  g.join(before);
  if (kept) {
    b.add(counter, 1);
    const jump = rng.chance(0.5)
      ? b.emit(rng.pick([0xa5, 0xa6, 0xc5]), counter, 0, 0, count)
      : b.emit(0x55, counter, 0, 0, count);
    b.slots[jump]!.off = start - jump - 1;
  }
  if (mayGoto !== undefined) b.land(mayGoto);
  g.held.delete(counter);
}
