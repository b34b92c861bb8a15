/** Statements that call: map helpers with their null checks, helpers on memory with a size, packets, own functions, callbacks. */
import { AND64_IMM, EXIT, JEQ_IMM, JNE_IMM, LD_IMM64, MOV64_IMM, Size } from './builder.js';
import {
  BUFFER_OFF,
  type Gen,
  KEY_OFF,
  type MapSpec,
  NONE,
  type Param,
  SCALAR,
  SKBS,
  type Sub,
  TRACING,
  VALUE_OFF,
} from './gen.js';
import { type Body, bounded } from './scalars.js';

const contents = (bytes: number): string =>
  Array.from({ length: bytes }, (_, i) => ((i * 37 + 11) & 255).toString(16).padStart(2, '0')).join('');
const BPF_F_RDONLY_PROG = 0x80;

const ARRAY: MapSpec = {
  type: 'array',
  key_size: 4,
  value_size: 64,
  max_entries: 4,
  map_flags: 0,
  name: 'arr',
  data: contents(256),
};
const HASH: MapSpec = {
  type: 'hash',
  key_size: 8,
  value_size: 48,
  max_entries: 8,
  map_flags: 0,
  name: 'hash',
};
const ODD: MapSpec = {
  type: 'array',
  key_size: 4,
  value_size: 13,
  max_entries: 1,
  map_flags: 0,
  name: 'odd',
  data: contents(13),
};
const PERCPU: MapSpec = {
  type: 'percpu_array',
  key_size: 4,
  value_size: 16,
  max_entries: 2,
  map_flags: 0,
  name: 'percpu',
};
const CONSTANTS: MapSpec = {
  ...ARRAY,
  value_size: 32,
  max_entries: 1,
  map_flags: BPF_F_RDONLY_PROG,
  name: 'ro',
  data: contents(32),
  frozen: true,
};
export const RINGBUF: MapSpec = {
  type: 'ringbuf',
  key_size: 0,
  value_size: 0,
  max_entries: 4096,
  map_flags: 0,
  name: 'rb',
};
const QUEUE: MapSpec = {
  type: 'queue',
  key_size: 0,
  value_size: 16,
  max_entries: 4,
  map_flags: 0,
  name: 'queue',
};
const STACK: MapSpec = { ...QUEUE, type: 'stack', name: 'stack' };
const BLOOM: MapSpec = { ...QUEUE, type: 'bloom_filter', name: 'bloom' };
const LRU: MapSpec = { ...HASH, type: 'lru_hash', name: 'lru' };
const PERCPU_HASH: MapSpec = { ...HASH, type: 'percpu_hash', value_size: 24, name: 'percpu_hash' };
const BPF_F_NO_PREALLOC = 1;
const LPM: MapSpec = { ...HASH, type: 'lpm_trie', map_flags: BPF_F_NO_PREALLOC, name: 'lpm' };
const PROGRAMS: MapSpec = { ...ARRAY, type: 'prog_array', value_size: 4, name: 'progs', data: undefined };
const EVENTS: MapSpec = { ...PROGRAMS, type: 'perf_event_array', name: 'events' };

function keyFor(g: Gen, spec: MapSpec): void {
  const { rng, b } = g;
  const size = spec.key_size === 8 ? Size.dw : Size.w;
  if (rng.chance(0.6)) b.storeImm(g.slips() ? Size.h : size, 10, KEY_OFF, rng.range(0, 5));
  else b.store(size, 10, KEY_OFF, rng.chance(0.5) ? bounded(g, 7) : g.scalar());
}

function pointKey(g: Gen): void {
  g.b.copy(2, 10);
  g.b.add(2, KEY_OFF + (g.slips() ? g.rng.pick([1, 4, -4, 72]) : 0));
}

