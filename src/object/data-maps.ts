/**
 * Global data as array maps of one element: `.data`, `.rodata`, `.bss` and their dotted variants
 * (libbpf's `bpf_object__init_global_data_maps`), and the contents of an arena's globals.
 */
import { MapFlag } from '../abi/map-flags.js';
import { MapType } from '../abi/map-types.js';
import { PAGE_SIZE } from '../abi/page.js';
import type { Btf } from './btf/btf.js';
import { SHT_NOBITS, SHT_PROGBITS } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { emptyMap } from './map-def.js';
import { dataMapName } from './names.js';
import type { MapDef, MapOrigin, ObjectMap, Section } from './types.js';

export const ARENA_SECTION = '.addr_space.1';

/** Most bytes of a `.bss` that are set up; the section's size is only a claim, no bytes stand behind it. */
const MAX_BSS = 64 << 20;

/** Which kind of data map a section becomes; undefined for none. */
export function dataOrigin(section: Section): 'data' | 'rodata' | 'bss' | undefined {
  const is = (stem: string): boolean => section.name === stem || section.name.startsWith(`${stem}.`);
  if (section.size === 0) return undefined;
  if (section.type === SHT_PROGBITS && is('.data')) return 'data';
  if (section.type === SHT_PROGBITS && is('.rodata')) return 'rodata';
  if (section.type === SHT_NOBITS && is('.bss')) return 'bss';
  return undefined;
}

/** The map of a data section. Throws `OBJECT_TOO_LARGE` for a `.bss` past `MAX_BSS`. */
export function dataMap(
  section: Section,
  origin: 'data' | 'rodata' | 'bss',
  object: string,
  btf?: Btf,
): ObjectMap {
  if (origin === 'bss' && section.size > MAX_BSS) {
    throw new ObjectError(
      'OBJECT_TOO_LARGE',
      `${section.size} bytes of zeroed data, at most ${MAX_BSS} are set up`,
      {
        section: section.name,
      },
    );
  }
  const data = origin === 'bss' ? new Uint8Array(section.size) : section.data.slice();
  const def = internalMap(origin, section.name, object, data, btf);
  return { def, sectionIndex: section.index, sectionOffset: 0 };
}

/** An array map with `data` as its one element, as libbpf makes it for data sections and `.kconfig`. */
export function internalMap(
  origin: MapOrigin,
  section: string,
  object: string,
  data: Uint8Array,
  btf?: Btf,
): MapDef {
  const kernelName = dataMapName(object, section);
  // libbpf shows .data.* and .rodata.* (and .bss.* not) under their section's name
  const shown = (origin === 'data' && section !== '.data') || (origin === 'rodata' && section !== '.rodata');
  const readOnly = origin === 'rodata' || origin === 'kconfig';
  const typeId = btf?.findByName(section) ?? 0;
  const mmapable = btf !== undefined && typeId !== 0 && hasGlobal(btf, typeId);
  return {
    ...emptyMap(shown ? section : kernelName, section),
    kernelName,
    origin,
    type: MapType.array,
    keySize: 4,
    valueSize: data.length,
    maxEntries: 1,
    mapFlags: (readOnly ? MapFlag.BPF_F_RDONLY_PROG : 0) | (mmapable ? MapFlag.BPF_F_MMAPABLE : 0),
    btfValueTypeId: typeId,
    initialData: data,
    frozen: readOnly,
  };
}

/** Whether a skeleton could show any variable of the section: one that is not static (hidden ones are made so). */
function hasGlobal(btf: Btf, datasecId: number): boolean {
  const datasec = btf.type(datasecId);
  if (datasec.kind !== 'datasec') return false;
  return datasec.vars.some(({ type }) => {
    const variable = btf.type(type);
    return variable.kind === 'var' && variable.linkage !== 0;
  });
}

/**
 * Gives an arena its globals. Returns the maps anew; throws where there are globals and no arena, several
 * arenas, or an arena too small (`init_arena_map_data`).
 */
export function withArenaData(maps: readonly ObjectMap[], section: Section | undefined): ObjectMap[] {
  const arenas = maps.filter(({ def }) => def.type === MapType.arena);
  const [arena, second] = arenas;
  if (second !== undefined) {
    throw new ObjectError('OBJECT_BAD_MAP', `only one arena is supported, ${arena?.def.name} is one too`, {
      section: second.def.section,
      symbol: second.def.name,
    });
  }
  if (section === undefined) return [...maps];
  if (arena === undefined) {
    throw new ObjectError('OBJECT_BAD_MAP', 'global __arena variables need an arena map in .maps', {
      section: section.name,
    });
  }
  const pages = Math.ceil(section.size / PAGE_SIZE);
  if (pages > arena.def.maxEntries) {
    throw new ObjectError(
      'OBJECT_BAD_MAP',
      `${section.size} bytes of globals do not fit the arena's ${arena.def.maxEntries} pages`,
      {
        section: section.name,
        symbol: arena.def.name,
      },
    );
  }
  const filled: ObjectMap = { ...arena, def: { ...arena.def, initialData: section.data.slice() } };
  return maps.map((map) => (map === arena ? filled : map));
}
