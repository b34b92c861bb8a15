/** Which maps may stand in a map of maps. Models kernel/bpf/map_in_map.c of Linux 6.18. */
import { MapFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { BpfMap } from './map.js';

/** Whether `map` may take the place of the pattern `inner`: same type, sizes and flags; an array also as many entries. */
export function sameShape(inner: BpfMap, map: BpfMap): boolean {
  const same =
    inner.type === map.type &&
    inner.keySize === map.keySize &&
    inner.valueSize === map.valueSize &&
    inner.mapFlags === map.mapFlags;
  if (!same || inner.type !== MapType.array) return same;
  return (inner.mapFlags & MapFlag.BPF_F_INNER_MAP) !== 0 || inner.maxEntries === map.maxEntries;
}