/** A look-up, its null check, and what is done with the value. */
export function lookup(g: Gen, body: Body): void {
  const { rng, b } = g;
  const sleeps = g.progType === 'syscall' && !g.slips();
  const others = sleeps ? [ARRAY, HASH] : [ODD, PERCPU, LRU, PERCPU_HASH, LPM];
  const spec = rng.pick([ARRAY, ARRAY, HASH, HASH, CONSTANTS, ...others]);
  const map = g.map(spec);
  keyFor(g, spec);
  pointKey(g);
  b.wide(1, 1, map);
  b.call(1);
  g.afterCall();
  const keep = rng.chance(0.6) ? g.saved() : 0;
  const early = rng.chance(0.5);
  if (keep !== 0 && !early) b.copy(keep, 0);
  const checked = rng.chance(0.7) ? 0 : keep;
  const value = { kind: 'mem', room: spec.value_size, readOnly: spec === CONSTANTS } as const;
  if (g.slips()) {
    g.set(keep, value);
    body(g, 2);
    return;
  }
  if (rng.chance(0.3) && g.noExit === 0) {
    const jump = b.emit(rng.chance(0.95) ? JNE_IMM : JEQ_IMM, early ? 0 : checked);
    g.exit();
    b.land(jump);
    if (early && keep !== 0) b.copy(keep, 0);
    g.set(0, value);
    g.set(keep, value);
    return;
  }
  const jump = b.emit(JEQ_IMM, early ? 0 : checked);
  g.set(0, NONE);
  if (keep !== 0 && !early) g.set(keep, NONE);
  const before = g.snapshot();
  if (early && keep !== 0) b.copy(keep, 0);
  g.set(keep, value);
  if (rng.chance(0.5)) g.set(0, value);
  body(g, rng.range(1, 4));
  b.land(jump);
  g.join(before);
}

export function update(g: Gen): void {
  const { rng, b } = g;
  const spec = rng.pick(g.progType === 'syscall' ? [ARRAY, HASH] : [ARRAY, HASH, HASH, LRU, LPM]);
  const map = g.map(spec);
  const other = rng.chance(0.3) ? g.pointer('mem') : undefined;
  const fromMap =
    other !== undefined && g.regs[other]!.room >= spec.value_size && other >= 6 ? other : undefined;
  keyFor(g, spec);
  if (rng.chance(0.8)) {
    pointKey(g);
    if (rng.chance(0.4)) {
      b.wide(1, 1, map);
      b.call(3);
      g.afterCall();
      return void g.set(0, SCALAR);
    }
  } else pointKey(g);
  if (fromMap !== undefined) b.copy(3, fromMap);
  else {
    for (let off = VALUE_OFF; off < VALUE_OFF + 64; off += 8)
      if (!g.slips()) b.storeImm(Size.dw, 10, off, rng.range(0, 9));
    b.copy(3, 10);
    b.add(3, VALUE_OFF);
  }
  b.wide(1, 1, map);
  b.mov(4, rng.pick([0, 0, 0, 1, 2, 3]));
  b.call(2);
  g.afterCall();
  g.set(0, SCALAR);
}

/** Address of a map's value in the instruction itself. */
export function directValue(g: Gen): void {
  const { rng, b } = g;
  const spec = rng.pick([ODD, CONSTANTS, CONSTANTS]);
  const off = rng.chance(0.6) ? 0 : rng.range(0, spec.value_size - 1);
  const reg = g.dest();
  b.wide(reg, 2, g.map(spec), g.slips() ? spec.value_size + rng.range(-1, 1) : off);
  g.set(reg, { kind: 'mem', room: spec.value_size - off, readOnly: spec === CONSTANTS });
}

export function ringbuf(g: Gen, body: Body): void {
  const { rng, b } = g;
  const size = rng.pick([8, 16, 24]);
  b.wide(1, 1, g.map(RINGBUF));
  b.mov(2, size);
  b.mov(3, 0);
  b.call(131);
  g.afterCall();
  const keep = g.saved();
  if (g.held.has(keep)) return;
  b.copy(keep, 0);
  const jump = b.emit(JEQ_IMM, rng.pick([0, keep]));
  g.set(keep, NONE);
  const before = g.snapshot();
  for (let off = 0; off < size; off += 8) b.storeImm(Size.dw, keep, off, rng.range(0, 99));
  g.set(keep, { kind: 'mem', room: size });
  g.held.add(keep);
  g.noExit++;
  body(g, rng.range(1, 2));
  g.noExit--;
  g.held.delete(keep);
  if (!g.slips()) {
    b.copy(1, keep);
    b.mov(2, 0);
    b.call(rng.pick([132, 133]));
    g.afterCall();
  }
  g.set(keep, NONE);
  b.land(jump);
  g.join(before);
  for (let reg = 0; reg <= 5; reg++) g.set(reg, NONE);
}

