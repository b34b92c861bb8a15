/**
 * The first storages of control groups: an element comes and goes with a program's attachment, and programs get that of
 * the group for which they run. Models kernel/bpf/local_storage.c of Linux 6.18.
 */
import type { AttachType } from '../../abi/attach-types.js';
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { STORAGE_MAX_VALUE } from './local-storage.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  BpfMap,
  type MapAttr,
  type MapHost,
  PERCPU_MAX_VALUE,
  requireAttr,
  roundUp8,
} from './map.js';

const CREATE_FLAGS = MapFlag.BPF_F_NUMA_NODE | ACCESS_FLAGS;
/** sizeof(struct bpf_cgroup_storage_key): group and attach type. A key of 8 bytes is the group alone. */
const LONG_KEY = 16;
const SHORT_KEY = 8;

interface Element {
  readonly group: bigint;
  readonly attachType: number;
  readonly values: Region;
}

export class CgroupStorageMap extends BpfMap {
  /** The latest first, as they are listed. */
  private elements: Element[] = [];
  private readonly stride: number;

  static check(attr: MapAttr): void {
    const { keySize, valueSize, mapFlags } = attr;
    requireAttr(keySize === LONG_KEY || keySize === SHORT_KEY, attr, 'EINVAL', 'key size is not 8 or 16');
    requireAttr(valueSize > 0, attr, 'EINVAL', 'value size is 0');
    const perCpu = attr.type === MapType.percpu_cgroup_storage;
    const most = perCpu ? Math.min(STORAGE_MAX_VALUE, PERCPU_MAX_VALUE) : STORAGE_MAX_VALUE;
    requireAttr(valueSize <= most, attr, 'E2BIG', 'value size is too large');
    const flagsOk = (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags);
    requireAttr(flagsOk, attr, 'EINVAL', 'flags it does not take');
    requireAttr(attr.maxEntries === 0, attr, 'EINVAL', 'max_entries must be 0');
  }

  static checkBtf(attr: MapAttr): void {
    const { btf, btfKeyTypeId = 0 } = attr;
    const integer = (id: number, bits: number): boolean => {
      const type = btf!.underlying(id);
      return type.kind === 'int' && type.bits === bits && type.bitOffset === 0;
    };
    if (attr.keySize === SHORT_KEY) {
      requireAttr(integer(btfKeyTypeId, 64), attr, 'EINVAL', 'the key is no 64-bit integer');
      return;
    }
    const key = btf!.underlying(btfKeyTypeId);
    const members = key.kind === 'struct' ? key.members : [];
    const [group, attachType] = members;
    const ok =
      members.length === 2 &&
      group!.bitOffset === 0 &&
      integer(group!.type, 64) &&
      attachType!.bitOffset === 64 &&
      integer(attachType!.type, 32);
    requireAttr(ok, attr, 'EINVAL', 'the key is no struct bpf_cgroup_storage_key');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    this.stride = roundUp8(attr.valueSize);
  }

  override get perCpu(): boolean {
    return this.type === MapType.percpu_cgroup_storage;
  }

  override get canBeInner(): boolean {
    return false;
  }

  /** A program of this attach type is attached to a group: its element is there from now on. */
  link(group: bigint, attachType: AttachType): void {
    if (this.element(group, attachType) !== undefined) return;
    const values = this.memory.alloc(this.perCpu ? this.stride * this.host.cpus : this.stride, this.access);
    this.elements.unshift({ group, attachType, values });
  }

  /** The last such program is detached. */
  unlink(group: bigint, attachType: AttachType): void {
    const gone = this.element(group, attachType);
    if (gone === undefined) return;
    this.elements = this.elements.filter((element) => element !== gone);
    this.memory.free(gone.values);
  }

  /** bpf_get_local_storage: offset of the current CPU's value for a group; 0 when there is none. */
  valueFor(group: bigint, attachType: AttachType): number {
    const found = this.element(group, attachType);
    if (found === undefined) return 0;
    return found.values.address32 + (this.perCpu ? this.host.cpu * this.stride : 0);
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    const found = this.at(key);
    if (found === undefined) return -Errno.ENOENT;
    const from = found.values.address32;
    if (this.perCpu) this.memory.u8.copyWithin(value, from, from + this.syscallValueSize);
    else this.showValue(value, from);
    return 0;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const allowed = this.perCpu ? [0, UpdateFlag.BPF_EXIST] : SHARED_FLAGS;
    if (!allowed.includes(flags)) return -Errno.EINVAL;
    const lock = (flags & UpdateFlag.BPF_F_LOCK) !== 0;
    if (lock && (this.record === undefined || this.record.spinLock < 0)) return -Errno.EINVAL;
    const found = this.at(key);
    if (found === undefined) return -Errno.ENOENT;
    const to = found.values.address32;
    if (this.perCpu) this.memory.u8.copyWithin(to, value, value + this.syscallValueSize);
    else this.copyValue(to, value);
    return 0;
  }

  override update(key: number, value: number, flags: number): number {
    return this.sysUpdate(key, value, flags);
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override nextKey(key: number, next: number): number {
    let at = 0;
    if (key !== 0) {
      const found = this.at(key);
      if (found === undefined) return -Errno.ENOENT;
      at = this.elements.indexOf(found) + 1;
    }
    const following = this.elements[at];
    if (following === undefined) return -Errno.ENOENT;
    const { view } = this.memory;
    view.setBigUint64(next, following.group, true);
    if (this.keySize === LONG_KEY) view.setBigUint64(next + 8, BigInt(following.attachType), true);
    return 0;
  }

  override release(): void {
    for (const { values } of this.elements) this.memory.free(values);
    super.release();
  }

  private at(key: number): Element | undefined {
    const { view } = this.memory;
    const attachType = this.keySize === LONG_KEY ? view.getUint32(key + 8, true) : 0;
    return this.element(view.getBigUint64(key, true), attachType);
  }

  private element(group: bigint, attachType: number): Element | undefined {
    const anyType = this.keySize !== LONG_KEY;
    return this.elements.find(
      (element) => element.group === group && (anyType || element.attachType === attachType),
    );
  }
}

/** Update flags of the shared kind: BPF_EXIST, BPF_F_LOCK, both or none. */
const SHARED_FLAGS: readonly number[] = [
  UpdateFlag.BPF_ANY,
  UpdateFlag.BPF_EXIST,
  UpdateFlag.BPF_F_LOCK,
  UpdateFlag.BPF_EXIST | UpdateFlag.BPF_F_LOCK,
];
