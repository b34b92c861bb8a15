/** Statements on special fields of map values: spin locks with what they protect, timers with their callbacks. */
import { type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { JEQ_IMM, LD_IMM64, Size } from './builder.js';
import { type Gen, KEY_OFF, type MapSpec, NONE, SCALAR, type Sub, TRACING } from './gen.js';
import { loadStack, storeStack, useMemory } from './memory.js';
import { alu, type Body } from './scalars.js';

const unsigned = (name: string, size: number): BtfType => ({
  kind: 'int',
  name,
  size,
  encoding: 0,
  signed: false,
  char: false,
  bool: false,
  bits: 8 * size,
  bitOffset: 0,
});

const struct = (
  name: string,
  size: number,
  members: readonly (readonly [string, number, number])[],
): BtfType => ({
  kind: 'struct',
  name,
  size,
  kindFlag: false,
  members: members.map(([member, type, offset]) => ({
    name: member,
    type,
    bitOffset: 8 * offset,
    bitfieldSize: 0,
  })),
});

const LOCKED_TYPE = 7;
const TIMED_TYPE = 8;
const TYPES: readonly BtfType[] = [
  unsigned('unsigned int', 4),
  struct('bpf_spin_lock', 4, [['val', 1, 0]]),
  unsigned('unsigned long', 8),
  { kind: 'array', name: '', type: 3, indexType: 1, count: 2 },
  struct('bpf_timer', 16, [['__opaque', 4, 0]]),
  { kind: 'array', name: '', type: 3, indexType: 1, count: 6 },
  struct('locked', 64, [
    ['lock', 2, 0],
    ['n', 1, 4],
    ['m', 3, 8],
    ['data', 6, 16],
  ]),
  struct('timed', 64, [
    ['timer', 5, 0],
    ['data', 6, 16],
  ]),
];
const BTF = Buffer.from(encodeBtf(TYPES)).toString('hex');

const LOCKED: MapSpec = {
  type: 'array',
  key_size: 4,
  value_size: 64,
  max_entries: 2,
  map_flags: 0,
  name: 'locked',
  btf: BTF,
  btf_key_type_id: 1,
  btf_value_type_id: LOCKED_TYPE,
};
const TIMED: MapSpec = { ...LOCKED, name: 'timed', btf_value_type_id: TIMED_TYPE };

/** Looks a value up and leaves it in a register that calls leave alone; and the jump around what is done with it. */
function value(g: Gen, spec: MapSpec): { reg: number; jump: number } | undefined {
  const { rng, b } = g;
  const reg = g.saved();
  if (g.held.has(reg)) return undefined;
  b.storeImm(Size.w, 10, KEY_OFF, rng.range(0, 2));
  b.copy(2, 10);
  b.add(2, KEY_OFF);
  b.wide(1, 1, g.map(spec));
  b.call(1);
  g.afterCall();
  b.copy(reg, 0);
  g.set(reg, NONE);
  return { reg, jump: b.emit(JEQ_IMM, reg) };
}

/** Neither what traces nor a socket filter takes locks or has timers: seldom tried. */
const mayLock = ({ progType, rng }: Gen): boolean =>
  (!TRACING.includes(progType) && progType !== 'socket_filter') || rng.chance(0.03);

/** What may be done under a lock: no calls. */
const PLAIN = [alu, useMemory, useMemory, storeStack, loadStack];

export function spinLock(g: Gen, body: Body): void {
  const { rng, b } = g;
  if (!mayLock(g)) return;
  const found = value(g, LOCKED);
  if (found === undefined) return;
  const { reg, jump } = found;
  const before = g.snapshot();
  b.copy(1, reg);
  if (g.slips()) b.add(1, 4);
  b.call(93);
  g.afterCall();
  g.held.add(reg);
  g.noExit++;
  for (let i = rng.range(1, 4); i > 0; i--) {
    if (rng.chance(0.5)) b.store(Size.dw, reg, rng.pick([8, 16, 40]), g.scalar());
    else if (g.slips()) body(g, 1);
    else rng.pick(PLAIN)(g);
  }
  g.noExit--;
  g.held.delete(reg);
  if (!g.slips()) {
    b.copy(1, reg);
    b.call(94);
    g.afterCall();
  }
  // the lock itself is out of bounds
  b.land(jump);
  g.join(before);
}

/** A timer made ready, perhaps started for much later, perhaps cancelled. */
export function timer(g: Gen): void {
  const { rng, b } = g;
  const { subs, hasBtf } = g.shared;
  if (!mayLock(g) || !hasBtf || subs.length >= 4 || g.depth > 0) return;
  const found = value(g, TIMED);
  if (found === undefined) return;
  const { reg, jump } = found;
  const before = g.snapshot();
  if (!g.slips()) {
    b.copy(1, reg);
    b.wide(2, 1, g.map(TIMED));
    b.mov(3, rng.pick([1, 7]));
    b.call(169);
  }
  const sub: Sub = { kind: 'timer_callback', params: ['scalar', 'scalar', 'mem'], depth: 3, callers: [] };
  subs.push(sub);
  b.copy(1, reg);
  sub.callers.push(b.emit(LD_IMM64, 2, 4));
  b.emit(0);
  b.call(170);
  if (rng.chance(0.3)) {
    b.copy(1, reg);
    b.wide(2, 0, 0, 0x4000);
    b.mov(3, 0);
    b.call(171);
  }
  if (rng.chance(0.5)) {
    b.copy(1, reg);
    b.call(172);
  }
  g.afterCall();
  g.set(0, SCALAR);
  b.land(jump);
  g.join(before);
}