export function queue(g: Gen): void {
  const { rng, b } = g;
  if (g.progType === 'syscall' && !g.slips()) return;
  const map = g.map(rng.pick([QUEUE, QUEUE, STACK, BLOOM]));
  b.storeImm(Size.dw, 10, VALUE_OFF, rng.range(0, 9));
  b.storeImm(Size.dw, 10, VALUE_OFF + 8, rng.range(0, 9));
  b.copy(2, 10);
  b.add(2, VALUE_OFF);
  b.wide(1, 1, map);
  const helper = rng.pick([87, 88, 89]);
  if (helper === 87) b.mov(3, rng.pick([0, 2]));
  b.call(helper);
  g.afterCall();
  g.set(0, SCALAR);
  if (rng.chance(0.5)) {
    const dst = g.saved();
    if (!g.held.has(dst)) {
      b.load(Size.dw, dst, 10, VALUE_OFF);
      g.set(dst, SCALAR);
    }
  }
}

/** A map of maps: both look-ups with their checks. */
export function innerLookup(g: Gen, body: Body): void {
  const { rng, b } = g;
  const inner = g.map(ARRAY);
  const outer = g.map({ ...PROGRAMS, type: 'array_of_maps', name: 'outer', inner });
  b.storeImm(Size.w, 10, KEY_OFF, rng.range(0, 4));
  pointKey(g);
  b.wide(1, 1, outer);
  b.call(1);
  g.afterCall();
  const first = b.emit(JEQ_IMM, 0);
  const before = g.snapshot();
  b.storeImm(Size.w, 10, KEY_OFF, rng.range(0, 4));
  pointKey(g);
  b.copy(1, 0);
  b.call(1);
  g.afterCall();
  const second = g.slips() ? undefined : b.emit(JEQ_IMM, 0);
  g.set(0, { kind: 'mem', room: ARRAY.value_size });
  body(g, rng.range(1, 3));
  b.land(first);
  if (second !== undefined) b.land(second);
  g.join(before);
}

/** A tail call to nobody, an event for nobody. */
export function tailCallOrEvent(g: Gen): void {
  const { rng, b } = g;
  const ctx = g.ctx();
  if (ctx === undefined || (g.progType === 'syscall' && !g.slips())) return;
  if (ctx !== 1) b.copy(1, ctx);
  if (rng.chance(0.5)) {
    b.wide(2, 1, g.map(PROGRAMS));
    b.mov(3, rng.range(0, 5));
    b.call(12);
    g.afterCall();
    return;
  }
  b.storeImm(Size.dw, 10, VALUE_OFF, rng.range(0, 9));
  b.wide(2, 1, g.map(EVENTS));
  b.mov(3, rng.range(0, 2));
  b.copy(4, 10);
  b.add(4, VALUE_OFF);
  b.mov(5, 8);
  b.call(25);
  g.afterCall();
  g.set(0, SCALAR);
}

/** Helpers without arguments, whose results are no function of the program's input. */
const SIMPLE = [7, 5, 8, 14, 118];

export function simpleHelper(g: Gen): void {
  const { rng, b } = g;
  b.call(rng.pick(SIMPLE));
  // get_smp_processor_id is inlined and the others are not: what it leaves depends on how its caller spilled.
  g.afterCall();
  g.set(0, SCALAR);
}

/** A helper that fills or reads memory whose size is a bounded number. */
export function sizedHelper(g: Gen): void {
  const { rng, b } = g;
  const buffer = rng.pick([16, 32, 64]);
  const ctx = g.ctx();
  const skb = SKBS.includes(g.progType) && ctx !== undefined;
  const tracing = TRACING.includes(g.progType);
  if (!skb && !tracing && g.progType !== 'xdp') return;
  const fixed = rng.chance(0.4);
  const index = fixed ? -1 : bounded(g, buffer - 1);
  const sizeReg = skb ? 4 : 2;
  if (!fixed) {
    if (rng.chance(0.6)) b.emit(rng.chance(0.8) ? 0xbf : 0xbc, 9, index);
    else b.copy(9, index);
    if (g.held.has(9)) return;
    g.set(9, SCALAR);
    if (rng.chance(0.6)) b.add(9, 1);
  }
  const size = (reg: number): void => {
    if (fixed) b.mov(reg, g.slips() ? buffer + 1 : rng.range(1, buffer));
    else b.copy(reg, 9);
  };
  const at = (reg: number): void => {
    b.copy(reg, 10);
    b.add(reg, BUFFER_OFF);
  };
  if (skb) {
    if (ctx !== 1) b.copy(1, ctx);
    b.mov(2, rng.range(0, 20));
    at(3);
    size(sizeReg);
    b.call(26);
  } else if (tracing) {
    at(1);
    size(2);
    b.mov(3, 0);
    b.call(rng.pick([4, 113]));
  } else {
    for (let off = 0; off < buffer; off += 8) b.storeImm(Size.dw, 10, BUFFER_OFF + off, rng.range(0, 99));
    b.mov(1, 0);
    b.mov(2, 0);
    at(3);
    size(4);
    if (rng.chance(0.7)) b.emit(AND64_IMM, 4, 0, 0, -4);
    b.mov(5, rng.range(0, 9));
    b.call(28);
  }
  g.afterCall();
  g.set(0, SCALAR);
  const dst = g.saved();
  if (g.noExit === 0 && rng.chance(0.6) && !g.held.has(dst)) {
    const jump = b.emit(JEQ_IMM, 0);
    g.exit();
    b.land(jump);
    b.load(g.size(), dst, 10, BUFFER_OFF);
    g.set(dst, SCALAR);
  }
}

