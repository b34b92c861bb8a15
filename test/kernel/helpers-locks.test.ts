/** Locks in map values, between CPUs. */
import { describe, expect, test } from '@jest/globals';
import { runProgFlow } from '../../src/kernel/bpf/run-prog.js';
import {
  acquireLock,
  acquireLockFlow,
  acquireResilientLock,
  releaseLock,
} from '../../src/kernel/bpf/spin-lock.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { type Flow, point } from '../../src/kernel/sched/flow.js';
import { u32 } from '../programs/support.js';
import { Id, load, makeMap, PROGRAM_BTF } from './helpers-support.js';

const lookup =
  'r1 = 0\n*(u32 *)(r10 - 4) = r1\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr6 = r0\n';
const field = 'r1 = r6\nr1 += 8\n';
/** Reads, counts for a while, and writes one more: whoever comes between loses a count. */
const increment = (lock: string, unlock: string): string =>
  `${lookup}${lock}r7 = *(u64 *)(r6 + 0)\nr8 = 0\nagain:\nr8 += 1\nif r8 < 200 goto again\nr7 += 1\n*(u64 *)(r6 + 0) = r7\n${unlock}r0 = 0\nexit`;

function countOf(asm: string, runs: number): number {
  const kernel = new Kernel({ cpus: 2, interleaved: true });
  const map = makeMap(kernel, 'array', {
    valueSize: 16,
    btf: PROGRAM_BTF,
    btfKeyTypeId: Id.INT,
    btfValueTypeId: Id.LOCKED,
  });
  const prog = load(kernel, 'raw_tracepoint', asm, { maps: [map] });
  for (let cpu = 0; cpu < 2; cpu++) {
    const pid = 3000 + cpu;
    const attr = { pid, tgid: pid, comm: 'counter', uid: 0, gid: 0, affinity: [cpu] };
    kernel.sched.spawn(attr, function* () {
      for (let i = 0; i < runs; i++) yield* runProgFlow(kernel, prog, {});
    });
  }
  kernel.runFor(1_000_000_000);
  const value = kernel.bpf.mapLookup(map, u32(0));
  return typeof value === 'number' ? value : new DataView(value.buffer, value.byteOffset).getUint32(0, true);
}

describe('bpf_spin_lock between two CPUs', () => {
  test('no count is lost with it', () => {
    const locked = increment(`${field}call bpf_spin_lock\n`, `${field}call bpf_spin_unlock\n`);
    expect(countOf(locked, 20)).toBe(40);
  });

  test('some are without', () => {
    expect(countOf(increment('', ''), 20)).toBeLessThan(40);
  });
});

const BETWEEN = point('between two locks');

/** Two tasks on two CPUs that each take two locks, in opposite orders. */
function crossed(acquire: (kernel: Kernel, at: number) => Flow<unknown>) {
  const kernel = new Kernel({ cpus: 2, interleaved: true });
  const { address32: a } = kernel.memory.alloc(8, 'none');
  const { address32: b } = kernel.memory.alloc(8, 'none');
  const results: number[] = [];
  for (const [cpu, [first, second]] of [
    [a, b],
    [b, a],
  ].entries()) {
    const pid = 3000 + cpu;
    const attr = { pid, tgid: pid, comm: 'locker', uid: 0, gid: 0, affinity: [cpu] };
    kernel.sched.spawn(attr, function* () {
      results.push(Number((yield* acquire(kernel, first!)) ?? 0));
      kernel.sched.charge(1000);
      yield BETWEEN;
      const result = Number((yield* acquire(kernel, second!)) ?? 0);
      results.push(result);
      if (result === 0) releaseLock(kernel, second!);
      releaseLock(kernel, first!);
    });
  }
  return { kernel, results, words: () => [kernel.memory.i32[a >> 2], kernel.memory.i32[b >> 2]] };
}

test('two that wait for each other: one is told', () => {
  const { kernel, results, words } = crossed(acquireResilientLock);
  kernel.runFor(1_000_000);
  expect(results.filter((result) => result === -35).length).toBeGreaterThanOrEqual(1);
  expect(results.length).toBe(4);
  expect(words()).toEqual([0, 0]);
});

test('two that wait for each other with bpf_spin_lock: the simulation ends with who waits for whom', () => {
  const { kernel, words } = crossed(acquireLockFlow);
  expect(() => kernel.runFor(1_000_000)).toThrow(
    /^nobody in a circle can go on: locker\/300\d on CPU \d waits for bpf_spin_lock at 0x[0-9a-f]+, which locker\/300\d on CPU \d took at bpf_spin_lock; locker/,
  );
  expect(kernel.splats.map(({ kind }) => kind)).toEqual(['deadlock']);
  expect(words()).toEqual([1, 1]);
});

test('a lock taken twice where nothing interleaves stops the program, which says who has it', () => {
  const kernel = new Kernel();
  const { address32 } = kernel.memory.alloc(8, 'none');
  acquireLock(kernel, address32);
  expect(() => acquireLock(kernel, address32)).toThrow(
    /^waits for ever for the bpf_spin_lock at 0x[0-9a-f]+, held by \S+ on CPU 0$/,
  );
});

test('callbacks may wait, too', () => {
  const kernel = new Kernel({ cpus: 2, interleaved: true });
  const from = makeMap(kernel, 'array');
  const to = makeMap(kernel, 'hash');
  const callback = `callback:\nr3 = *(u32 *)(r2 + 0)\n*(u32 *)(r10 - 4) = r3\n*(u64 *)(r10 - 16) = r3\nr1 = map[fd:1]\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = 0\ncall bpf_map_update_elem\nr0 = 0\nexit`;
  const asm = `r1 = map[fd:0]\nr2 = subprog[callback]\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\nexit\n${callback}`;
  const prog = load(kernel, 'raw_tracepoint', asm, { maps: [from, to] });
  const result = kernel.executor.drive(runProgFlow(kernel, prog, {}));
  expect(result.r0).toBe(4n);
  expect([...kernel.bpf.mapEntries(to)].length).toBe(4);
});
