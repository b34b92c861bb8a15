/**
 * Initial contents of maps of maps and program arrays: relocations of the `.maps` section that fall into a
 * map's `values` (libbpf's `bpf_object__collect_map_relos`).
 */
import { MapType } from '../abi/map-types.js';
import { BpflabError } from '../errors.js';
import { INSN_SIZE } from '../isa/insn.js';
import type { Btf } from './btf/btf.js';
import { BTF_MAPS_SECTION } from './btf-maps.js';
import { isPointerReloc, relocTypeName } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { isMapInMap } from './map-def.js';
import type { BpfObject, MapDef, ObjectMap, Reloc } from './types.js';

const POINTER_SIZE = 8;

export interface SlotInput extends Pick<BpfObject, 'symbols' | 'relocs' | 'programs'> {
  readonly btf: Btf;
  /** Index of the `.maps` section. */
  readonly sectionIndex: number;
}

interface Extent {
  readonly map: ObjectMap;
  readonly end: number;
  /** Byte offset in the section of `values[0]`, undefined where the definition has none. */
  readonly values: number | undefined;
}

type Slot = NonNullable<MapDef['initialSlots']>[number];

/** The maps with their initial slots; what is wrong goes to `problems`. */
export function withInitialSlots(
  maps: readonly ObjectMap[],
  input: SlotInput,
  problems: BpflabError[],
): ObjectMap[] {
  const relocs = input.relocs
    .filter((table) => table.target === input.sectionIndex)
    .flatMap((table) => table.relocs);
  if (relocs.length === 0) return [...maps];
  const extents = extentsOf(maps, input);
  const slots = new Map<ObjectMap, Map<number, Slot>>();
  for (const reloc of relocs) {
    try {
      const { map, slot } = slotOf(reloc, extents, maps, input);
      const known = slots.get(map) ?? new Map<number, Slot>();
      slots.set(map, known.set(slot.index, slot));
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      problems.push(error.within({ section: BTF_MAPS_SECTION, offset: reloc.offset }));
    }
  }
  return maps.map((map) => {
    const found = slots.get(map);
    if (found === undefined) return map;
    const initialSlots = [...found.values()].sort((a, b) => a.index - b.index);
    return { ...map, def: { ...map.def, initialSlots } };
  });
}

function extentsOf(maps: readonly ObjectMap[], { btf, sectionIndex }: SlotInput): Extent[] {
  const id = btf.findByName(BTF_MAPS_SECTION, 'datasec');
  const datasec = id === undefined ? undefined : btf.type(id);
  if (datasec?.kind !== 'datasec') return [];
  const extents: Extent[] = [];
  for (const entry of datasec.vars) {
    const map = maps.find(
      (candidate) => candidate.sectionIndex === sectionIndex && candidate.sectionOffset === entry.offset,
    );
    const variable = btf.type(entry.type);
    if (map === undefined || variable.kind !== 'var') continue;
    const struct = btf.underlying(variable.type);
    const last = struct.kind === 'struct' ? struct.members[struct.members.length - 1] : undefined;
    const values = last?.name === 'values' ? entry.offset + last.bitOffset / 8 : undefined;
    extents.push({ map, end: entry.offset + entry.size, values });
  }
  return extents;
}

function slotOf(
  reloc: Reloc,
  extents: readonly Extent[],
  maps: readonly ObjectMap[],
  input: SlotInput,
): { map: ObjectMap; slot: Slot } {
  const fail = (detail: string, symbol?: string): never => {
    throw new ObjectError('OBJECT_BAD_RELOCATION', detail, symbol === undefined ? {} : { symbol });
  };
  const sym = input.symbols[reloc.symIndex];
  if (sym === undefined) return fail(`names symbol ${reloc.symIndex}, which does not exist`);
  if (!isPointerReloc(reloc.type)) {
    return fail(`has type ${relocTypeName(reloc.type)}, which fills no pointer`, sym.name);
  }
  const extent = extents.find(
    ({ map, end }) => map.sectionOffset <= reloc.offset && reloc.offset + POINTER_SIZE <= end,
  );
  if (extent === undefined) return fail(`reference to ${sym.name || 'a symbol'} lies in no map`);
  const { map, values } = extent;
  const { name } = map.def;
  if (values === undefined || reloc.offset < values || (reloc.offset - values) % POINTER_SIZE !== 0) {
    return fail(`reference to ${sym.name || 'a symbol'} is no slot of "values"`, name);
  }
  const index = (reloc.offset - values) / POINTER_SIZE;
  if (isMapInMap(map.def.type)) {
    if (map.def.type === MapType.hash_of_maps && map.def.keySize !== 4) {
      return fail(`initial slots need 4-byte keys, the map has ${map.def.keySize}`, name);
    }
    const known = maps.some(
      ({ def, sectionIndex }) => sectionIndex === input.sectionIndex && def.name === sym.name,
    );
    if (sym.sectionIndex !== input.sectionIndex || !known) {
      return fail(`slot ${index} refers to ${sym.name || 'a symbol'}, which is no map of this section`, name);
    }
    return { map, slot: { index, target: sym.name } };
  }
  if (map.def.type !== MapType.prog_array)
    return fail('only maps of maps and program arrays have initial slots', name);
  const program = input.programs.find((candidate) => candidate.name === sym.name);
  if (program?.func.sectionIndex !== sym.sectionIndex || program.func.insnOff * INSN_SIZE !== sym.value) {
    return fail(`slot ${index} refers to ${sym.name || 'a symbol'}, which is no entry program`, name);
  }
  return { map, slot: { index, target: sym.name } };
}
