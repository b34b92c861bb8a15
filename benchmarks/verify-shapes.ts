/**
 * Programs made to be dear to a verifier, one shape each: nothing but length, nothing but states, calls, spilled
 * registers, precision. Each is accepted by Linux 6.18 (but for the endless one) and deterministic.
 */
import { ProgType } from '../src/abi/prog-types.js';
import { assemble, type Insn } from '../src/isa/index.js';
import type { VerifyRequest } from '../src/verifier/types.js';

export interface Shape {
  readonly name: string;
  readonly request: () => VerifyRequest;
}

const HASH = { name: 'map', type: 1, keySize: 4, valueSize: 64, maxEntries: 16, mapFlags: 0 };

/** `before`, then `block(i)` for each i below `count`, then `after`; jumps stay within a part. */
function chain(before: string, count: number, block: (i: number) => string, after: string): Insn[] {
  const insns = assemble(before);
  const known = new Map<string, Insn[]>();
  for (let i = 0; i < count; i++) {
    const text = block(i);
    const part = known.get(text) ?? assemble(text);
    known.set(text, part);
    for (const insn of part) insns.push(insn);
  }
  for (const insn of assemble(after)) insns.push(insn);
  return insns;
}

const shape = (name: string, insns: () => Insn[]): Shape => ({
  name,
  request: () => ({ insns: insns(), progType: ProgType.sched_cls, license: 'GPL', maps: [HASH] }),
});

/** A number that nothing is known of. */
const UNKNOWN = 'r0 = *(u32 *)(r1 + 0)';

const straightLine = (): Insn[] =>
  chain(UNKNOWN, 333_000, (i) => `r0 += ${(i % 5) + 1}\nr0 &= 0xffffff\nr2 = r0`, 'exit');

/** Three counters known exactly: 1,000,000 steps, no two states alike. */
const nestedLoops = (): Insn[] =>
  assemble(`
    r6 = 0
  outer:
    r7 = 0
  middle:
    r8 = 0
  inner:
    r8 += 1
    if r8 < 60 goto inner
    r7 += 1
    if r7 < 80 goto middle
    r6 += 1
    if r6 < 100 goto outer
    r0 = 0
    exit`);

/** Both ways of each branch join at once: half of them are pruned. */
const diamonds = (): Insn[] =>
  chain(
    `${UNKNOWN}\nr6 = 0\nr7 = r0`,
    30_000,
    (i) => `if r7 > ${(i * 37) % 5000} goto +2\nr6 += 1\nr6 &= 0xff\nr7 ^= 1\nr2 = r6\nr3 = r7`,
    'r0 = 0\nexit',
  );

/** What each way leaves differs and is needed: the number of paths doubles up to where pruning sets in. */
const distinctPaths = (): Insn[] =>
  chain(
    `r6 = r1\nr7 = 0\nr8 = r10\nr8 += -256`,
    12,
    (i) => `r0 = *(u32 *)(r6 + ${4 * (i % 8)})\nif r0 > 7 goto +1\nr7 += ${2 ** i % 97}`,
    'r7 &= 127\nr8 += r7\n*(u8 *)(r8 + 0) = 1\nr0 = 0\nexit',
  );

/** A loop whose every round is another state at the same place. */
const manyStates = (): Insn[] =>
  assemble(`
    r6 = r1
    r7 = 0
    r8 = 0
  again:
    r0 = *(u32 *)(r6 + 0)
    if r0 > 7 goto skip
    r8 += 1
  skip:
    r7 += 1
    if r7 < 1500 goto again
    r0 = 0
    exit`);

/** A comparison chain of a thousand cases that join behind it, thrice. */
const bigSwitch = (): Insn[] => {
  const cases = 1000;
  const one = [
    'r0 = *(u32 *)(r6 + 0)',
    ...Array.from({ length: cases }, (_, i) => `if r0 == ${i} goto case${i}`),
    'goto done',
    ...Array.from({ length: cases }, (_, i) => `case${i}:\nr7 += ${i}\nr7 &= 0xff\ngoto done`),
    'done:\nr2 = r7',
  ].join('\n');
  return chain('r6 = r1\nr7 = 0', 3, () => one, 'r0 = 0\nexit');
};

