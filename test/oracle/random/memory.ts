/** Statements on memory: the stack at all widths, the context, pointers to map values and buffers, atomic operations. */
import { bytesOf, SIZES, Size } from './builder.js';
import { CTX, type Gen, NONE, POINTER_OFF, type ProgTypeName, SCALAR, STACK } from './gen.js';
import { bounded } from './scalars.js';

function written(g: Gen, off: number, bytes: number): boolean {
  const first = -off - bytes;
  return first >= 0 && g.stack.subarray(first, first + bytes).every((byte) => byte === 1);
}

function write(g: Gen, off: number, bytes: number): void {
  const first = -off - bytes;
  if (first >= 0) g.stack.fill(1, first, first + bytes);
}

function slotOf(g: Gen, size: number): number {
  const bytes = bytesOf(size);
  return -bytes * g.rng.range(1, STACK / bytes);
}

export function storeStack(g: Gen): void {
  const size = g.size();
  const off = slotOf(g, size);
  if (g.rng.chance(0.3)) g.b.storeImm(size, 10, off, g.imm());
  else g.b.store(size, 10, off, g.scalar());
  write(g, off, bytesOf(size));
}

export function loadStack(g: Gen): void {
  const { rng } = g;
  for (let tries = 0; tries < 6; tries++) {
    const size = g.size();
    const off = slotOf(g, size);
    if (!written(g, off, bytesOf(size)) && !g.slips()) continue;
    const dst = g.dest();
    if (size !== Size.dw && rng.chance(0.3)) g.b.emit(0x81 | size, dst, 10, off);
    else g.b.load(size, dst, 10, off);
    g.set(dst, SCALAR);
    return;
  }
  storeStack(g);
}

/** A number to the stack and back, compared on the way: the spilled one learns of it too. */
export function spillNumber(g: Gen): void {
  const { rng, b } = g;
  const size = rng.chance(0.6) ? Size.dw : g.size();
  const off = slotOf(g, size);
  const src = g.scalar();
  b.store(size, 10, off, src);
  write(g, off, bytesOf(size));
  if (rng.chance(0.5) && g.noExit === 0) {
    const jump = b.emit(rng.pick([0x25, 0xb5, 0x65, 0x26, 0x15, 0x56]), src, 0, 0, g.imm());
    g.exit();
    b.land(jump);
  }
  const narrower = SIZES.filter((s) => bytesOf(s) <= bytesOf(size));
  const fill = rng.chance(0.6) ? size : rng.pick(narrower);
  const dst = g.dest();
  b.load(fill, dst, 10, off + (rng.chance(0.8) ? 0 : bytesOf(size) - bytesOf(fill)));
  g.set(dst, SCALAR);
}

export function spillPointer(g: Gen): void {
  const { rng, b } = g;
  const candidates = g.regs.flatMap((reg, i) => (reg.kind === 'none' || reg.kind === 'scalar' ? [] : [i]));
  if (candidates.length === 0) return;
  const src = rng.pick(candidates);
  const what = g.regs[src]!;
  b.store(g.slips() ? Size.w : Size.dw, 10, POINTER_OFF, src);
  if (rng.chance(0.3) && !g.held.has(src)) {
    b.mov(src, g.imm());
    g.set(src, SCALAR);
  }
  const dst = g.dest();
  b.load(Size.dw, dst, 10, POINTER_OFF);
  g.set(dst, what);
}

/** A stack access at an offset that is not known, within bytes that are written. */
export function variableStack(g: Gen): void {
  const { rng, b } = g;
  const size = g.size();
  const bytes = bytesOf(size);
  const span = rng.pick([8, 16, 32]);
  const base = -span - bytes - 8 * rng.range(0, 2);
  const index = bounded(g, span);
  const reg = g.dest([index]);
  if (g.held.has(reg)) return;
  for (let off = base - 8; off < 0; off += 8) {
    const at = Math.floor(off / 8) * 8;
    if (at >= -STACK && !written(g, at, 8) && !g.slips()) {
      b.storeImm(Size.dw, 10, at, g.imm());
      write(g, at, 8);
    }
  }
  b.copy(reg, 10);
  b.emit(0x0f, reg, index);
  g.set(reg, NONE);
  const dst = g.dest([reg]);
  const way = rng.range(0, 2);
  if (way === 0) b.store(size, reg, base, g.scalar());
  else if (way === 1) b.storeImm(size, reg, base, rng.pick([0, 0, g.imm()]));
  else {
    b.load(size, dst, reg, base);
    g.set(dst, SCALAR);
  }
}

export function useMemory(g: Gen): void {
  const { rng, b } = g;
  const kind = rng.chance(0.75) ? 'mem' : 'packet';
  const base = g.pointer(kind) ?? g.pointer('mem');
  if (base === undefined) {
    loadStack(g);
    return;
  }
  const { room, readOnly } = g.regs[base]!;
  const size = rng.pick(SIZES.filter((s) => bytesOf(s) <= room));
  const bytes = bytesOf(size);
  const slots = Math.floor(room / bytes);
  const off = g.slips() ? room - bytes + rng.pick([1, bytes, -bytes]) : bytes * rng.range(0, slots - 1);
  const way = rng.range(0, 9);
  if (readOnly !== true || g.slips()) {
    if (way < 3) {
      b.store(size, base, off, g.scalar());
      return;
    }
    if (way === 3) {
      b.storeImm(size, base, off, g.imm());
      return;
    }
    if (way === 4 && bytes >= 4 && g.regs[base]!.kind === 'mem') {
      atomicAt(g, base, off, size);
      return;
    }
  }
  const dst = g.dest([base]);
  if (way === 5 && size !== Size.dw) b.emit(0x81 | size, dst, base, off);
  else b.load(size, dst, base, off);
  g.set(dst, SCALAR);
}

