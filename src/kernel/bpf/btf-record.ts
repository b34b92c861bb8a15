/**
 * Special fields of a map's values (locks, timers, kernel pointers, list heads): what BPF_MAP_CREATE checks of them, and
 * copies that leave them alone. Models `btf_parse_fields` and `struct btf_record` (kernel/bpf/btf.c) and
 * `bpf_obj_memcpy` (include/linux/bpf.h) of Linux 6.18. Where the fields are found is the verifier's knowledge.
 */
import { MapFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { FIELD, KPTR_KINDS, type SpecialField } from '../../verifier/special-fields.js';
import type { EngineMemory } from '../../vm/index.js';
import { copyBytes } from '../lib/copy.js';

/** Kinds that mean something in a map's value; the others are found in allocated objects only. */
const IN_MAPS =
  FIELD.SPIN_LOCK |
  FIELD.RES_SPIN_LOCK |
  FIELD.TIMER |
  FIELD.WORKQUEUE |
  FIELD.TASK_WORK |
  KPTR_KINDS |
  FIELD.UPTR |
  FIELD.LIST_HEAD |
  FIELD.RB_ROOT |
  FIELD.REFCOUNT;
const LISTS = FIELD.LIST_HEAD | FIELD.RB_ROOT;
/** Kinds that stay as they are when a value goes. */
export const KEPT_FIELDS = FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK | FIELD.REFCOUNT;
const LOCKS = FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK;

const STORAGES: readonly MapType[] = [
  MapType.sk_storage,
  MapType.inode_storage,
  MapType.task_storage,
  MapType.cgrp_storage,
];
const PLAIN: readonly MapType[] = [MapType.hash, MapType.lru_hash, MapType.array];

/** Kinds of fields, and the map types whose values may have them (`map_check_btf`). */
const ALLOWED: readonly (readonly [kinds: number, types: readonly MapType[]])[] = [
  [LOCKS, [MapType.hash, MapType.array, MapType.cgroup_storage, ...STORAGES]],
  [FIELD.TIMER | FIELD.WORKQUEUE | FIELD.TASK_WORK, PLAIN],
  [
    KPTR_KINDS | FIELD.REFCOUNT,
    [...PLAIN, MapType.percpu_hash, MapType.lru_percpu_hash, MapType.percpu_array, ...STORAGES],
  ],
  [FIELD.UPTR, [MapType.task_storage]],
  [LISTS, PLAIN],
];

export type RecordErrno = 'EACCES' | 'EOPNOTSUPP';

export class BtfRecord {
  /** Union of the kinds. */
  readonly kinds: number;

  /** @param fields in ascending order of offsets */
  constructor(readonly fields: readonly SpecialField[]) {
    this.kinds = fields.reduce((kinds, { kind }) => kinds | kind, 0);
  }

  has(kinds: number): boolean {
    return (this.kinds & kinds) !== 0;
  }

  /** Offset of the value's `bpf_spin_lock`, or -1. */
  get spinLock(): number {
    return this.fields.find(({ kind }) => kind === FIELD.SPIN_LOCK)?.offset ?? -1;
  }

  /** Copies a value of `size` bytes but for its special fields (`copy_map_value`). */
  copy(memory: EngineMemory, to: number, from: number, size: number): void {
    let at = 0;
    for (const { offset, size: hole } of this.fields) {
      if (offset > at) copyBytes(memory, to + at, from + at, offset - at);
      at = offset + hole;
    }
    if (size > at) copyBytes(memory, to + at, from + at, size - at);
  }

  /** Makes the special fields of a value zero: they are not shown, and new ones begin so. */
  init(memory: EngineMemory, value: number): void {
    for (const { offset, size } of this.fields) memory.u8.fill(0, value + offset, value + offset + size);
  }

  /** Same kinds at the same places. */
  equals(other: BtfRecord | undefined): boolean {
    if (other === undefined || other.fields.length !== this.fields.length) return false;
    return this.fields.every(
      ({ kind, offset }, i) => kind === other.fields[i]!.kind && offset === other.fields[i]!.offset,
    );
  }
}

/** Whether a map of this type and flags may have values with such fields. */
export function recordProblem(type: MapType, mapFlags: number, record: BtfRecord): RecordErrno | undefined {
  const programOnly = MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG;
  if ((mapFlags & programOnly) !== 0) return 'EACCES';
  for (const [kinds, types] of ALLOWED) {
    if (record.has(kinds) && !types.includes(type)) return 'EOPNOTSUPP';
  }
  return undefined;
}

/** Kinds that lie on 4 bytes; the others lie on 8. */
const ON_FOUR = LOCKS | FIELD.REFCOUNT;

/**
 * The record of a value with these fields; undefined where it has none. Linux takes fields that cannot be, such as one that
 * is not aligned, for none at all: the map is created, and programs may do with the bytes what they like.
 */
export function recordOf(fields: readonly SpecialField[]): BtfRecord | undefined {
  const found = fields.filter(({ kind }) => (kind & IN_MAPS) !== 0);
  const aligned = found.every(({ kind, offset }) => offset % ((kind & ON_FOUR) !== 0 ? 4 : 8) === 0);
  return found.length === 0 || !aligned ? undefined : new BtfRecord(found);
}