/** Eight frames, each with spilled registers that its callee's result is added to, in a loop. */
const deepCalls = (): Insn[] => {
  const frame = (i: number): string => `
  f${i}:
    *(u64 *)(r10 - 8) = r1
    *(u64 *)(r10 - 16) = r2
    *(u64 *)(r10 - 24) = r1
    ${i < 7 ? `call f${i + 1}` : 'r0 = r2'}
    r1 = *(u64 *)(r10 - 8)
    if r0 > 1000 goto big${i}
    r0 += r1
  big${i}:
    exit`;
  return assemble(`
    r6 = *(u32 *)(r1 + 0)
    r7 = 0
  again:
    r1 = r7
    r2 = r6
    call f1
    r7 += 1
    if r7 < 100 goto again
    r0 = 0
    exit${[1, 2, 3, 4, 5, 6, 7].map(frame).join('')}`);
};

/** A full stack of spilled numbers across branches. */
const fullStack = (): Insn[] => {
  const spill = Array.from({ length: 64 }, (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = r7`).join('\n');
  const load = Array.from({ length: 64 }, (_, i) => `r3 = *(u64 *)(r10 - ${8 * (i + 1)})\nr2 += r3`).join(
    '\n',
  );
  return chain(
    `r6 = r1\nr7 = *(u32 *)(r1 + 0)\n${spill}`,
    8_000,
    (i) => `r0 = *(u32 *)(r6 + 0)\nif r0 > 7 goto +1\n*(u64 *)(r10 - ${8 * ((i % 64) + 1)}) = r0`,
    `r2 = 0\n${load}\nr0 = 0\nexit`,
  );
};

/** Map look-ups, each with its null check and a store to the value. */
const lookups = (): Insn[] =>
  chain(
    'r0 = 0',
    8_000,
    (i) =>
      `*(u32 *)(r10 - 4) = ${i % 16}\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall 1\nif r0 == 0 goto +2\nr1 = *(u64 *)(r0 + 8)\n*(u64 *)(r0 + 16) = r1`,
    'r0 = 0\nexit',
  );

/** Bounds of a packet checked over and over. */
const packets = (): Insn[] =>
  chain(
    'r6 = r1\nr7 = *(u32 *)(r6 + 80)\nr8 = *(u32 *)(r6 + 76)',
    4_000,
    (i) =>
      `r2 = r8\nr2 += ${14 + (i % 50)}\nif r2 > r7 goto +3\nr3 = *(u8 *)(r8 + ${i % 14})\nr3 <<= 2\nr4 = r3`,
    'r0 = 0\nexit',
  );

/** One number whose exact value is needed in the end, far from where it was made. */
const precision = (): Insn[] =>
  chain(
    'r6 = r1\nr7 = 1',
    2_000,
    () => 'r0 = *(u32 *)(r6 + 0)\nif r0 > 7 goto +1\nr0 = 7\nr8 = r7\nr7 = r8\nif r7 == 2 goto +0',
    'r0 = 0\nexit',
  );

/** Never ends: 1,000,001 instructions, then refused. */
const endless = (): Insn[] => assemble('r0 = *(u32 *)(r1 + 0)\nagain:\nr0 += 1\nif r0 != 7 goto again\nexit');

export const SHAPES: readonly Shape[] = [
  shape('a million instructions in a row', straightLine),
  shape('three nested loops', nestedLoops),
  shape('30,000 branches that join', diamonds),
  shape('paths that all differ', distinctPaths),
  shape('many states at one loop head', manyStates),
  shape('three switches of 1,000 cases', bigSwitch),
  shape('calls eight deep, in a loop', deepCalls),
  shape('64 spilled registers across branches', fullStack),
  shape('8,000 map look-ups', lookups),
  shape('4,000 packet checks', packets),
  shape('precision over 2,000 branches', precision),
  shape('endless loop', endless),
];
