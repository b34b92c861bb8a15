/**
 * The first of the loader's two steps: from the bytes of a file to everything that needs no target
 * (`BpfObject`). A broken container is refused here; what is wrong inside (a map definition, an extern
 * without a type) is listed in `problems` and refused when the object is relocated.
 */
import { BpflabError } from '../errors.js';
import type { Endian } from '../isa/insn.js';
import { Btf } from './btf/btf.js';
import { BtfExt } from './btf/btf-ext.js';
import { fixupBtf } from './btf-fixup.js';
import { BTF_MAPS_SECTION, readBtfMaps } from './btf-maps.js';
import { ARENA_SECTION, dataMap, dataOrigin, internalMap, withArenaData } from './data-maps.js';
import { SHF_COMPRESSED, SHT_NOBITS, SHT_PROGBITS } from './elf/constants.js';
import { type ElfFile, parseElf } from './elf/file.js';
import { ObjectError } from './errors.js';
import { collectExterns, KCONFIG_SECTION } from './externs.js';
import { collectFunctions, collectPrograms } from './functions.js';
import { isLegacyMaps, readLegacyMaps } from './legacy-maps.js';
import { withInitialSlots } from './map-slots.js';
import { objectName } from './names.js';
import { isStructOps, readStructOps } from './struct-ops.js';
import type { BpfObject, Extern, FuncDef, ObjectMap, ProgramDef, Section } from './types.js';

export interface OpenOptions {
  /** Names the object in errors; its base name also goes into the names of global-data maps. */
  readonly file?: string;
}

/**
 * Reads an object. Throws `ObjectError` for a file that is no sound BPF object; the bytes are copied where
 * they are kept, so the caller may reuse its buffer.
 */
export function openObject(bytes: Uint8Array, options: OpenOptions = {}): BpfObject {
  const file = options.file ?? '<object>';
  try {
    return open(new Uint8Array(bytes), file);
  } catch (error) {
    if (error instanceof BpflabError) throw error.within({ file });
    throw error;
  }
}

interface Parts {
  readonly file: string;
  readonly name: string;
  readonly elf: ElfFile;
  readonly funcs: readonly FuncDef[];
  readonly programs: readonly ProgramDef[];
  readonly problems: BpflabError[];
}

function open(bytes: Uint8Array, file: string): BpfObject {
  const elf = parseElf(bytes);
  if (elf.symtabIndex < 0)
    throw new ObjectError('OBJECT_NO_SYMBOL_TABLE', 'no symbol table (a stripped object?)');
  refuseCompressed(elf.sections);
  const { sections, symbols, relocs, endian } = elf;
  const funcs = collectFunctions(sections, symbols);
  const parts: Parts = {
    file,
    name: objectName(file),
    elf,
    funcs,
    programs: collectPrograms(funcs),
    problems: [],
  };
  const { btf, btfExt, externs } = readTypes(parts);
  const maps = collectMaps(parts, btf, externs);
  return {
    file,
    name: parts.name,
    endian,
    sections,
    symbols,
    relocs,
    license: readLicense(sections),
    kernVersion: readVersion(sections, endian),
    funcs,
    programs: parts.programs,
    maps,
    externs,
    ...(btf === undefined ? {} : { btf }),
    ...(btfExt === undefined ? {} : { btfExt }),
    problems: parts.problems.map((problem) => problem.within({ file })),
    notes: ignoredRelocs(elf),
  };
}

/** Pointers in global data are not filled in, by libbpf neither: they keep what the file holds. */
function ignoredRelocs({ sections, relocs }: ElfFile): string[] {
  return relocs.flatMap(({ target, relocs: entries }) => {
    const section = sections[target]!;
    if (dataOrigin(section) === undefined) return [];
    return [
      `${entries.length} relocations of section ${section.name} are not applied (pointers in global data)`,
    ];
  });
}

/** Runs one step; what it refuses becomes a problem of the object. */
function attempt<T>(parts: Parts, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    parts.problems.push(error);
    return undefined;
  }
}

const named = (sections: readonly Section[], name: string): Section | undefined =>
  sections.find((section) => section.index > 0 && section.name === name);

function refuseCompressed(sections: readonly Section[]): void {
  for (const section of sections) {
    if ((section.flags & SHF_COMPRESSED) === 0 || section.name.startsWith('.debug_')) continue;
    throw new ObjectError('OBJECT_COMPRESSED_SECTION', 'compressed sections are not supported', {
      section: section.name,
    });
  }
}

function readTypes(parts: Parts): { btf?: Btf; btfExt?: BtfExt; externs: Extern[] } {
  const { elf, file, funcs, problems } = parts;
  const { sections, symbols, endian } = elf;
  const btfSection = named(sections, '.BTF');
  const extSection = named(sections, '.BTF.ext');
  const raw = btfSection === undefined ? undefined : attempt(parts, () => parseBtf(btfSection, file, endian));
  const externs = attempt(parts, () => collectExterns(symbols, raw, problems)) ?? [];
  if (raw === undefined) return { externs };
  const btf = attempt(parts, () => fixupBtf({ btf: raw, sections, symbols, externs, funcs })) ?? raw;
  const btfExt =
    extSection === undefined || !hasRecords(extSection, endian)
      ? undefined
      : attempt(parts, () => BtfExt.parse(extSection.data, btf, { file, endian }));
  return btfExt === undefined ? { btf, externs } : { btf, btfExt, externs };
}

