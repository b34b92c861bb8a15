/** A hash whose values are maps of one shape. Models the `HASH_OF_MAPS` part of kernel/bpf/hashtab.c of Linux 6.18. */
import { Errno } from '../../abi/errno.js';
import { HashBackedMap, HashMap } from './hashtab.js';
import { type BpfMap, type MapAttr, requireAttr } from './map.js';
import { checkInner, mapFromFd, sameShape } from './map-in-map.js';

export class HashOfMapsMap extends HashBackedMap {
  private readonly byId = new Map<number, BpfMap>();

  static override check(attr: MapAttr): void {
    requireAttr(attr.valueSize === 4, attr, 'EINVAL', `value size is ${attr.valueSize}, not 4`);
    HashMap.check(attr);
    checkInner(attr);
  }

  override get canBeInner(): boolean {
    return false;
  }

  /** BPF_MAP_UPDATE_ELEM with the map that the file descriptor stands for; `key` and `scratch` are memory offsets. */
  setMap(key: number, map: BpfMap, flags: number, scratch: number): number {
    if (!sameShape(this.attr.inner!, map)) return -Errno.EINVAL;
    this.memory.view.setUint32(scratch, map.id, true);
    const result = super.update(key, scratch, flags);
    if (result === 0) this.byId.set(map.id, map);
    return result;
  }

  override lookup(key: number): number {
    const value = super.lookup(key);
    if (value === 0) return 0;
    return this.byId.get(this.memory.view.getUint32(value, true))!.header.address32;
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const map = mapFromFd(this.host, this.memory.view.getInt32(value, true));
    return typeof map === 'number' ? map : this.setMap(key, map, flags, value);
  }
}
