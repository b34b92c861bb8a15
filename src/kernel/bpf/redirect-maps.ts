/**
 * Maps that XDP programs redirect to: devices, CPUs, AF_XDP sockets. A redirect records where the packet would have
 * gone. Models kernel/bpf/devmap.c, cpumap.c and net/xdp/xskmap.c of Linux 6.18.
 */
import { AttachType } from '../../abi/attach-types.js';
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Region } from '../../vm/index.js';
import { Sock, SocketFamily } from '../net/sock.js';
import { IndexedMap } from './arraymap.js';
import { HashBackedMap } from './hashtab.js';
import {
  type BatchOps,
  type BpfMap,
  type MapAttr,
  type MapHost,
  requireAttr,
  requireMemory,
  roundUp8,
} from './map.js';
import { isProg } from './prog.js';

const FD_FLAGS = MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY;
/** CONFIG_NR_CPUS, as the reference kernel (6.18, x86-64) has it. */
const NR_CPUS = 256;
/** Longest queue of a CPU, in packets. */
const MAX_QUEUE = 16384;

function checkTarget(attr: MapAttr, flags: number, sizes: readonly number[]): void {
  requireAttr((attr.mapFlags & ~flags) === 0, attr, 'EINVAL', 'flags it does not take');
  requireAttr(
    attr.maxEntries > 0 && attr.keySize === 4,
    attr,
    'EINVAL',
    'max_entries is 0 or key size not 4',
  );
  requireAttr(sizes.includes(attr.valueSize), attr, 'EINVAL', `value size is not ${sizes.join(' or ')}`);
}

/** Programs see what `devmap` and `devmap_hash` hold, and must not change it. */
const readOnly = (attr: MapAttr): MapAttr => ({
  ...attr,
  mapFlags: attr.mapFlags | MapFlag.BPF_F_RDONLY_PROG,
});

/** What `bpf_redirect_map` asks of any of them. */
export interface RedirectTarget {
  /** The number stored at an index (interface index, queue size, socket), or undefined where the slot is empty. */
  target(index: number): number | undefined;
}

export function isRedirectTarget(map: BpfMap): map is BpfMap & RedirectTarget {
  return map instanceof RedirectArrayMap || map instanceof DevmapHashMap || map instanceof XskMap;
}

/** The second word of a value, from a descriptor to the id of its XDP program; false when it is none for this map. */
function programToId(host: MapHost, value: number, size: number, attachType: AttachType): boolean {
  if (size < 8) return true;
  const { view } = host.memory;
  const fd = view.getInt32(value + 4, true);
  if (fd <= 0) {
    view.setInt32(value + 4, 0, true);
    return true;
  }
  const file = host.files.get(fd);
  if (file === undefined || !isProg(file) || file.type !== ProgType.xdp) return false;
  if (file.expectedAttachType !== attachType) return false;
  view.setInt32(value + 4, file.id, true);
  return true;
}

/** A device's index and program as `devmap` stores them: 0, or why not. `value` is changed to what is stored. */
function deviceValue(host: MapHost, value: number, size: number): number {
  if (!host.hasDevice(host.memory.view.getInt32(value, true))) return -Errno.EINVAL;
  return programToId(host, value, size, AttachType.xdp_devmap) ? 0 : -Errno.EINVAL;
}

/** devmap, cpumap: arrays with empty slots. */
export class RedirectArrayMap extends IndexedMap implements RedirectTarget {
  private readonly values: Region;
  private readonly filled: Uint8Array;
  private readonly stride: number;

