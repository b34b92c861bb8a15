/**
 * Maps defined as C structs in a `maps` section, as libbpf before 1.0, iproute2, bcc and the kernel's samples
 * did. The section is cut into as many equal definitions as it has symbols; what lies behind the fields
 * that are known must be zero.
 */
import type { Endian } from '../isa/insn.js';
import { STT_SECTION } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { emptyMap, isMapInMap, mapTypeOf } from './map-def.js';
import type { MapDef, ObjectMap, Section, Sym } from './types.js';

/** type, key_size, value_size, max_entries; `map_flags` came later. */
const MIN_DEF_SIZE = 16;
/** `struct bpf_map_def`. */
const DEF_SIZE = 20;
/** The kernel samples' `struct bpf_load_map_def`: inner_map_idx, numa_node behind it (earlier: the former only). */
const SAMPLES_SIZES: readonly number[] = [24, 28];
/** iproute2's `struct bpf_elf_map`: id, pinning, inner_id, inner_idx behind it. */
const IPROUTE2_SIZE = 36;
/** Its `inner_idx` of -1. */
const NO_SLOT = 0xffffffff;

/** `maps`, `maps/x` (bcc), `x/maps` (ir-keytable). */
export function isLegacyMaps({ name, size }: Section): boolean {
  return (
    size > 0 &&
    (name === 'maps' || name.startsWith('maps/') || (name.endsWith('/maps') && !name.startsWith('.')))
  );
}

interface RawMap {
  readonly def: MapDef;
  readonly offset: number;
  /** iproute2's `id`, for maps that name their inner map by it. */
  readonly id: number;
  readonly innerId: number;
  /** The samples' place of the inner map among the definitions; -1 for none. */
  readonly innerIndex: number;
  /** iproute2's `inner_idx`: element of the outer map that this inner map goes to; -1 for none. */
  readonly slot: number;
}

/** The definitions of one section, in offset order. Throws `ObjectError`. */
export function readLegacyMaps(section: Section, symbols: readonly Sym[], endian: Endian): ObjectMap[] {
  const named = symbols.filter(
    (sym) => sym.sectionIndex === section.index && sym.type !== STT_SECTION && sym.name !== '',
  );
  named.sort((a, b) => a.value - b.value);
  if (named.length === 0) {
    throw new ObjectError('OBJECT_BAD_MAP', 'the section has no symbols that name its maps', {
      section: section.name,
    });
  }
  if (section.data.length % named.length !== 0 || section.data.length === 0) {
    throw new ObjectError(
      'OBJECT_BAD_MAP',
      `${section.data.length} bytes cannot be ${named.length} definitions of one size (static maps have no symbol)`,
      { section: section.name },
    );
  }
  const size = section.data.length / named.length;
  const raw = named.map((sym) => readDef(section, sym, size, endian));
  return raw.map((map) => ({
    def: withInner(map, raw),
    sectionIndex: section.index,
    sectionOffset: map.offset,
  }));
}

function readDef(section: Section, sym: Sym, size: number, endian: Endian): RawMap {
  const place = { section: section.name, symbol: sym.name };
  if (size < MIN_DEF_SIZE) {
    throw new ObjectError(
      'OBJECT_BAD_MAP',
      `a map definition of ${size} bytes, at least ${MIN_DEF_SIZE} are needed`,
      place,
    );
  }
  if (sym.value + size > section.data.length) {
    throw new ObjectError(
      'OBJECT_BAD_MAP',
      `definition at ${sym.value} of ${size} bytes leaves the section`,
      place,
    );
  }
  const data = section.data;
  const view = new DataView(data.buffer, data.byteOffset + sym.value, size);
  const field = (index: number): number =>
    index * 4 + 4 <= size ? view.getUint32(index * 4, endian === 'little') : 0;
  const type = mapTypeOf(field(0), sym.name, section.name);
  const base: MapDef = {
    ...emptyMap(sym.name, section.name),
    origin: 'legacy',
    type,
    keySize: field(1),
    valueSize: field(2),
    maxEntries: field(3),
    mapFlags: field(4),
  };
  const plain = { def: base, offset: sym.value, id: 0, innerId: 0, innerIndex: -1, slot: -1 };
  let known = DEF_SIZE;
  let result: RawMap = plain;
  if (size === IPROUTE2_SIZE) {
    known = size;
    const def: MapDef = { ...base, pinning: field(6) === 0 ? 'none' : 'byName' };
    result = {
      ...plain,
      def,
      id: field(5),
      innerId: field(7),
      slot: field(8) === NO_SLOT ? -1 : field(8),
    };
  } else if (SAMPLES_SIZES.includes(size) && (isMapInMap(type) || field(5) === 0)) {
    known = size;
    result = { ...plain, def: { ...base, numaNode: field(6) }, innerIndex: isMapInMap(type) ? field(5) : -1 };
  }
  for (let at = known; at < size; at++) {
    if (view.getUint8(at) === 0) continue;
    throw new ObjectError(
      'OBJECT_BAD_MAP',
      `unknown map attributes: byte ${at} behind the ${known} known ones is not zero`,
      place,
    );
  }
  return result;
}

/** Inner maps named by iproute2's id, or by position among the section's definitions. */
function withInner(map: RawMap, all: readonly RawMap[]): MapDef {
  if (!isMapInMap(map.def.type)) return map.def;
  const inner = map.innerId === 0 ? all[map.innerIndex] : all.find((other) => other.id === map.innerId);
  // index 0 is also what a definition without an inner map says
  if (inner === undefined || (map.innerIndex === 0 && inner === map)) return map.def;
  if (isMapInMap(inner.def.type)) {
    throw new ObjectError('OBJECT_BAD_MAP', `inner map ${inner.def.name} is itself a map of maps`, {
      section: map.def.section,
      symbol: map.def.name,
    });
  }
  // A definition that is named as the inner map says which element of the outer one it goes to.
  const initialSlots = all
    .filter((other) => other.innerId === 0 && other.slot >= 0 && other.id !== 0 && other.id === map.innerId)
    .map((other) => ({ index: other.slot, target: other.def.name }));
  return { ...map.def, inner: inner.def, ...(initialSlots.length === 0 ? {} : { initialSlots }) };
}
