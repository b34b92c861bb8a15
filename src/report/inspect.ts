/**
 * What `bpflab inspect` says of an object as read, before anything is relocated: one summary (plain data, the
 * JSON form of the command) and its rendering as text. Names are libbpf's, sizes in bytes, offsets as in the file.
 */
import { attachTypeName } from '../abi/attach-types.js';
import { flagsText } from '../abi/flag-text.js';
import { mapFlagsText } from '../abi/map-flags.js';
import { mapTypeName } from '../abi/map-types.js';
import { ProgFlag } from '../abi/prog-flags.js';
import { progTypeName } from '../abi/prog-types.js';
import type { Endian } from '../isa/insn.js';
import type { InfoBySection } from '../object/btf/btf-ext.js';
import { relocTypeName, SHT_STRTAB, SHT_SYMTAB } from '../object/elf/constants.js';
import type { BpfObject, MapDef, ObjectMap, ProgramDef } from '../object/types.js';
import { table } from './table.js';

export interface InspectSummary {
  readonly file: string;
  readonly endian: Endian;
  readonly license: string;
  readonly kernVersion: number;
  readonly sections: readonly {
    readonly index: number;
    readonly name: string;
    readonly size: number;
    readonly relocations: number;
  }[];
  readonly programs: readonly {
    readonly name: string;
    readonly section: string;
    readonly type: string;
    readonly attachType: string;
    readonly attachTarget?: string;
    readonly flags: string;
    readonly autoload: boolean;
    /** Slots of the entry function alone, without the subprograms that loading appends. */
    readonly insns: number;
  }[];
  /** Functions that programs call, in the order of the file. */
  readonly subprograms: readonly {
    readonly name: string;
    readonly section: string;
    readonly global: boolean;
    readonly insns: number;
  }[];
  readonly maps: readonly MapSummary[];
  readonly externs: readonly { readonly name: string; readonly kind: string; readonly weak: boolean }[];
  readonly btf?: {
    readonly types: number;
    readonly bytes: number;
    readonly functions: number;
    readonly lines: number;
    readonly coreRelocations: number;
  };
  readonly relocations: readonly {
    readonly section: string;
    readonly offset: number;
    readonly type: string;
    readonly symbol: string;
  }[];
  /** What will keep (parts of) the object from being loaded. */
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** What is left out without harm to the rest. */
  readonly notes: readonly string[];
}

export interface MapSummary {
  readonly name: string;
  readonly section: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: string;
  readonly mapExtra?: string;
  readonly pinning?: string;
  readonly inner?: MapSummary;
}

/** Everything that `inspect` shows, as plain data. */
export function summarise(object: BpfObject): InspectSummary {
  const sectionName = (index: number): string => object.sections[index]?.name ?? `section ${index}`;
  const relocations = object.relocs.flatMap((group) =>
    group.relocs.map((reloc) => ({
      section: sectionName(group.target),
      offset: reloc.offset,
      type: relocTypeName(reloc.type),
      symbol: symbolText(object, reloc.symIndex),
    })),
  );
  const relocCount = new Map(object.relocs.map((group) => [group.target, group.relocs.length]));
  return {
    file: object.file,
    endian: object.endian,
    license: object.license,
    kernVersion: object.kernVersion,
    sections: object.sections
      .filter((s) => s.name !== '' && s.type !== SHT_SYMTAB && s.type !== SHT_STRTAB)
      .map((s) => ({
        index: s.index,
        name: s.name,
        size: s.size,
        relocations: relocCount.get(s.index) ?? 0,
      })),
    programs: object.programs.map(programSummary),
    subprograms: object.funcs
      .filter((func) => !func.entry)
      .map(({ name, section, global, insnCount }) => ({ name, section, global, insns: insnCount })),
    maps: object.maps.map((map: ObjectMap) => mapSummary(map.def)),
    externs: object.externs.map(({ name, kind, weak }) => ({ name, kind, weak })),
    ...(object.btf && { btf: btfSummary(object) }),
    relocations,
    problems: object.problems.map((error) => ({ code: error.code, message: error.message })),
    notes: object.notes,
  };
}

function symbolText(object: BpfObject, symIndex: number): string {
  const symbol = object.symbols[symIndex];
  if (symbol === undefined) return `symbol ${symIndex}`;
  return symbol.name || object.sections[symbol.sectionIndex]?.name || `symbol ${symIndex}`;
}

function programSummary(program: ProgramDef): InspectSummary['programs'][number] {
  return {
    name: program.name,
    section: program.section,
    type: progTypeName(program.type),
    attachType: attachTypeName(program.expectedAttachType),
    ...(program.attachTarget !== undefined && { attachTarget: program.attachTarget }),
    flags: flagsText(ProgFlag, program.progFlags),
    autoload: program.autoload,
    insns: program.func.insnCount,
  };
}

function mapSummary(def: MapDef): MapSummary {
  return {
    name: def.name,
    section: def.section,
    type: mapTypeName(def.type),
    keySize: def.keySize,
    valueSize: def.valueSize,
    maxEntries: def.maxEntries,
    flags: mapFlagsText(def.mapFlags),
    ...(def.mapExtra !== 0n && { mapExtra: `0x${def.mapExtra.toString(16)}` }),
    ...(def.pinning !== 'none' && { pinning: def.pinning }),
    ...(def.inner && { inner: mapSummary(def.inner) }),
  };
}

