/** `bpf()` beside maps and loading: links, test runs, pins, what is told of objects; and a kernel from the library. */
import { describe, expect, test } from '@jest/globals';
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
