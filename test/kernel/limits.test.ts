/** Boundaries, each from both sides: sizes of contexts, memory of maps, keys of a stack-trace map. */
import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../src/abi/helpers.js';
import { MapType } from '../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import type { StackMap } from '../../src/kernel/bpf/stackmap.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { SyscallError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { u32, u64 } from '../programs/support.js';

function load(kernel: Kernel, type: ProgTypeName, asm = 'r0 = 0\n exit') {
  const source = { name: 'prog', section: '', type: ProgType[type], expectedAttachType: 0 as const };
  const nothing = { progFlags: 0, autoload: true, subProgs: [], funcInfo: [], lineInfo: [] };
  return kernel.bpf.progLoad({ ...source, ...nothing, insns: assemble(asm, { helperId }) }, []);
}

function errnoOf(act: () => unknown): number {
  try {
    act();
    return 0;
  } catch (error) {
    if (error instanceof SyscallError) return error.errno;
    throw error;
  }
}

describe('the largest context', () => {
  test.each([
    ['raw_tracepoint', 96],
    ['syscall', 65535],
    ['tracepoint', 8192],
  ] as const)('%s: %i bytes', (type, most) => {
    const kernel = new Kernel();
    const prog = load(kernel, type);
    const run = (size: number) => testRun(kernel, prog, { ctxIn: new Uint8Array(size) });
    expect(errnoOf(() => run(most))).toBe(0);
    expect(errnoOf(() => run(most + 1))).toBe(22);
  });

  test('zeros past the structure do not count, anything else does', () => {
    const kernel = new Kernel();
    const prog = load(kernel, 'kprobe');
    const context = new Uint8Array(200);
    expect(errnoOf(() => testRun(kernel, prog, { ctxIn: context }))).toBe(0);
    context[168] = 1;
    expect(errnoOf(() => testRun(kernel, prog, { ctxIn: context }))).toBe(7);
  });
});

test('bpf_snprintf takes as many arguments as it is given', () => {
  const kernel = new Kernel();
  // The format "%d %d %d", three arguments, eight bytes of room.
  const prog = load(
    kernel,
    'raw_tracepoint',
    `
    r1 = 0x6425206425206425 ll
    *(u64 *)(r10 - 16) = r1
    *(u64 *)(r10 - 8) = 0
    *(u64 *)(r10 - 48) = 7
    *(u64 *)(r10 - 40) = 8
    *(u64 *)(r10 - 32) = 9
    r1 = r10
    r1 += -24
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = r10
    r4 += -48
    r5 = 24
    call bpf_snprintf
    r6 = r0
    r0 = *(u64 *)(r10 - 24)
    if r6 == 6 goto done
    r0 = r6
  done:
    exit`,
  );
  const { r0 } = testRun(kernel, prog, {});
  expect(Buffer.from(u64(r0)).toString('latin1', 0, 6)).toBe('7 8 9\0');
});

test('maps that no memory is left for are refused by name', () => {
  const kernel = new Kernel();
  const create = (name: string) =>
    kernel.bpf.mapCreate({
      name,
      type: MapType.array,
      keySize: 4,
      valueSize: 8,
      maxEntries: 32 << 20,
      mapFlags: 0,
      mapExtra: 0n,
    });
  expect(() => {
    for (let i = 0; i < 64; i++) create(`large_${i}`);
  }).toThrow(/^map large_\d+: no memory for 268435456 bytes within the engine's limit \(ENOMEM\)$/);
});

test('keys of a stack-trace map: those that hold a trace, from any key on', () => {
  const kernel = new Kernel();
  const attr = { keySize: 4, valueSize: 64, maxEntries: 8, mapFlags: 0, mapExtra: 0n };
  const map = kernel.bpf.mapCreate({ name: 'stacks', type: MapType.stack_trace, ...attr }) as StackMap;
  const next = (key?: number) => {
    const found = kernel.bpf.mapNextKey(map, key === undefined ? undefined : u32(key));
    return typeof found === 'number' ? found : new DataView(found.buffer).getUint32(0, true);
  };
  expect(next()).toBe(-2);
  const ids = [0x1111n, 0x2222n, 0x3333n].map((ip) => map.store(BigUint64Array.of(ip), 0));
  const sorted = [...new Set(ids)].sort((a, b) => a - b);
  expect(next()).toBe(sorted[0]);
  expect(sorted.slice(1)).toEqual(sorted.slice(0, -1).map((key) => next(key)));
  expect(next(sorted.at(-1))).toBe(-2);
  // A key without a trace, or past the last, starts over.
  expect(next(8)).toBe(sorted[0]);
  const free = [0, 1, 2, 3, 4, 5, 6, 7].filter((key) => !sorted.includes(key)).at(-1)!;
  expect(next(free)).toBe(sorted[0]);
});