  static check(attr: MapAttr): void {
    if (attr.type === MapType.cpumap) {
      checkTarget(attr, MapFlag.BPF_F_NUMA_NODE, [4, 8]);
      requireAttr(attr.maxEntries <= NR_CPUS, attr, 'E2BIG', `more than ${NR_CPUS} CPUs`);
    } else {
      checkTarget(attr, FD_FLAGS, [4, 8]);
    }
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 9);
    super(attr.type === MapType.devmap ? readOnly(attr) : attr, host);
    this.stride = roundUp8(attr.valueSize);
    // Programs may look at devmap and cpumap values, never write them.
    this.values = host.memory.alloc(this.stride * attr.maxEntries, 'read');
    this.filled = new Uint8Array(attr.maxEntries);
  }

  override lookup(key: number): number {
    const index = this.index(key);
    return this.filled[index] === 1 ? this.at(index) : 0;
  }

  target(index: number): number | undefined {
    return this.filled[index] === 1 ? this.memory.view.getUint32(this.at(index), true) : undefined;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const index = this.index(key);
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    if (index >= this.maxEntries) return -Errno.E2BIG;
    if (flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    const refused = this.type === MapType.cpumap ? this.cpuValue(index, value) : this.device(value);
    if (refused !== 0) return refused;
    this.memory.u8.copyWithin(this.at(index), value, value + this.valueSize);
    // An interface or queue size of 0 empties the slot.
    this.filled[index] = this.memory.view.getUint32(value, true) === 0 ? 0 : 1;
    return 0;
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.EINVAL;
    this.filled[index] = 0;
    return 0;
  }

  override release(): void {
    this.memory.free(this.values);
    super.release();
  }

  private device(value: number): number {
    const { view } = this.memory;
    if (view.getUint32(value, true) !== 0) return deviceValue(this.host, value, this.valueSize);
    const program = this.valueSize > 4 && view.getInt32(value + 4, true) > 0;
    return program ? -Errno.EINVAL : 0;
  }

  private cpuValue(cpu: number, value: number): number {
    const queue = this.memory.view.getUint32(value, true);
    if (queue > MAX_QUEUE) return -Errno.EOVERFLOW;
    if (cpu >= this.host.cpus) return -Errno.ENODEV;
    if (queue === 0) return 0;
    // Whatever keeps the entry from being made looks like a lack of memory.
    return programToId(this.host, value, this.valueSize, AttachType.xdp_cpumap) ? 0 : -Errno.ENOMEM;
  }

  private at(index: number): number {
    return this.values.address32 + index * this.stride;
  }
}

/** AF_XDP sockets by index. */
export class XskMap extends IndexedMap implements RedirectTarget {
  private readonly sockets: (Sock | undefined)[];

  static check(attr: MapAttr): void {
    checkTarget(attr, FD_FLAGS, [4]);
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 8);
    super(attr, host);
    this.sockets = new Array<Sock | undefined>(attr.maxEntries).fill(undefined);
  }

  override lookup(key: number): number {
    return this.sockets[this.index(key)]?.offset ?? 0;
  }

  target(index: number): number | undefined {
    const sock = this.sockets[index];
    return sock === undefined ? undefined : Number(sock.cookie);
  }

  override update(): number {
    return -Errno.EOPNOTSUPP;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const index = this.index(key);
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    if (index >= this.maxEntries) return -Errno.E2BIG;
    const sock = sockFromFd(this.host, this.memory.view.getInt32(value, true));
    if (typeof sock === 'number') return sock;
    if (sock.family !== SocketFamily.AF_XDP) return -Errno.EOPNOTSUPP;
    const old = this.sockets[index];
    if (old === sock) return 0;
    if (old !== undefined && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    if (old === undefined && flags === UpdateFlag.BPF_EXIST) return -Errno.ENOENT;
    this.sockets[index] = sock;
    return 0;
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.EINVAL;
    this.sockets[index] = undefined;
    return 0;
  }

  override sysLookup(): number {
    return -Errno.EOPNOTSUPP;
  }
}

/** The socket behind a descriptor, or a negative errno (`sockfd_lookup`). */
export function sockFromFd(host: MapHost, fd: number): Sock | number {
  const file = host.files.get(fd);
  if (file === undefined) return -Errno.EBADF;
  return file instanceof Sock ? file : -Errno.ENOTSOCK;
}

/** devmap_hash: interfaces by any 32-bit number. */
export class DevmapHashMap extends HashBackedMap implements RedirectTarget {
  private readonly scratchKey: Region;

  static override check(attr: MapAttr): void {
    checkTarget(attr, FD_FLAGS, [4, 8]);
    requireAttr(attr.maxEntries <= 2 ** 31, attr, 'EINVAL', 'too many entries');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(readOnly(attr), host, { prealloc: false, zeroSeed: true });
    this.scratchKey = host.memory.alloc(4, 'none');
  }

  override get batchOps(): BatchOps {
    return {};
  }

  target(index: number): number | undefined {
    this.memory.view.setUint32(this.scratchKey.address32, index, true);
    const value = this.lookup(this.scratchKey.address32);
    return value === 0 ? undefined : this.memory.view.getUint32(value, true);
  }

  override update(): number {
    return -Errno.EOPNOTSUPP;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const ifindex = this.memory.view.getUint32(value, true);
    if (flags > UpdateFlag.BPF_EXIST || ifindex === 0) return -Errno.EINVAL;
    if (this.find(key) !== 0 && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    const refused = deviceValue(this.host, value, this.valueSize);
    return refused !== 0 ? refused : super.update(key, value, UpdateFlag.BPF_ANY);
  }

  override release(): void {
    this.memory.free(this.scratchKey);
    super.release();
  }

  /** The number itself picks the bucket. */
  protected override hashOf(key: number): number {
    return this.memory.view.getInt32(key, true);
  }
}
