/**
 * A map as the simulation needs it: the request's definition, its special fields found once, and what
 * kinds of access it allows. One object a map, compared by identity.
 */
import { MapFlag } from '../abi/map-flags.js';
import { MapType } from '../abi/map-types.js';
import type { Btf } from '../object/btf/btf.js';
import { FIELD, findSpecialFields, type SpecialField } from './special-fields.js';
import type { VerifyMap } from './types.js';

export class MapView {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly mapExtra: bigint;
  readonly inner: MapView | undefined;
  readonly data: Uint8Array | undefined;
  readonly frozen: boolean;
  readonly btf: Btf | undefined;
  readonly fields: readonly SpecialField[];
  /** Union of the kinds in `fields`. */
  readonly fieldMask: number;

  constructor(map: VerifyMap) {
    this.name = map.name;
    this.type = map.type;
    this.keySize = map.keySize;
    this.valueSize = map.valueSize;
    this.maxEntries = map.maxEntries;
    this.mapFlags = map.mapFlags;
    this.mapExtra = map.mapExtra ?? 0n;
    this.inner = map.inner === undefined ? undefined : new MapView({ ...map.inner, name: '' });
    this.data = map.data;
    this.frozen = map.frozen === true;
    this.btf = map.btf;
    this.fields = findSpecialFields(map);
    this.fieldMask = this.fields.reduce((mask, field) => mask | field.kind, 0);
  }

  has(kinds: number): boolean {
    return (this.fieldMask & kinds) !== 0;
  }

  /** Offset of the only field of this kind in the value. */
  offsetOf(kind: number): number {
    return this.fields.find((field) => field.kind === kind)?.offset ?? -1;
  }

  get programsMayRead(): boolean {
    return (this.mapFlags & MapFlag.BPF_F_WRONLY_PROG) === 0;
  }

  get programsMayWrite(): boolean {
    return (this.mapFlags & MapFlag.BPF_F_RDONLY_PROG) === 0;
  }

  /** Contents are constants (`bpf_map_is_rdonly`). */
  get isReadOnly(): boolean {
    return (this.mapFlags & MapFlag.BPF_F_RDONLY_PROG) !== 0 && this.frozen;
  }

  /** `LD_IMM64` may take the address of its value (`map_direct_value_addr`). */
  get hasDirectValue(): boolean {
    return this.type === MapType.array || this.type === MapType.arena;
  }

  /** The byte offset in the element that a value pointer may reach, or -1: `array_map_direct_value_addr`. */
  directValueFits(offset: number): boolean {
    if (this.type === MapType.arena) return true;
    return this.maxEntries === 1 && offset < this.valueSize;
  }

  get mayPointToSpinLock(): boolean {
    return this.has(FIELD.SPIN_LOCK);
  }
}
