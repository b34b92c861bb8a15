/** Which maps may stand in a map of maps. Models kernel/bpf/map_in_map.c of Linux 6.18. */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr } from './map.js';

const MAPS_OF_MAPS: readonly MapType[] = [MapType.array_of_maps, MapType.hash_of_maps];

/** Whether `map` may take the place of the pattern `inner`: same type, sizes, flags and fields; an array also as many entries. */
export function sameShape(inner: BpfMap, map: BpfMap): boolean {
  if (!map.canBeInner) return false;
  const same =
    inner.type === map.type &&
    inner.keySize === map.keySize &&
    inner.valueSize === map.valueSize &&
    inner.mapFlags === map.mapFlags &&
    (inner.record === undefined ? map.record === undefined : inner.record.equals(map.record));
  if (!same) return false;
  const sized = inner.type === MapType.array || inner.type === MapType.xskmap;
  if (!sized || (inner.mapFlags & MapFlag.BPF_F_INNER_MAP) !== 0) return true;
  return inner.maxEntries === map.maxEntries;
}

/** Throws what BPF_MAP_CREATE answers to a pattern that cannot be one. */
export function checkInner(attr: MapAttr): void {
  const { inner } = attr;
  requireAttr(inner !== undefined, attr, 'EINVAL', 'it has no inner map to take as a pattern');
  requireAttr(!MAPS_OF_MAPS.includes(inner!.type), attr, 'EINVAL', 'maps of maps do not nest');
  requireAttr(inner!.canBeInner, attr, 'ENOTSUPP', `map ${inner!.name} cannot be an inner map`);
}

/** The map behind a descriptor, or a negative errno. */
export function mapFromFd(host: MapHost, fd: number): BpfMap | number {
  const file = host.files.get(fd);
  if (file === undefined) return -Errno.EBADF;
  return file instanceof BpfMap ? file : -Errno.EINVAL;
}
