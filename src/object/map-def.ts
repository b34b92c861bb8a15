/** What every way of defining a map has in common: defaults, the rules that libbpf applies to any definition. */
import { isMapType, MapType } from '../abi/map-types.js';
import { PAGE_SIZE } from '../abi/page.js';
import { ObjectError } from './errors.js';
import { MAX_KERNEL_NAME } from './names.js';
import type { MapDef } from './types.js';

/** A definition with every attribute at its default. */
export function emptyMap(name: string, section: string): MapDef {
  return {
    name,
    kernelName: name.slice(0, MAX_KERNEL_NAME),
    section,
    type: MapType.unspec,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    mapFlags: 0,
    mapExtra: 0n,
    numaNode: 0,
    btfKeyTypeId: 0,
    btfValueTypeId: 0,
    pinning: 'none',
    frozen: false,
  };
}

/** The number as a map type. Throws `OBJECT_UNSUPPORTED_MAP` for one that Linux 6.18 has not, `OBJECT_BAD_MAP` for 0. */
export function mapTypeOf(value: number, name: string, section: string): MapType {
  if (value === MapType.unspec) {
    throw new ObjectError('OBJECT_BAD_MAP', 'the map definition has no type', { section, symbol: name });
  }
  if (!isMapType(value)) {
    throw new ObjectError('OBJECT_UNSUPPORTED_MAP', `map type ${value} is not one of Linux 6.18`, {
      section,
      symbol: name,
    });
  }
  return value;
}

export function isMapInMap(type: number): boolean {
  return type === MapType.array_of_maps || type === MapType.hash_of_maps;
}

/**
 * Ring buffers need a power of two of pages; libbpf takes the next larger one (`adjust_ringbuf_sz`) and
 * leaves alone 0 and what no 32-bit size can hold.
 */
export function ringbufSize(size: number): number {
  const isPowerOfTwo = (n: number): boolean => n > 0 && 2 ** Math.round(Math.log2(n)) === n;
  if (size === 0 || (size % PAGE_SIZE === 0 && isPowerOfTwo(size / PAGE_SIZE))) return size;
  for (let pages = 1; pages * PAGE_SIZE <= 0xffffffff; pages *= 2) {
    if (pages * PAGE_SIZE > size) return pages * PAGE_SIZE;
  }
  return size;
}

/** Types whose BTF the kernel does not take (`bpf_object__create_map`): libbpf drops the ids. */
const noBtf: ReadonlySet<number> = new Set<MapType>([
  MapType.perf_event_array,
  MapType.cgroup_array,
  MapType.stack_trace,
  MapType.array_of_maps,
  MapType.hash_of_maps,
  MapType.devmap,
  MapType.devmap_hash,
  MapType.cpumap,
  MapType.xskmap,
  MapType.sockmap,
  MapType.sockhash,
  MapType.queue,
  MapType.stack,
  MapType.arena,
]);

export function takesBtf(type: MapType): boolean {
  return !noBtf.has(type);
}