/** Moves a pointer by a bounded number, so that less room is left. */
export function movePointer(g: Gen): void {
  const { rng, b } = g;
  const base = g.pointer('mem');
  if (base === undefined) {
    loadStack(g);
    return;
  }
  const what = g.regs[base]!;
  const max = rng.range(0, what.room - 1);
  const dst = g.dest([base]);
  if (g.held.has(dst)) return;
  if (rng.chance(0.2)) {
    b.copy(dst, base);
    b.add(dst, max);
  } else {
    const index = bounded(g, max);
    if (index === dst || index === base) return;
    b.copy(dst, base);
    b.emit(0x0f, dst, index);
    if (rng.chance(0.15)) b.emit(0x1f, dst, index);
  }
  g.set(dst, { ...what, room: what.room - max });
}

const ATOMICS = [0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1, 0x100, 0x110];

function atomicAt(g: Gen, base: number, off: number, size: number): void {
  const { rng, b } = g;
  const op = rng.pick(ATOMICS);
  const code = 0xc3 | size;
  if (op === 0x100) {
    const dst = g.dest([base]);
    b.emit(code, dst, base, off, op);
    g.set(dst, SCALAR);
    return;
  }
  const src = op === 0x01 || op >= 0x41 ? g.mutable() : g.scalar();
  if (op === 0xf1) {
    if (g.regs[0]!.kind !== 'scalar') b.mov(0, g.imm());
    g.set(0, SCALAR);
  }
  b.emit(code, base, src, off, op);
}

export function atomicStack(g: Gen): void {
  const size = g.rng.chance(0.6) ? Size.dw : Size.w;
  const off = slotOf(g, size);
  if (!written(g, off, bytesOf(size)) && !g.slips()) {
    storeStack(g);
    return;
  }
  atomicAt(g, 10, off, size);
}

/** Offset, size in bytes, and whether it may be written, of context fields. */
const SKB_FIELDS: readonly (readonly [number, number, boolean])[] = [
  [0, 4, false],
  [4, 4, false],
  [8, 4, true],
  [12, 4, false],
  [16, 4, false],
  [24, 4, false],
  [32, 4, true],
  [40, 4, false],
  [48, 4, true],
  [52, 4, true],
  [56, 8, true],
  [64, 4, true],
  [68, 4, false],
  [152, 8, true],
  [164, 4, false],
  [176, 4, false],
];
const FIELDS: Readonly<Record<ProgTypeName, readonly (readonly [number, number, boolean])[]>> = {
  socket_filter: SKB_FIELDS,
  sched_cls: SKB_FIELDS,
  cgroup_skb: SKB_FIELDS,
  xdp: [
    [12, 4, false],
    [16, 4, false],
    [20, 4, false],
  ],
  tracepoint: [
    [8, 8, false],
    [16, 4, false],
    [20, 2, false],
    [22, 1, false],
    [64, 8, false],
  ],
  raw_tracepoint: [
    [0, 8, false],
    [16, 8, false],
    [32, 8, false],
  ],
  kprobe: [
    [0, 8, false],
    [80, 8, false],
    [112, 8, false],
    [160, 8, false],
  ],
  perf_event: [
    [0, 8, false],
    [112, 8, false],
    [168, 8, false],
    [176, 8, false],
  ],
  syscall: [
    [0, 8, true],
    [16, 4, true],
    [20, 2, true],
    [63, 1, false],
  ],
};

export function useContext(g: Gen): void {
  const { rng, b } = g;
  const ctx = g.ctx();
  if (ctx === undefined) {
    loadStack(g);
    return;
  }
  const [field, whole, writable] = rng.pick(FIELDS[g.progType]);
  const size = rng.chance(0.6) ? SIZES.find((s) => bytesOf(s) === whole)! : g.size();
  const bytes = bytesOf(size);
  const off = field + (bytes < whole && rng.chance(0.5) ? bytes * rng.range(0, whole / bytes - 1) : 0);
  if ((bytes > whole || off % bytes !== 0) && !g.slips()) return;
  if (rng.chance(0.35) && (writable || g.slips())) {
    if (rng.chance(0.7)) b.store(size, ctx, off, g.scalar());
    else b.storeImm(size, ctx, off, g.imm());
    return;
  }
  const dst = g.dest();
  b.load(size, dst, ctx, off);
  g.set(dst, SCALAR);
}

/** The context in another register. */
export function copyContext(g: Gen): void {
  const ctx = g.ctx();
  if (ctx === undefined) return;
  const dst = g.dest();
  g.b.copy(dst, ctx);
  g.set(dst, CTX);
}