/** Begin and end of the packet, a check, and accesses. */
export function packet(g: Gen, body: Body): void {
  const { rng, b } = g;
  const ctx = g.ctx();
  const xdp = g.progType === 'xdp';
  if (ctx === undefined || (!xdp && g.progType !== 'sched_cls' && g.progType !== 'cgroup_skb')) return;
  const index = rng.chance(0.35) ? bounded(g, rng.pick([7, 15, 31])) : undefined;
  const start = g.saved();
  if (g.held.has(start) || start === ctx || start === index) return;
  const [end, limit] = rng.chance(0.5) ? [2, 3] : [4, 5];
  if (index === end || index === limit) return;
  b.load(Size.w, start, ctx, xdp ? (rng.chance(0.1) ? 8 : 0) : 76);
  b.load(Size.w, end, ctx, xdp ? 4 : 80);
  if (index !== undefined) b.emit(0x0f, start, index);
  const room = rng.pick([1, 2, 4, 8, 14, 14, 16, 20, 34]);
  b.copy(limit, start);
  b.add(limit, room);
  for (const reg of [start, end, limit]) g.set(reg, NONE);
  // `limit > end` in all its spellings; sometimes `>=`, which leaves one byte less, or rather more
  const jump = rng.pick([
    () => b.emit(0x2d, limit, end),
    () => b.emit(0xad, end, limit),
    () => b.emit(0x3d, limit, end),
    () => b.emit(0xbd, end, limit),
    () => b.emit(g.slips() ? 0xbd : 0x2d, limit, end),
  ])();
  const before = g.snapshot();
  g.set(start, { kind: 'packet', room: room + (g.slips() ? 1 : 0), readOnly: g.progType === 'cgroup_skb' });
  for (let i = rng.range(1, 3); i > 0; i--) body(g, 1);
  if (rng.chance(0.3)) changePacket(g);
  b.land(jump);
  g.join(before);
}

/** Helpers after which packet pointers are void. */
function changePacket(g: Gen): void {
  const { rng, b } = g;
  const ctx = g.ctx();
  if (ctx === undefined) return;
  if (ctx !== 1) b.copy(1, ctx);
  if (g.progType === 'xdp') {
    b.mov(2, rng.pick([-4, 4, 8, 0]));
    b.call(44);
  } else if (g.progType === 'sched_cls') {
    b.mov(2, rng.pick([0, 20, 64]));
    b.call(39);
  } else return;
  const keep = g.slips();
  g.afterCall();
  g.set(0, SCALAR);
  if (!keep) g.dropPackets();
}

/** Old packet loads. */
export function absolute(g: Gen): void {
  const { rng, b } = g;
  if (g.progType !== 'socket_filter' && g.progType !== 'sched_cls') return;
  const ctx = g.ctx();
  if (ctx === undefined || g.noExit > 0 || g.depth > 0) return;
  if (ctx !== 6) {
    if (g.held.has(6)) return;
    b.copy(6, ctx);
    g.set(6, g.regs[ctx]!);
  }
  const size = rng.pick([Size.b, Size.h, Size.w]);
  if (rng.chance(0.6)) b.emit(0x20 | size, 0, 0, 0, rng.range(0, 40));
  else b.emit(0x40 | size, 0, bounded(g, 15), 0, rng.range(0, 16));
  g.afterCall();
  g.set(0, SCALAR);
}

