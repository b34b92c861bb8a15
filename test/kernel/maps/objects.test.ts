/** Maps of kernel objects: storages, sockets, control groups, descriptors of maps and programs. Errnos are Linux 6.18's. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import type { MapTypeName } from '../../../src/abi/map-types.js';
import type { CgroupStorageMap } from '../../../src/kernel/bpf/cgroup-storage.js';
import type { LocalStorageMap } from '../../../src/kernel/bpf/local-storage.js';
import type { BpfMap } from '../../../src/kernel/bpf/map.js';
import { redirectAllowed } from '../../../src/kernel/bpf/sock-maps.js';
import { Cgroup } from '../../../src/kernel/cgroup/cgroup.js';
import { Inode } from '../../../src/kernel/fs/inode.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { Sock, type SockAttr, SocketState } from '../../../src/kernel/net/sock.js';
import { DEFAULT_TASK, Task } from '../../../src/kernel/sched/task.js';
import { errnoOf, ID, kernelOf, makeMap, number, typed, u32, u64 } from './support.js';

const NO_PREALLOC = 1;
const CLONE = 1 << 9;
const [NOEXIST, EXIST] = [1, 2];

const TCP: SockAttr = { family: 2, type: 1, protocol: 6 };
const UDP: SockAttr = { family: 2, type: 2, protocol: 17, bound: true };
const SOCKETS = {
  listener: { ...TCP, state: SocketState.LISTEN, reusePort: true },
  connected: { ...TCP, state: SocketState.ESTABLISHED },
  closed: TCP,
  udp: UDP,
  udpReuse: { ...UDP, reusePort: true },
  unbound: { ...UDP, bound: false },
  unix: { family: 1, type: 1, protocol: 0 },
  unixPair: { family: 1, type: 1, protocol: 0, state: SocketState.ESTABLISHED },
  xdp: { family: 44, type: 3, protocol: 0 },
} satisfies Record<string, SockAttr>;

const open = (kernel: Kernel, attr: SockAttr, cookie = 77n): { sock: Sock; fd: number } => {
  const sock = new Sock(kernel, attr, cookie);
  return { sock, fd: kernel.files.open(sock) };
};

describe('sockmap', () => {
  test.each<[keyof typeof SOCKETS, number]>([
    ['listener', 0],
    ['connected', 0],
    ['closed', Errno.EOPNOTSUPP],
    ['udp', 0],
    ['unbound', Errno.EOPNOTSUPP],
    ['unix', Errno.EOPNOTSUPP],
    ['unixPair', 0],
    ['xdp', Errno.EOPNOTSUPP],
  ])('a socket that is %s: errno %i', (name, errno) => {
    for (const type of ['sockmap', 'sockhash'] as const) {
      const kernel = kernelOf();
      const map = makeMap(kernel, type);
      const { fd } = open(kernel, SOCKETS[name]);
      expect(kernel.bpf.mapUpdate(map, u32(1), u64(fd))).toBe(errno === 0 ? 0 : -errno);
      expect(number(kernel.bpf.mapLookup(map, u32(1)))).toBe(errno === 0 ? 77 : -Errno.ENOENT);
    }
  });

  test.each<[MapTypeName, number, number]>([
    ['sockmap', -Errno.EINVAL, -Errno.E2BIG],
    ['sockhash', -Errno.ENOENT, 0],
    ['reuseport_sockarray', -Errno.ENOENT, -Errno.E2BIG],
  ])('%s: empty and past the end', (type, empty, past) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, type);
    const { fd } = open(kernel, SOCKETS.listener);
    expect(kernel.bpf.mapDelete(map, u32(1))).toBe(empty);
    expect(kernel.bpf.mapUpdate(map, u32(4), u64(fd))).toBe(past);
    expect(kernel.bpf.mapUpdate(map, u32(1), u64(fd), EXIST)).toBe(-Errno.ENOENT);
    expect(kernel.bpf.mapUpdate(map, u32(1), u64(9999))).toBe(-Errno.EBADF);
    expect(kernel.bpf.mapUpdate(map, u32(1), u64(1n << 32n))).toBe(-Errno.EINVAL);
  });

  test('a value of 4 bytes cannot be read', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'sockmap', { valueSize: 4 });
    expect(kernel.bpf.mapLookup(map, u32(0))).toBe(-Errno.ENOSPC);
  });

  test('a socket is in one reuseport array, and then in no sockmap', () => {
    const kernel = kernelOf();
    const [array, other, map] = [
      makeMap(kernel, 'reuseport_sockarray'),
      makeMap(kernel, 'reuseport_sockarray'),
      makeMap(kernel, 'sockmap'),
    ];
    const { fd } = open(kernel, SOCKETS.listener);
    expect(kernel.bpf.mapUpdate(array, u32(0), u64(fd))).toBe(0);
    expect(kernel.bpf.mapUpdate(other, u32(0), u64(fd))).toBe(-Errno.EBUSY);
    expect(kernel.bpf.mapUpdate(map, u32(0), u64(fd))).toBe(-Errno.EBUSY);
    expect(kernel.bpf.mapDelete(array, u32(0))).toBe(0);
    expect(kernel.bpf.mapUpdate(map, u32(0), u64(fd))).toBe(0);
    expect(kernel.bpf.mapUpdate(other, u32(0), u64(fd))).toBe(-Errno.EBUSY);
  });

  test.each<[MapTypeName]>([['sockmap'], ['sockhash']])(
    '%s: a socket that it held is free when it goes',
    (type) => {
      const kernel = kernelOf();
      const [map, array] = [makeMap(kernel, type), makeMap(kernel, 'reuseport_sockarray')];
      const { sock, fd } = open(kernel, SOCKETS.listener);
      for (const key of [0, 1]) expect(kernel.bpf.mapUpdate(map, u32(key), u64(fd))).toBe(0);
      expect(kernel.bpf.mapUpdate(map, u32(1), u64(fd))).toBe(0);
      expect(sock.mapLinks).toBe(2);
      expect(kernel.bpf.mapUpdate(array, u32(0), u64(fd))).toBe(-Errno.EBUSY);
      map.release();
      expect(kernel.bpf.mapUpdate(array, u32(0), u64(fd))).toBe(0);
    },
  );

  test.each<[keyof typeof SOCKETS, boolean]>([
    ['listener', false],
    ['connected', true],
    ['udp', false],
    ['unix', false],
    ['unixPair', true],
  ])('to a socket that is %s can be redirected: %s', (name, allowed) => {
    expect(redirectAllowed(open(kernelOf(), SOCKETS[name]).sock)).toBe(allowed);
  });

  test.each<[keyof typeof SOCKETS, number]>([
    ['listener', 0],
    ['udpReuse', 0],
    ['udp', Errno.EINVAL],
    ['connected', Errno.EINVAL],
    ['unix', Errno.ENOTSUPP],
  ])('reuseport array, %s: errno %i', (name, errno) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'reuseport_sockarray');
    const { fd } = open(kernel, SOCKETS[name]);
    expect(kernel.bpf.mapUpdate(map, u32(1), u64(fd))).toBe(errno === 0 ? 0 : -errno);
  });
});

describe('storages', () => {
  const owners: Record<string, (kernel: Kernel) => object> = {
    sk_storage: (kernel) => new Sock(kernel, UDP, 1n),
    task_storage: () => new Task(DEFAULT_TASK),
    inode_storage: (kernel) => new Inode(kernel, 9n),
    cgrp_storage: (kernel) => new Cgroup(kernel, 1n),
  };
  const attr = { ...typed(ID.long, 8), maxEntries: 0, mapFlags: NO_PREALLOC };

  test.each(Object.keys(owners) as MapTypeName[])('%s: a value an owner', (type) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, type, attr) as LocalStorageMap;
    const owner = owners[type]!(kernel);
    const key = u32(kernel.files.open(owner));
    const { bpf } = kernel;
    expect(bpf.mapLookup(map, key)).toBe(-Errno.ENOENT);
    expect(bpf.mapUpdate(map, key, u64(5), EXIST)).toBe(-Errno.ENOENT);
    expect(bpf.mapUpdate(map, key, u64(5), NOEXIST)).toBe(0);
    expect(bpf.mapUpdate(map, key, u64(6), NOEXIST)).toBe(-Errno.EEXIST);
    expect(number(bpf.mapLookup(map, key))).toBe(5);
    expect(bpf.mapNextKey(map, key)).toBe(-Errno.ENOTSUPP);
    expect(bpf.mapUpdate(map, u32(9999), u64(5))).toBe(-Errno.EBADF);
    expect(map.size).toBe(1);
    expect(bpf.mapDelete(map, key)).toBe(0);
    expect(bpf.mapDelete(map, key)).toBe(-Errno.ENOENT);
  });

  test('a socket pays for what hangs on it, and once for the storage', () => {
    const kernel = kernelOf();
    const [one, other] = [makeMap(kernel, 'sk_storage', attr), makeMap(kernel, 'sk_storage', attr)];
    const { sock, fd } = open(kernel, UDP);
    const after = (act: () => number): number => {
      expect(act()).toBe(0);
      return sock.optionMemory;
    };
    const set = (map: BpfMap) => () => kernel.bpf.mapUpdate(map, u32(fd), u64(5));
    const unset = (map: BpfMap) => () => kernel.bpf.mapDelete(map, u32(fd));
    const paid = [set(one), set(other), set(one), unset(one), unset(other)].map(after);
    expect(paid).toEqual([184 + 80, 184 + 160, 184 + 160, 184 + 80, 0]);
  });

  test('control groups have inodes of their own, what is no file shares one', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'inode_storage', attr);
    const fds = [new Cgroup(kernel, 1n), new Cgroup(kernel, 2n), map, {}].map((file) =>
      kernel.files.open(file),
    );
    for (const fd of fds) expect(kernel.bpf.mapUpdate(map, u32(fd), u64(fd))).toBe(0);
    const found = fds.map((fd) => number(kernel.bpf.mapLookup(map, u32(fd))));
    expect(found).toEqual([fds[0], fds[1], fds[3], fds[3]]);
  });

  test.each([
    [{}, 0],
    [{ mapFlags: 0 }, Errno.EINVAL],
    [{ maxEntries: 1 }, Errno.EINVAL],
    [{ btfKeyTypeId: 0 }, Errno.EINVAL],
    [{ keySize: 8, btfKeyTypeId: ID.long }, Errno.EINVAL],
    [{ valueSize: 65408 }, Errno.E2BIG],
  ])('created with %p: errno %i', (more, errno) => {
    const kernel = kernelOf();
    expect(errnoOf(() => makeMap(kernel, 'sk_storage', { ...attr, ...more }))).toBe(errno);
  });

  test('from a program: made on demand, from a value or of zeros', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'cgrp_storage', attr) as LocalStorageMap;
    const [a, b] = [new Cgroup(kernel, 1n), new Cgroup(kernel, 2n)];
    const initial = kernel.memory.alloc(8);
    initial.bytes[0] = 9;
    expect(map.getOrCreate(a, initial.address32, false)).toBe(0);
    const at = map.getOrCreate(a, initial.address32, true);
    expect(kernel.memory.u8[at]).toBe(9);
    expect(map.getOrCreate(a, 0, true)).toBe(at);
    expect(kernel.memory.u8[map.getOrCreate(b, 0, true)]).toBe(0);
    expect(map.remove(a)).toBe(0);
    expect(map.find(a)).toBe(0);
  });

  test('a new connection inherits with BPF_F_CLONE only', () => {
    const kernel = kernelOf();
    const [plain, clone] = [0, CLONE].map(
      (flag) => makeMap(kernel, 'sk_storage', { ...attr, mapFlags: NO_PREALLOC | flag }) as LocalStorageMap,
    );
    const [listener, child] = [new Sock(kernel, TCP, 1n), new Sock(kernel, TCP, 2n)];
    for (const map of [plain!, clone!]) {
      map.getOrCreate(listener, 0, true);
      expect(map.clone(listener, child)).toBe(0);
    }
    expect([plain!.find(child) !== 0, clone!.find(child) !== 0]).toEqual([false, true]);
  });

  test('a socket has so much option memory', () => {
    const kernel = kernelOf();
    const sock = new Sock(kernel, TCP, 1n);
    const big = Array.from({ length: 3 }, () =>
      makeMap(kernel, 'sk_storage', { ...attr, valueSize: 60000, btf: undefined } as never),
    );
    const made = big.map((map) => (map as LocalStorageMap).getOrCreate(sock, 0, true) !== 0);
    expect(made).toEqual([true, true, false]);
    expect((big[0] as LocalStorageMap).remove(sock)).toBe(0);
    expect((big[2] as LocalStorageMap).getOrCreate(sock, 0, true)).not.toBe(0);
  });
});

describe('cgroup_storage', () => {
  test.each<[MapTypeName, number]>([
    ['cgroup_storage', 8],
    ['percpu_cgroup_storage', 16],
  ])('%s: an element an attachment, the latest first', (type, size) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, type, { keySize: 16, maxEntries: 0 }) as CgroupStorageMap;
    const { bpf } = kernel;
    const key = (group: number, attachType: number) => u32(group, 0, attachType, 0);
    expect(bpf.mapUpdate(map, key(1, 2), new Uint8Array(size))).toBe(-Errno.ENOENT);
    map.link(1n, 2);
    map.link(5n, 3);
    expect(bpf.mapNextKey(map)).toEqual(key(5, 3));
    expect(bpf.mapNextKey(map, key(5, 3))).toEqual(key(1, 2));
    expect(bpf.mapNextKey(map, key(1, 2))).toBe(-Errno.ENOENT);
    expect(bpf.mapUpdate(map, key(1, 2), new Uint8Array(size).fill(3))).toBe(0);
    expect(kernel.memory.u8[map.valueFor(1n, 2)]).toBe(3);
    expect(bpf.mapDelete(map, key(1, 2))).toBe(-Errno.EINVAL);
    map.unlink(1n, 2);
    expect(bpf.mapLookup(map, key(1, 2))).toBe(-Errno.ENOENT);
  });
});

describe('descriptors', () => {
  test('a map of maps takes maps of its shape by descriptor', () => {
    const kernel = kernelOf();
    const inner = makeMap(kernel, 'array');
    for (const type of ['array_of_maps', 'hash_of_maps'] as const) {
      const outer = makeMap(kernel, type, { valueSize: 4, inner });
      const fd = (map: object) => u32(kernel.files.open(map));
      expect(kernel.bpf.mapUpdate(outer, u32(0), fd(makeMap(kernel, 'array')))).toBe(0);
      expect(kernel.bpf.mapUpdate(outer, u32(0), fd(makeMap(kernel, 'hash')))).toBe(-Errno.EINVAL);
      expect(kernel.bpf.mapUpdate(outer, u32(0), fd(new Cgroup(kernel, 1n)))).toBe(-Errno.EINVAL);
      expect(kernel.bpf.mapUpdate(outer, u32(0), u32(9999))).toBe(-Errno.EBADF);
      const value = kernel.bpf.mapLookup(outer, u32(0));
      expect(typeof value).not.toBe('number');
    }
    expect(errnoOf(() => makeMap(kernel, 'array_of_maps', { valueSize: 4 }))).toBe(Errno.EINVAL);
    const outer = makeMap(kernel, 'array_of_maps', { valueSize: 4, inner });
    expect(errnoOf(() => makeMap(kernel, 'array_of_maps', { valueSize: 4, inner: outer }))).toBe(
      Errno.EINVAL,
    );
    const programs = makeMap(kernel, 'prog_array', { valueSize: 4 });
    expect(errnoOf(() => makeMap(kernel, 'array_of_maps', { valueSize: 4, inner: programs }))).toBe(
      Errno.ENOTSUPP,
    );
  });

  test('a devmap takes devices that there are', () => {
    const kernel = kernelOf();
    Object.assign(kernel, { devices: new Set([1]) });
    for (const type of ['devmap', 'devmap_hash'] as const) {
      const map = makeMap(kernel, type, { valueSize: 4 });
      expect(kernel.bpf.mapUpdate(map, u32(1), u32(1))).toBe(0);
      expect(kernel.bpf.mapUpdate(map, u32(1), u32(2))).toBe(-Errno.EINVAL);
      expect(kernel.bpf.mapUpdate(map, u32(1), u32(1), NOEXIST)).toBe(-Errno.EEXIST);
    }
  });

  test.each([
    [0, 8, 0],
    [1, 16385, -Errno.EOVERFLOW],
    [3, 8, -Errno.ENODEV],
    [4, 8, -Errno.E2BIG],
  ])('cpumap: CPU %i, a queue of %i', (cpu, queue, result) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'cpumap', { valueSize: 4 });
    expect(kernel.bpf.mapUpdate(map, u32(cpu), u32(queue))).toBe(result);
  });

  test('a control group array says nothing of what it holds', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'cgroup_array', { valueSize: 4 });
    const fd = kernel.files.open(new Cgroup(kernel, 1n));
    expect(kernel.bpf.mapUpdate(map, u32(0), u32(fd))).toBe(0);
    expect(kernel.bpf.mapLookup(map, u32(0))).toBe(-Errno.ENOTSUPP);
    expect(kernel.bpf.mapUpdate(map, u32(0), u32(kernel.files.open(map)))).toBe(-Errno.EBADF);
  });
});
