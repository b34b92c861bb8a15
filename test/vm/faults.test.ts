/** Programs that go wrong are stopped where they do, on every loop, and the host carries on. */
import { describe, expect, test } from '@jest/globals';
import { assemble } from '../../src/isa/index.js';
import { Engine } from '../../src/vm/index.js';
import { LOOPS, loadText, runText } from './support.js';

/** [what, program, what the fault says]: refused whether checked or not. */
const ALWAYS: readonly (readonly [string, string, object])[] = [
  [
    'null pointer',
    'r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit',
    { kind: 'bad-access', insn: 1, address: 0n, size: 8 },
  ],
  [
    'page zero',
    'r1 = 4096\n*(u8 *)(r1 + 1) = 1\nexit',
    { kind: 'bad-access', insn: 1, address: 4097n, size: 1, detail: 'invalid store of 1 bytes at 0x1001' },
  ],
  [
    'below the window',
    'r1 = 0xffff888000000000 ll\nr0 = *(u32 *)(r1 + 1024)\nexit',
    { kind: 'bad-access', insn: 2, address: 0xffff888000000400n, size: 4 },
  ],
  [
    'another high half',
    'r1 = r10\nr2 = 1\nr2 <<= 40\nr1 ^= r2\nr0 = *(u16 *)(r1 - 2)\nexit',
    { kind: 'bad-access', insn: 4, size: 2 },
  ],
  [
    'past all memory',
    'r1 = 0xffff8880ffffffff ll\nr0 = *(u8 *)(r1 + 0)\nexit',
    { kind: 'bad-access', insn: 2, address: 0xffff8880ffffffffn, size: 1 },
  ],
  [
    'second of two fused loads',
    'r1 = r10\nr2 = 0\nr3 = *(u8 *)(r1 - 1)\nr0 = *(u8 *)(r2 + 0)\nexit',
    { insn: 3 },
  ],
  ['falls off the end', 'r0 = 1', { kind: 'bad-instruction', insn: 1 }],
  ['loops for ever', 'goto -1', { kind: 'out-of-fuel' }],
  ['recurses for ever', 'call pc+0\ncall pc-1\nexit', { kind: 'stack-overflow' }],
  ['calls no function', 'r2 = 99\ncallx r2\nexit', { kind: 'bad-call', insn: 1 }],
];

/** Only checked programs are held to the regions' bounds. */
const CHECKED: readonly (readonly [string, string, number])[] = [
  ['above the frame', 'r0 = *(u8 *)(r10 + 0)\nexit', 0],
  ['across the frame’s end', 'r0 = *(u64 *)(r10 - 4)\nexit', 0],
  ['below the frame', 'r0 = *(u8 *)(r10 - 513)\nexit', 0],
  ['store below the frame', '*(u64 *)(r10 - 520) = 1\nexit', 0],
  ['one byte past memory', 'r0 = *(u8 *)(r1 + 13)\nexit', 0],
  ['across memory’s end', 'r0 = *(u32 *)(r1 + 10)\nexit', 0],
  ['before memory', 'r0 = *(u8 *)(r1 - 1)\nexit', 0],
  [
    'frame of a function that has returned',
    'call pc+3\nr6 = r0\nr0 = *(u64 *)(r6 - 8)\nexit\nr0 = r10\nexit',
    2,
  ],
];

describe.each(LOOPS)('%s', (_name, options) => {
  test.each(ALWAYS)('%s', (_what, text, fault) => {
    const result = runText(text, { ...options, fuel: 100_000 });
    expect(result.fault).toMatchObject({ program: 'test', ...fault });
  });

  test('the last bytes that may be used can be', () => {
    const engine = new Engine();
    const memory = engine.alloc(13);
    memory.bytes.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    const text = 'r0 = *(u8 *)(r1 + 12)\nr2 = *(u32 *)(r1 + 9)\nr0 += r2\n*(u64 *)(r10 - 512) = 1\nexit';
    expect(runText(text, { ...options, engine, args: [memory.address] }).r0).toBe(0x0d0c0b0an + 13n);
  });

  test('the low half of an address works alone', () => {
    const engine = new Engine();
    const memory = engine.alloc(8);
    memory.bytes[3] = 99;
    const text = 'r0 = *(u8 *)(r1 + 3)\n*(u8 *)(r1 + 4) = 5\nexit';
    expect(runText(text, { ...options, engine, args: [memory.address32] })).toEqual({
      r0: 99n,
      instructions: 3,
    });
    expect(memory.bytes[4]).toBe(5);
  });
});

describe.each(LOOPS)('probing loads, %s', (_name, options) => {
  test.each(['u8', 'u16', 'u32', 'u64', 's8', 's16', 's32'])('of %s', (type) => {
    const engine = new Engine();
    const memory = engine.alloc(8);
    memory.bytes.fill(0xfe);
    const insns = assemble(`r0 = 1\nr0 = *(${type} *)(r1 + 0)\nexit`);
    const program = engine.load({ name: 'probe', insns }, { ...options, probeRead: (insn) => insn === 1 });
    const width = Number(type.slice(1));
    const value = BigInt.asUintN(width, 0xfefefefefefefefen);
    const expected = type.startsWith('s') ? BigInt.asUintN(64, BigInt.asIntN(width, value)) : value;
    expect(engine.run(program, { args: [memory.address] }).r0).toBe(expected);
    for (const bad of [0, 0xffff888000000000n, -1n]) {
      expect(engine.run(program, { args: [bad] })).toEqual({ r0: 0n, instructions: 3 });
    }
  });
});

test.each(CHECKED)('checked: %s', (_what, text, insn) => {
  const engine = new Engine();
  const memory = engine.alloc(13);
  engine.alloc(64);
  const result = runText(text, { engine, args: [memory.address] });
  expect(result.fault).toMatchObject({ kind: 'bad-access', insn });
});

test('checked: read-only memory can be read and not written', () => {
  const engine = new Engine();
  const memory = engine.alloc(13, 'read');
  memory.bytes.fill(7);
  const args = [memory.address];
  for (const size of [1, 2, 4, 8]) {
    const offset = 13 - size;
    const read = `r0 = *(u${size * 8} *)(r1 + ${offset})\nexit`;
    expect(runText(read, { engine, args }).r0).toBe(BigInt(`0x${'07'.repeat(size)}`));
    const write = `*(u${size * 8} *)(r1 + ${offset - 1}) = 1\nexit`;
    expect(runText(write, { engine, args }).fault).toMatchObject({ kind: 'bad-access', size });
  }
});

test('checked: freed memory cannot be touched', () => {
  const engine = new Engine();
  const memory = engine.alloc(32);
  const program = loadText(engine, 'r0 = *(u8 *)(r1 + 0)\nexit');
  expect(engine.run(program, { args: [memory.address] }).fault).toBeUndefined();
  engine.free(memory);
  expect(engine.run(program, { args: [memory.address] }).fault).toMatchObject({ kind: 'bad-access' });
});

test('an engine goes on after a fault', () => {
  const engine = new Engine();
  expect(runText('call pc+1\nexit\nr1 = 0\nr0 = *(u8 *)(r1 + 0)\nexit', { engine }).fault?.insn).toBe(3);
  expect(runText('*(u64 *)(r10 - 8) = 3\nr0 = *(u64 *)(r10 - 8)\nexit', { engine }).r0).toBe(3n);
});