/** False for a `.BTF.ext` that ends with its header, which objects without code have. */
function hasRecords({ data }: Section, endian: Endian): boolean {
  if (data.length < 8) return data.length > 0;
  const headerSize = new DataView(data.buffer, data.byteOffset, data.length).getUint32(
    4,
    endian === 'little',
  );
  return data.length !== headerSize;
}

function parseBtf(section: Section, file: string, endian: Endian): Btf {
  if (section.type !== SHT_PROGBITS) {
    throw new ObjectError('OBJECT_BAD_BTF', `section type ${section.type}, expected SHT_PROGBITS`, {
      section: section.name,
    });
  }
  return Btf.parse(section.data, { file, endian });
}

/** In libbpf's order: legacy, `.maps`, data sections, `.kconfig`, struct_ops. */
function collectMaps(parts: Parts, btf: Btf | undefined, externs: readonly Extern[]): ObjectMap[] {
  const { elf, name, problems } = parts;
  const { sections, symbols, endian } = elf;
  const maps: ObjectMap[] = [];
  for (const section of sections) {
    if (isLegacyMaps(section))
      maps.push(...(attempt(parts, () => readLegacyMaps(section, symbols, endian)) ?? []));
  }
  const btfMaps = named(sections, BTF_MAPS_SECTION);
  if (btfMaps !== undefined) maps.push(...(attempt(parts, () => definedMaps(parts, btfMaps, btf)) ?? []));
  checkNames(maps, problems);
  for (const section of sections) {
    const origin = dataOrigin(section);
    const map = origin && attempt(parts, () => dataMap(section, origin, name, btf));
    if (map !== undefined) maps.push(map);
  }
  const last = externs.filter(({ kind }) => kind === 'kconfig').at(-1)?.kconfig;
  if (last !== undefined) {
    const data = new Uint8Array(last.offset + last.size);
    const def = attempt(parts, () => internalMap('kconfig', KCONFIG_SECTION, name, data, btf));
    if (def !== undefined) maps.push({ def, sectionIndex: -1, sectionOffset: 0 });
  }
  for (const section of sections) {
    if (isStructOps(section)) maps.push(...(attempt(parts, () => structOpsMaps(parts, section, btf)) ?? []));
  }
  return maps;
}

function definedMaps(parts: Parts, section: Section, btf: Btf | undefined): ObjectMap[] {
  const { elf, programs, problems } = parts;
  const { symbols, relocs } = elf;
  if (btf === undefined) {
    throw new ObjectError('OBJECT_BTF_REQUIRED', 'maps are defined by BTF, and the object has none', {
      section: section.name,
    });
  }
  const maps = readBtfMaps(section, btf, problems);
  const filled = withInitialSlots(
    maps,
    { symbols, relocs, programs, btf, sectionIndex: section.index },
    problems,
  );
  const arena = elf.sections.find(
    (candidate) => candidate.name === ARENA_SECTION && candidate.type === SHT_PROGBITS && candidate.size > 0,
  );
  return attempt(parts, () => withArenaData(filled, arena)) ?? filled;
}

function structOpsMaps(parts: Parts, section: Section, btf: Btf | undefined): ObjectMap[] {
  const { elf, funcs, programs, problems } = parts;
  if (btf === undefined) {
    throw new ObjectError('OBJECT_BTF_REQUIRED', 'struct_ops are described by BTF, and the object has none', {
      section: section.name,
    });
  }
  return readStructOps(section, { ...elf, funcs, programs, btf }, problems);
}

function checkNames(maps: readonly ObjectMap[], problems: BpflabError[]): void {
  const seen = new Set<string>();
  for (const { def } of maps) {
    if (seen.has(def.name)) {
      problems.push(
        new ObjectError('OBJECT_DUPLICATE_MAP', 'two maps have this name', {
          section: def.section,
          symbol: def.name,
        }),
      );
    }
    seen.add(def.name);
  }
}

/** Up to the first NUL, at most 63 characters; empty where the object names none. */
function readLicense(sections: readonly Section[]): string {
  const section = named(sections, 'license');
  if (section === undefined) return '';
  if (section.type === SHT_NOBITS || section.data.length === 0) {
    throw new ObjectError('OBJECT_BAD_LICENSE', 'the section is empty', { section: section.name });
  }
  const end = section.data.indexOf(0);
  const text = section.data.subarray(0, Math.min(end < 0 ? section.data.length : end, 63));
  return new TextDecoder('utf-8').decode(text);
}

function readVersion(sections: readonly Section[], endian: Endian): number {
  const section = named(sections, 'version');
  if (section === undefined) return 0;
  const { data } = section;
  if (data.length !== 4) {
    throw new ObjectError('OBJECT_BAD_VERSION', `${data.length} bytes, expected one 32-bit number`, {
      section: section.name,
    });
  }
  return new DataView(data.buffer, data.byteOffset, 4).getUint32(0, endian === 'little');
}
