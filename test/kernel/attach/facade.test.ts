/** `bpf()` beside maps and loading: links, test runs, pins, what is told of objects; and a kernel from the library. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { SyscallError } from '../../../src/kernel/errors.js';
import { kernelOf, load, mapOf } from './support.js';

describe('pinning', () => {
  test('a name leads to the object until it is unlinked', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'hash');
    kernel.bpf.objPin('/sys/fs/bpf/app/counters', map);
    expect(kernel.bpf.objGet('/sys/fs/bpf/app/counters')).toBe(map);
    expect(kernel.bpf.fs.list()).toEqual(['/sys/fs/bpf/app/counters']);
    kernel.bpf.fs.unlink('/sys/fs/bpf/app/counters');
    expect(() => kernel.bpf.objGet('/sys/fs/bpf/app/counters')).toThrow(/is not there \(ENOENT\)/);
    expect(kernel.bpf.fs.list()).toEqual([]);
  });

  test.each([
    ['/tmp/x', 'EPERM'],
    ['/sys/fs/bpf/', 'EPERM'],
    ['/sys/fs/bpf/a.b', 'EPERM'],
    ['/sys/fs/bpf/taken', 'EEXIST'],
  ])('%s: %s', (path, code) => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'hash');
    kernel.bpf.objPin('/sys/fs/bpf/taken', map);
    expect(() => kernel.bpf.objPin(path, map)).toThrow(SyscallError);
    expect(() => kernel.bpf.objPin(path, map)).toThrow(expect.objectContaining({ code }));
  });
});

test('what is told of programs, links and maps', () => {
  const kernel = kernelOf();
  const map = mapOf(kernel, 'array');
  const prog = load(kernel, 'kprobe', 'r1 = map[fd:0]\nr0 = 0\nexit', {
    name: 'a_rather_long_name',
    maps: [map],
  });
  const link = kernel.bpf.linkCreate(prog, 'kprobe:f');
  kernel.callFunction('f');
  expect(kernel.bpf.objInfo(prog)).toMatchObject({
    id: 1,
    name: 'a_rather_long_n',
    mapIds: [map.id],
    runCount: 1,
    recursionMisses: 0,
    instructions: 3,
  });
  expect(kernel.bpf.objInfo(link)).toEqual({
    id: 1,
    progId: 1,
    target: 'kprobe:f',
    attached: true,
    missed: 0,
  });
  kernel.bpf.linkDetach(link);
  kernel.callFunction('f');
  expect(kernel.bpf.progInfo(prog).runCount).toBe(1);
  expect(kernel.bpf.linkInfo(link).attached).toBe(false);
  expect(kernel.bpf.objInfo(map)).toMatchObject({ maxEntries: 8 });
});

describe('iterators', () => {
  const iter = AttachType.trace_iter;
  /** Prints the 32-bit word that pointer `n` of the context leads to. */
  const print = (n: number): string => `
    r6 = *(u64 *)(r1 + ${8 * n})
    if r6 == 0 goto out
    r1 = *(u64 *)(r1 + 0)
    r2 = r6
    r3 = 4
    call bpf_seq_write
  out:
    r0 = 0
    exit`;

  test('over the elements of a map: key and value of each, then nothing', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'array', { maxEntries: 3 });
    for (const i of [0, 1, 2])
      kernel.bpf.mapUpdate(map, Uint8Array.of(i, 0, 0, 0), Uint8Array.of(i + 7, 0, 0, 0, 0, 0, 0, 0));
    const prog = load(kernel, 'tracing', print(3), { attachType: iter });
    const link = kernel.attach(prog, { kind: 'iter', target: 'bpf_map_elem', map });
    expect([...kernel.readIterator(link)].filter((byte) => byte !== 0)).toEqual([7, 8, 9]);
    expect(prog.stats.runs).toBe(4);
    link.detach();
    expect(() => kernel.readIterator(link)).toThrow(/none of an iterator/);
  });

  test('over tasks and maps', () => {
    const kernel = kernelOf();
    mapOf(kernel, 'hash');
    const progs = ['task', 'bpf_map'].map((target) => {
      const prog = load(kernel, 'tracing', 'r0 = 0\nexit', { attachType: iter });
      kernel.readIterator(kernel.attach(prog, `iter:${target}`));
      return prog.stats.runs;
    });
    expect(progs).toEqual([2, 2]);
  });

  test.each([
    ['iter:nothing', /no iterator over nothing; there are: task, task_file, bpf_map, /],
    ['iter:bpf_map_elem', /over which map\?/],
  ])('refused: %s', (target, message) => {
    const kernel = kernelOf();
    const prog = load(kernel, 'tracing', 'r0 = 0\nexit', { attachType: iter });
    expect(() => kernel.attach(prog, target)).toThrow(message);
  });
});

test.each([false, true])('test runs, interleaved: %s', (interleaved) => {
  const kernel = kernelOf('6.18', { interleaved });
  const prog = load(kernel, 'xdp', 'r0 = 2\nexit');
  expect(kernel.bpf.testRun(prog, { dataIn: new Uint8Array(64), repeat: 3 })).toMatchObject({
    retval: 2,
    instructions: 6,
  });
  const faulty = load(kernel, 'xdp', 'r1 = 8\nr0 = *(u64 *)(r1 + 0)\nexit');
  expect(() => kernel.bpf.testRun(faulty, { dataIn: new Uint8Array(64) })).toThrow(/invalid load of 8 bytes/);
  const { here, current } = kernel.sched;
  expect([here.preemptCount, current.migrationDisabled, current.rcuDepth]).toEqual([0, 0, 0]);
});
