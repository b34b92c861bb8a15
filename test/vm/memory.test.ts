/** Regions: allocation, access, limits, and the allocator's promises. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EngineMemory, VmMemoryError } from '../../src/vm/index.js';

const BASE = 0xffff888000000000n;

test('a region is zeroed, aligned and addressed', () => {
  const memory = new EngineMemory();
  const region = memory.alloc(100);
  expect(region.address).toBe(BASE | BigInt(region.address32));
  expect(region.address32 % 16).toBe(0);
  expect(region.bytes).toHaveLength(100);
  expect(region.bytes.every((b) => b === 0)).toBe(true);
  region.bytes.fill(9);
  memory.free(region);
  expect(memory.alloc(100).bytes.every((b) => b === 0)).toBe(true);
});

test('addresses and offsets', () => {
  const memory = new EngineMemory();
  const region = memory.alloc(64);
  expect(memory.offsetOf(region.address, 64)).toBe(region.address32);
  expect(memory.offsetOf(BigInt(region.address32))).toBe(region.address32);
  expect(memory.offsetOf(0n)).toBe(-1);
  expect(memory.offsetOf(BASE)).toBe(-1);
  expect(memory.offsetOf(region.address | (1n << 63n), 1)).toBe(region.address32);
  expect(memory.offsetOf(region.address ^ (1n << 40n))).toBe(-1);
  expect(memory.offsetOf(region.address, 2 ** 31)).toBe(-1);
  expect(memory.offsetOfHalves(region.address32, 0xffff8880 | 0)).toBe(region.address32);
  expect(memory.offsetOfHalves(region.address32, 1)).toBe(-1);
});

test('views survive growth', () => {
  const memory = new EngineMemory();
  const region = memory.alloc(8);
  region.bytes[0] = 5;
  memory.alloc(20 << 20);
  expect(region.bytes[0]).toBe(5);
});

describe('limits', () => {
  test('memory runs out with an error, and comes back when freed', () => {
    const memory = new EngineMemory(4 << 20);
    const region = memory.alloc(3 << 20);
    expect(() => memory.alloc(2 << 20)).toThrow(VmMemoryError);
    memory.free(region);
    expect(memory.alloc(3 << 20).size).toBe(3 << 20);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 53])('a size of %p is refused', (size) => {
    expect(() => new EngineMemory().alloc(size)).toThrow(VmMemoryError);
  });

  test.each([0, 100, 2 ** 32, Number.NaN])('a limit of %p is refused', (limit) => {
    expect(() => new EngineMemory(limit)).toThrow(VmMemoryError);
  });

  test('what is not a region of this memory cannot be freed', () => {
    const region = new EngineMemory().alloc(8);
    expect(() => new EngineMemory().free(region)).toThrow(VmMemoryError);
  });
});

test.each([
  ['readwrite', true, true],
  ['read', true, false],
  ['none', false, false],
] as const)('%s regions', (access, read, write) => {
  const memory = new EngineMemory();
  const { address32: at } = memory.alloc(21, access);
  for (const [offset, size] of [
    [0, 21],
    [20, 1],
    [3, 13],
    [16, 5],
  ] as const) {
    expect(memory.allows(at + offset, size, false)).toBe(read);
    expect(memory.allows(at + offset, size, true)).toBe(write);
  }
  expect(memory.allows(at, 22, false)).toBe(false);
  expect(memory.allows(at + 21, 1, false)).toBe(false);
  expect(memory.allows(at - 1, 2, false)).toBe(false);
});

test('protection of a part', () => {
  const memory = new EngineMemory();
  const { address32: at } = memory.alloc(64);
  memory.protect(at + 16, 16, 'read');
  expect(memory.allows(at, 64, false)).toBe(true);
  expect(memory.allows(at, 16, true)).toBe(true);
  expect(memory.allows(at + 8, 16, true)).toBe(false);
});

test('live regions never overlap, whatever is taken and given', () => {
  const memory = new EngineMemory(64 << 20);
  const sizes = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 200, max: 40_000 }));
  const steps = fc.array(fc.record({ size: sizes, drop: fc.option(fc.nat(), { freq: 2 }) }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const live = [];
      for (const { size, drop } of list) {
        if (drop !== null && live.length > 0) memory.free(live.splice(drop % live.length, 1)[0]!);
        live.push(memory.alloc(size));
      }
      const sorted = [...live].sort((a, b) => a.address32 - b.address32);
      for (let i = 1; i < sorted.length; i++) {
        expect(sorted[i]!.address32).toBeGreaterThanOrEqual(
          sorted[i - 1]!.address32 + sorted[i - 1]!.size + 16,
        );
      }
      for (const region of live) memory.free(region);
    }),
    { numRuns: 60, seed: 1 },
  );
});
