/** Look-ups that the core does itself, by a descriptor, and what it leaves to the plain helper. */
import { describe, expect, test } from '@jest/globals';
import { Engine, type HelperDef, type IndexedElements } from '../../src/vm/index.js';
import { LOOPS, loadText } from './support.js';

/** What the plain helper answers, so that a test sees who was asked. */
const PLAIN = 999;
const LOOKUP = 'r0 = r10\ncall 1\nexit';

function setUp(elements: Partial<IndexedElements> = {}) {
  const engine = new Engine();
  const values = engine.alloc(4 * 24);
  const header = engine.alloc(64, 'none');
  engine.memory.describe(header.address32, { count: 4, stride: 24, base: values.address32, ...elements });
  const asked: string[] = [];
  const helper: HelperDef = {
    kind: 'indexed',
    name: 'lookup',
    run: (call) => {
      asked.push(`0x${call.arg(1).toString(16)}`);
      call.pointer(2, 4);
      return PLAIN;
    },
  };
  const key = engine.alloc(8);
  const setKey = (index: number) => new DataView(key.bytes.buffer, key.address32).setUint32(0, index, true);
  return { engine, values, header, helper, asked, key, setKey };
}

describe.each(LOOPS)('%s', (_name, options) => {
  test.each([
    [0, 0n],
    [1, 24n],
    [3, 72n],
    [4, undefined],
    [0x80000000, undefined],
    [0xffffffff, undefined],
  ])('element %i', (index, offset) => {
    const { engine, values, header, helper, key, setKey, asked } = setUp();
    const program = loadText(engine, LOOKUP, { ...options, helpers: { 1: helper } });
    setKey(index);
    const { r0 } = engine.run(program, { args: [header.address, key.address] });
    expect(r0).toBe(offset === undefined ? 0n : values.address + offset);
    expect(asked).toEqual([]);
  });

  test('a key on the stack, the address computed just before, the result moved just after', () => {
    const { engine, values, header, helper } = setUp();
    const text = `
      r6 = r1\n*(u32 *)(r10 - 4) = 2
      r2 = r10\nr2 += -4\nr1 = r6\ncall 1\nr7 = r0
      r1 = r6\nr2 = r10\nr2 += -4\ncall 1
      if r0 != r7 goto out
      *(u64 *)(r0 + 16) = 5
      r0 = *(u64 *)(r7 + 16)
      out: exit`;
    const program = loadText(engine, text, { ...options, helpers: { 1: helper } });
    expect(engine.run(program, { args: [header.address] })).toEqual({ r0: 5n, instructions: 15 });
    expect(values.bytes[2 * 24 + 16]).toBe(5);
  });

  test('copies are chosen by a word of memory at the time of the call', () => {
    const { engine, header, helper, key, setKey } = setUp();
    const base = engine.alloc(3 * 4 * 24).address32;
    const copyWord = engine.alloc(4, 'none').address32;
    const { memory } = engine;
    memory.describe(header.address32, { count: 4, stride: 24, base, copyWord, copyStride: 96 });
    const program = loadText(engine, LOOKUP, { ...options, helpers: { 1: helper } });
    setKey(3);
    for (const copy of [0, 2, 1]) {
      memory.i32[copyWord >> 2] = copy;
      const { r0 } = engine.run(program, { args: [header.address, key.address] });
      expect(r0).toBe(memory.addressOf(base + copy * 96 + 72));
    }
  });

  test.each<[string, (header: bigint) => bigint]>([
    ['an address just past the descriptor’s', (header) => header + 8n],
    ['an odd address', (header) => header + 1n],
    ['nothing', () => 0n],
    ['page zero', () => 1024n],
    ['an address past memory', (header) => header | 0xfffffff8n],
    ['a shadow of its own', () => 0x2000000n],
  ])('%s is the plain helper’s', (_what, move) => {
    const { engine, header, helper, key, asked } = setUp();
    const program = loadText(engine, LOOKUP, { ...options, helpers: { 1: helper } });
    const address = move(header.address);
    expect(engine.run(program, { args: [address, key.address] }).r0).toBe(BigInt(PLAIN));
    expect(asked).toEqual([`0x${address.toString(16)}`]);
  });

  test('a key that cannot be read faults as the plain helper says', () => {
    const { engine, header, helper, asked } = setUp();
    const program = loadText(engine, LOOKUP, { ...options, helpers: { 1: helper } });
    const result = engine.run(program, { args: [header.address, 0x123] });
    expect(result.fault).toMatchObject({ kind: 'bad-access', insn: 1, address: 0x123n, size: 4 });
    expect(asked).toHaveLength(1);
  });

  test('a descriptor is gone with its memory', () => {
    const { engine, header, helper, key, asked } = setUp();
    const program = loadText(engine, LOOKUP, { ...options, helpers: { 1: helper } });
    engine.free(header);
    expect(engine.run(program, { args: [header.address, key.address] }).r0).toBe(BigInt(PLAIN));
    expect(asked).toHaveLength(1);
  });

  test('callx asks the plain helper', () => {
    const { engine, header, helper, key } = setUp();
    const text = LOOKUP.replace('call 1', 'r3 = 1\ncallx r3');
    const program = loadText(engine, text, { ...options, helpers: { 1: helper } });
    expect(engine.run(program, { args: [header.address, key.address] }).r0).toBe(BigInt(PLAIN));
  });
});

describe('checked programs', () => {
  test('cannot read or write a descriptor', () => {
    const { engine, header } = setUp();
    for (const text of [
      'r0 = *(u8 *)(r1 + 0)\nexit',
      'r0 = *(u32 *)(r1 + 4)\nexit',
      '*(u8 *)(r1 + 7) = 1\nexit',
    ]) {
      const program = loadText(engine, text);
      expect(engine.run(program, { args: [header.address] }).fault).toMatchObject({
        kind: 'bad-access',
        insn: 0,
      });
    }
    for (const write of [false, true]) expect(engine.memory.allows(header.address32, 4, write)).toBe(false);
  });

  test('cannot make one: the same words elsewhere mean nothing', () => {
    const { engine, header, helper, key, asked } = setUp();
    const forged = engine.alloc(64);
    forged.bytes.set(header.bytes);
    const program = loadText(engine, LOOKUP, { helpers: { 1: helper } });
    expect(engine.run(program, { args: [forged.address, key.address] }).r0).toBe(BigInt(PLAIN));
    engine.memory.protect(forged.address32, 64, 'none');
    expect(engine.run(program, { args: [forged.address, key.address] }).r0).toBe(BigInt(PLAIN));
    expect(asked).toHaveLength(2);
  });

  test('may not use a key that ends past its region', () => {
    const { engine, header, helper } = setUp();
    const short = engine.alloc(3);
    const program = loadText(engine, LOOKUP, { helpers: { 1: helper } });
    const { fault } = engine.run(program, { args: [header.address, short.address] });
    expect(fault).toMatchObject({ kind: 'bad-access', insn: 1, size: 4 });
  });
});