function btfSummary(object: BpfObject): NonNullable<InspectSummary['btf']> {
  const count = (records?: InfoBySection<unknown>): number =>
    [...(records?.values() ?? [])].reduce((sum, list) => sum + list.length, 0);
  return {
    types: object.btf!.typeCount - 1,
    bytes: object.btf!.bytes.length,
    functions: count(object.btfExt?.funcInfo),
    lines: count(object.btfExt?.lineInfo),
    coreRelocations: count(object.btfExt?.coreRelos),
  };
}

/** Blocks of text, one a subject; subjects of which the object has nothing are left out. */
export function inspectText(summary: InspectSummary, heading: (text: string) => string): string {
  const version = summary.kernVersion === 0 ? '' : `, kernel version ${summary.kernVersion}`;
  const license = summary.license === '' ? 'no license' : `license "${summary.license}"`;
  const blocks = [
    `${summary.file}: eBPF object, ${summary.endian}-endian, ${license}${version}`,
    block(
      heading('Sections'),
      ['index', 'name', 'size', 'relocations'],
      ['right', 'left', 'right', 'right'],
      summary.sections.map((s) => [
        `${s.index}`,
        s.name,
        `${s.size}`,
        s.relocations ? `${s.relocations}` : '',
      ]),
    ),
    block(
      heading('Programs'),
      ['name', 'section', 'type', 'insns', 'attach type', 'notes'],
      ['left', 'left', 'left', 'right', 'left', 'left'],
      summary.programs.map((p) => [p.name, p.section, p.type, `${p.insns}`, attachText(p), programNotes(p)]),
    ),
    block(
      heading('Subprograms'),
      ['name', 'section', 'insns', 'linkage'],
      ['left', 'left', 'right', 'left'],
      summary.subprograms.map((p) => [p.name, p.section, `${p.insns}`, p.global ? 'global' : 'static']),
    ),
    block(
      heading('Maps'),
      ['name', 'type', 'key', 'value', 'entries', 'flags', 'notes'],
      ['left', 'left', 'right', 'right', 'right', 'left', 'left'],
      summary.maps.map(mapRow),
    ),
    block(
      heading('Externs'),
      ['name', 'kind', 'binding'],
      [],
      summary.externs.map((e) => [e.name, e.kind, e.weak ? 'weak' : 'strong']),
    ),
    btfText(summary, heading),
    relocationsText(summary, heading),
    summary.problems.length === 0
      ? ''
      : [heading('Problems'), ...summary.problems.map((p) => `  ${p.code}: ${p.message}`)].join('\n'),
  ];
  if (summary.notes.length > 0)
    blocks.push([heading('Notes'), ...summary.notes.map((n) => `  ${n}`)].join('\n'));
  return blocks.filter((text) => text !== '').join('\n\n');
}

type Align = 'left' | 'right';

function block(title: string, header: string[], align: Align[], rows: string[][]): string {
  return rows.length === 0 ? '' : `${title}\n${table(header, rows, { align, indent: 2 })}`;
}

function attachText(program: InspectSummary['programs'][number]): string {
  // attach type 0 is cgroup_inet_ingress only for the types that can mean it
  return program.attachType === 'cgroup_inet_ingress' && program.type !== 'cgroup_skb'
    ? '-'
    : program.attachType;
}

function programNotes(program: InspectSummary['programs'][number]): string {
  const notes: string[] = [];
  if (program.attachTarget !== undefined) notes.push(`target ${program.attachTarget}`);
  if (program.flags !== '0') notes.push(program.flags);
  if (!program.autoload) notes.push('not loaded unless named');
  return notes.join(', ');
}

function mapRow(map: MapSummary): string[] {
  const notes: string[] = [];
  if (map.inner) {
    const { type, keySize, valueSize, maxEntries } = map.inner;
    notes.push(`inner ${type} ${keySize}/${valueSize}/${maxEntries}`);
  }
  if (map.mapExtra !== undefined) notes.push(`extra ${map.mapExtra}`);
  if (map.pinning !== undefined) notes.push('pinned by name');
  return [
    map.name,
    map.type,
    `${map.keySize}`,
    `${map.valueSize}`,
    `${map.maxEntries}`,
    map.flags === '0' ? '' : map.flags,
    notes.join(', '),
  ];
}

/** Relocations of code and data; those that only keep BTF in step with them are counted. */
function relocationsText(summary: InspectSummary, heading: (text: string) => string): string {
  const shown = summary.relocations.filter(({ section }) => !section.startsWith('.BTF'));
  const left = summary.relocations.length - shown.length;
  const rows = shown.map((r) => [r.section, `0x${r.offset.toString(16)}`, r.type, r.symbol]);
  const header = ['section', 'offset', 'type', 'symbol'];
  const text = block(heading('Relocations'), header, ['left', 'right', 'left', 'left'], rows);
  if (left === 0) return text;
  return `${text === '' ? heading('Relocations') : text}\n  and ${left} in .BTF and .BTF.ext (--json has them)`;
}

function btfText({ btf }: InspectSummary, heading: (text: string) => string): string {
  if (btf === undefined) return '';
  const { types, bytes, functions, lines, coreRelocations } = btf;
  return `${heading('BTF')}\n  ${types} types in ${bytes} bytes; ${functions} functions, ${lines} source lines, ${coreRelocations} CO-RE relocations`;
}
