/**
 * Maps that XDP programs redirect to: devices, CPUs, AF_XDP sockets. Their targets exist only as the numbers that user
 * space stored; a redirect records where the packet would have gone. Models kernel/bpf/devmap.c, cpumap.c and
 * net/xdp/xskmap.c of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { IndexedMap } from './arraymap.js';
import { HashMap } from './hashtab.js';
import { type BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory, roundUp8 } from './map.js';

const FD_FLAGS = MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY;
/** CONFIG_NR_CPUS, as the reference kernel (6.18, x86-64) has it. */
const NR_CPUS = 256;

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

/** What `bpf_redirect_map` asks of any of them. */
export interface RedirectTarget {
  /** The number stored at an index (interface index, queue size, socket), or undefined where the slot is empty. */
  target(index: number): number | undefined;
}

export function isRedirectTarget(map: BpfMap): map is BpfMap & RedirectTarget {
  return map instanceof RedirectArrayMap || map instanceof DevmapHashMap;
}

/** devmap, cpumap, xskmap: arrays with empty slots. */
export class RedirectArrayMap extends IndexedMap implements RedirectTarget {
  private readonly values: Region;
  private readonly filled: Uint8Array;
  private readonly stride: number;

  static check(attr: MapAttr): void {
    switch (attr.type) {
      case MapType.cpumap:
        checkTarget(attr, MapFlag.BPF_F_NUMA_NODE, [4, 8]);
        requireAttr(attr.maxEntries <= NR_CPUS, attr, 'E2BIG', `more than ${NR_CPUS} CPUs`);
        break;
      case MapType.xskmap:
        checkTarget(attr, FD_FLAGS, [4]);
        break;
      default:
        checkTarget(attr, FD_FLAGS, [4, 8]);
    }
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 9);
    super(attr, host);
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
    if (this.type === MapType.xskmap) {
      if (this.filled[index] === 1 && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
      if (this.filled[index] === 0 && flags === UpdateFlag.BPF_EXIST) return -Errno.ENOENT;
    } else if (flags === UpdateFlag.BPF_NOEXIST) {
      return -Errno.EEXIST;
    }
    this.memory.u8.copyWithin(this.at(index), value, value + this.valueSize);
    // An interface or queue size of 0 empties the slot.
    const empty = this.type !== MapType.xskmap && this.memory.view.getUint32(value, true) === 0;
    this.filled[index] = empty ? 0 : 1;
    return 0;
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.EINVAL;
    this.filled[index] = 0;
    return 0;
  }

  override sysLookup(key: number, value: number): number {
    return this.type === MapType.xskmap ? -Errno.EOPNOTSUPP : super.sysLookup(key, value);
  }

  override release(): void {
    this.memory.free(this.values);
    super.release();
  }

  private at(index: number): number {
    return this.values.address32 + index * this.stride;
  }
}

/** devmap_hash: interfaces by any 32-bit number. */
export class DevmapHashMap extends HashMap implements RedirectTarget {
  private readonly scratchKey: Region;

  static override check(attr: MapAttr): void {
    checkTarget(attr, FD_FLAGS, [4, 8]);
    requireAttr(attr.maxEntries <= 2 ** 31, attr, 'EINVAL', 'too many entries');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super({ ...attr, mapFlags: attr.mapFlags | MapFlag.BPF_F_NO_PREALLOC }, host);
    this.scratchKey = host.memory.alloc(4, 'none');
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
    return super.update(key, value, flags);
  }

  override release(): void {
    this.memory.free(this.scratchKey);
    super.release();
  }
}
