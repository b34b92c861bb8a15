/** A hash whose values are maps of one shape. Models the `HASH_OF_MAPS` part of kernel/bpf/hashtab.c of Linux 6.18. */
import { Errno } from '../../abi/errno.js';
import { HashMap } from './hashtab.js';
import { type BpfMap, type MapAttr, requireAttr } from './map.js';
import { sameShape } from './map-in-map.js';

export class HashOfMapsMap extends HashMap {
  private readonly byId = new Map<number, BpfMap>();

  static override check(attr: MapAttr): void {
    requireAttr(attr.inner !== undefined, attr, 'EINVAL', 'it has no inner map to take as a pattern');
    requireAttr(attr.valueSize === 4, attr, 'EINVAL', `value size is ${attr.valueSize}, not 4`);
    HashMap.check(attr);
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

  override sysUpdate(): number {
    return -Errno.EINVAL;
  }
}
