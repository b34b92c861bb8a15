/** Iterators: what each kind of objects gives its program. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { UnsupportedError } from '../../../src/kernel/errors.js';
import { Inode } from '../../../src/kernel/fs/inode.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { socketOf } from './packets.js';
import { kernelOf, load, mapOf } from './support.js';

/** Writes the words behind the metadata into the file, for every object but the end. */
function words(width: number): string {
  const copies = Array.from(
    { length: width },
    (_, i) => `r2 = *(u64 *)(r6 + ${8 + 8 * i})\n*(u64 *)(r10 - ${8 * (width - i)}) = r2`,
  );
  return `
    r6 = r1
    r2 = *(u64 *)(r6 + 8)
    if r2 == 0 goto +${2 * width + 6}
    ${copies.join('\n')}
    r1 = *(u64 *)(r6 + 0)
    r1 = *(u64 *)(r1 + 0)
    r2 = r10
    r2 += -${8 * width}
    r3 = ${8 * width}
    call bpf_seq_write
    r0 = 0
    exit`;
}

function read(kernel: Kernel, target: string, width: number, map = false): bigint[][] {
  const prog = load(kernel, 'tracing', words(width), { attachType: AttachType.trace_iter, name: 'walk' });
  const over = map ? { map: kernel.allMaps()[0]! } : {};
  const link = kernel.attach(prog, { kind: 'iter', target, ...over });
  const bytes = kernel.readIterator(link);
  link.detach();
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / (8 * width) }, (_, i) =>
    Array.from({ length: width }, (__, j) => view.getBigUint64(8 * (i * width + j), true)),
  );
}

describe('what there is to go over', () => {
  test('files of the task, by descriptor', () => {
    const kernel = kernelOf();
    const [a, b] = [kernel.files.open(new Inode(kernel, 5n)), kernel.files.open(new Inode(kernel, 6n))];
    kernel.files.close(a);
    expect(read(kernel, 'task_file', 3).map(([task, fd]) => [task, fd])).toEqual([
      [kernel.taskAddress, BigInt(b)],
    ]);
  });

  test.each([
    ['bpf_prog', 3],
    ['bpf_link', 2],
    ['bpf_map', 2],
    ['cgroup', 3],
  ])('%s: each of them', (target, count) => {
    const kernel = kernelOf();
    mapOf(kernel, 'array');
    mapOf(kernel, 'hash');
    kernel.cgroups.make('/a/b');
    kernel.attach(load(kernel, 'xdp', 'r0 = 2\nexit'), 'xdp:eth0');
    load(kernel, 'xdp', 'r0 = 2\nexit');
    const found = read(kernel, target, 1).map(([address]) => address);
    expect([found.length, new Set(found).size]).toEqual([count, count]);
  });

  test('ksym: functions that have an address', () => {
    const kernel = kernelOf();
    kernel.attach(load(kernel, 'kprobe', 'r0 = 0\nexit'), 'kprobe:vfs_read');
    kernel.callFunction('vfs_read');
    expect(read(kernel, 'ksym', 1).length).toBe(kernel.symbols.list().length);
    expect(kernel.symbols.list().map(([name]) => name)).toContain('vfs_read');
  });

  test('sockets by protocol, and those of a map', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'sockmap', { valueSize: 8 });
    const tcp = socketOf(kernel, { protocol: 'tcp', peer: 9 });
    const udp = socketOf(kernel, { protocol: 'udp' });
    const value = new Uint8Array(8);
    value[0] = kernel.files.open(tcp);
    kernel.bpf.mapUpdate(map, Uint8Array.of(3, 0, 0, 0), value);
    expect(read(kernel, 'tcp', 2)).toEqual([[tcp.address, 0n]]);
    expect(read(kernel, 'udp', 3)).toEqual([[udp.address, 0n, 0n]]);
    expect(read(kernel, 'sockmap', 3, true).map(([, , sock]) => sock)).toEqual([tcp.address]);
  });

  test('what there is not', () => {
    const kernel = kernelOf();
    expect(() => read(kernel, 'dmabuf', 1)).toThrow(UnsupportedError);
    const prog = load(kernel, 'tracing', 'r0 = 0\nexit', { attachType: AttachType.trace_iter });
    expect(() => kernel.attach(prog, { kind: 'iter', target: 'sockmap' })).toThrow(/EBADF/);
  });
});