function argument(g: Gen, reg: number, param: Param): void {
  const { rng, b } = g;
  if (param === 'scalar') {
    const saved = g.regs.flatMap((r, i) => (r.kind === 'scalar' && i >= 6 ? [i] : []));
    if (saved.length > 0 && rng.chance(0.7)) b.copy(reg, rng.pick(saved));
    else b.mov(reg, g.imm());
  } else if (param === 'ctx') {
    const ctx = g.ctx();
    if (ctx !== undefined && ctx !== reg) b.copy(reg, ctx);
  } else {
    b.copy(reg, 10);
    b.add(reg, -16);
  }
}

const MAX_DEPTH = 3;

export function callOwn(g: Gen): void {
  const { rng, b } = g;
  const { subs, hasBtf } = g.shared;
  if (g.depth >= MAX_DEPTH) return;
  const known = subs.filter(({ kind, depth }) => depth > g.depth && (kind === 'static' || kind === 'global'));
  const kind = hasBtf && rng.chance(0.4) ? 'global' : 'static';
  const ctx = g.ctx();
  const first = ctx !== undefined && (ctx >= 6 || ctx === 1) && rng.chance(0.5) ? 'ctx' : 'scalar';
  const params: Param[] = kind === 'global' ? ['scalar', 'scalar'] : [first, rng.pick(['scalar', 'mem'])];
  let sub: Sub | undefined = known.length > 0 && rng.chance(0.5) ? rng.pick(known) : undefined;
  if (sub === undefined || (sub.params.includes('ctx') && (ctx === undefined || ctx < 6))) {
    if (subs.length >= 4) return;
    sub = { kind, params, depth: g.depth + 1, callers: [] };
    subs.push(sub);
  }
  if (sub.params.includes('mem')) for (const off of [-8, -16]) b.storeImm(Size.dw, 10, off, rng.range(0, 20));
  if (sub.params.includes('mem')) g.stack.fill(1, 0, 16);
  sub.params.forEach((param, i) => {
    if (!g.slips()) argument(g, i + 1, param);
  });
  sub.callers.push(b.emit(0x85, 0, 1));
  g.afterCall();
  if (g.shared.rng.chance(0.1)) g.dropPackets();
  g.set(0, SCALAR);
}

/** bpf_loop and bpf_for_each_map_elem. */
export function callback(g: Gen): void {
  const { rng, b } = g;
  const { subs, hasBtf } = g.shared;
  if (!hasBtf || subs.length >= 4 || g.depth > 0) return;
  const each = rng.chance(0.3);
  b.storeImm(Size.dw, 10, -16, rng.range(0, 20));
  b.storeImm(Size.dw, 10, -8, rng.range(0, 20));
  g.stack.fill(1, 0, 16);
  const params: Param[] = each ? ['scalar', 'scalar', 'scalar', 'mem'] : ['scalar', 'mem'];
  const sub: Sub = { kind: each ? 'elem_callback' : 'callback', params, depth: MAX_DEPTH, callers: [] };
  subs.push(sub);
  if (each) b.wide(1, 1, g.map(ARRAY));
  else if (rng.chance(0.6)) b.mov(1, rng.range(0, 6));
  else b.copy(1, bounded(g, 15));
  sub.callers.push(b.emit(LD_IMM64, 2, 4));
  b.emit(0);
  b.copy(3, 10);
  b.add(3, -16);
  b.mov(4, 0);
  b.call(each ? 164 : 181);
  g.afterCall();
  g.set(0, SCALAR);
}

export function epilogue(g: Gen, callbackResult: boolean): void {
  const { rng, b } = g;
  const numbers = g.regs.flatMap((reg, i) => (reg.kind === 'scalar' && i !== 0 ? [i] : []));
  if (g.regs[0]!.kind !== 'scalar') b.emit(MOV64_IMM, 0, 0, 0, rng.range(0, 9));
  for (const reg of numbers) {
    if (rng.chance(0.3)) b.emit(0x27, 0, 0, 0, 31);
    b.emit(rng.pick([0xaf, 0x0f]), 0, reg);
  }
  for (let slot = 1; slot <= 8; slot++) {
    if (!g.stack.subarray(8 * slot - 8, 8 * slot).every((byte) => byte === 1) || rng.chance(0.4)) continue;
    b.load(Size.dw, 1, 10, -8 * slot);
    b.emit(0x0f, 0, 1);
  }
  if (callbackResult) b.emit(AND64_IMM, 0, 0, 0, g.slips() ? 3 : 1);
  else if (rng.chance(0.5)) {
    // the upper half shows in the lower
    b.copy(1, 0);
    b.emit(0x77, 1, 0, 0, 32);
    b.emit(0xaf, 0, 1);
  }
  b.emit(EXIT);
}
