/**
 * Our loader's programs and maps against libbpf's, field by field and byte by byte. Every difference is
 * one line that names the program or map.
 */
import { ProgType } from '../../../src/abi/prog-types.js';
import { encodeInsns } from '../../../src/isa/encode.js';
import type { LoadableObject, LoadableProgram, MapDef } from '../../../src/object/types.js';
import type { ExpectedDefinition, ExpectedMap, ExpectedObject, ExpectedProgram } from './expected.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Differences shown of one list; the rest is counted. */
const SHOWN = 3;

class Differences {
  readonly lines: string[] = [];

  field(what: string, ours: unknown, theirs: unknown): void {
    if (ours === theirs) return;
    this.lines.push(`${what}: ours ${String(ours)}, libbpf ${String(theirs)}`);
  }

  list(what: string, ours: readonly string[], theirs: readonly string[]): void {
    let count = 0;
    for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
      if (ours[i] === theirs[i]) continue;
      if (count++ < SHOWN) this.field(`${what} ${i}`, ours[i] ?? 'none', theirs[i] ?? 'none');
    }
    if (count > SHOWN)
      this.lines.push(`${what}: ${count} differ (${ours.length} ours, ${theirs.length} libbpf's)`);
  }
}

const slots = (code: string): string[] => code.match(/.{16}/g) ?? [];

function compareAttributes(
  diff: Differences,
  at: string,
  ours: LoadableProgram,
  theirs: ExpectedProgram,
): void {
  diff.field(`${at}: section`, ours.section.replace(/^\?/, ''), theirs.section);
  // libbpf decides on struct_ops programs only when it has looked at the maps
  if (ours.type !== ProgType.struct_ops) diff.field(`${at}: autoload`, ours.autoload, theirs.autoload);
  // section names from before libbpf 1.0 mean something to us alone
  if (theirs.type !== ProgType.unspec) diff.field(`${at}: type`, ours.type, theirs.type);
  if (theirs.type === ProgType.unspec || theirs.mode < 0 || theirs.mode === 2) return;
  diff.field(`${at}: attach type`, ours.expectedAttachType, theirs.load_attach_type);
  diff.field(`${at}: program flags`, ours.progFlags, theirs.flags);
  if (theirs.mode === 0 && theirs.type !== ProgType.ext) {
    diff.field(`${at}: attach BTF id`, ours.attachBtfId ?? 0, theirs.attach_btf_id);
  }
}

function compareProgram(diff: Differences, ours: LoadableProgram, theirs: ExpectedProgram): void {
  const at = `program ${theirs.program}`;
  compareAttributes(diff, at, ours, theirs);
  if (theirs.insns === undefined) return;
  diff.list(`${at}: insn`, slots(hex(encodeInsns(ours.insns))), slots(theirs.insns));
  diff.list(
    `${at}: func_info`,
    ours.funcInfo.map(({ insnOff, typeId }) => `${insnOff} [${typeId}]`),
    (theirs.func_info ?? []).map(([insnOff, typeId]) => `${insnOff} [${typeId}]`),
  );
  diff.list(
    `${at}: line_info`,
    ours.lineInfo.map(
      ({ insnOff, line, column, file, text }) => `${insnOff} ${file}:${line}:${column} ${text}`,
    ),
    (theirs.line_info ?? []).map(
      ([insnOff, line, column, file, text]) => `${insnOff} ${file}:${line}:${column} ${text}`,
    ),
  );
}

function compareDefinition(diff: Differences, at: string, ours: MapDef, theirs: ExpectedDefinition): void {
  diff.field(`${at}: key size`, ours.keySize, theirs.key_size);
  diff.field(`${at}: value size`, ours.valueSize, theirs.value_size);
  diff.field(`${at}: max entries`, ours.maxEntries, theirs.max_entries);
  diff.field(`${at}: flags`, ours.mapFlags, theirs.map_flags);
  diff.field(`${at}: extra`, Number(ours.mapExtra), theirs.map_extra);
  diff.field(`${at}: NUMA node`, ours.numaNode, theirs.numa_node);
  diff.field(`${at}: key type`, ours.btfKeyTypeId, theirs.btf_key);
  diff.field(`${at}: value type`, ours.btfValueTypeId, theirs.btf_value);
}

function compareMap(diff: Differences, ours: MapDef, theirs: ExpectedMap, byteOrderAgrees: boolean): void {
  const at = `map ${theirs.name}`;
  diff.field(`${at}: type`, ours.type, theirs.type);
  diff.field(`${at}: inner map`, ours.inner !== undefined, theirs.inner !== undefined);
  if (ours.inner !== undefined && theirs.inner !== undefined) {
    diff.field(`${at}: inner type`, ours.inner.type, theirs.inner.type);
    if (theirs.created_inner !== undefined) {
      compareDefinition(diff, `${at}: inner map`, ours.inner, theirs.created_inner);
    }
  }
  if (theirs.created === undefined) return;
  compareDefinition(diff, at, ours, theirs.created);
  diff.field(`${at}: kernel type`, ours.structOps?.kernelValueTypeId ?? 0, theirs.created.kernel_value);
  diff.field(`${at}: frozen`, ours.frozen, theirs.frozen);
  // libbpf fills .kconfig in the order of the machine it runs on
  if (theirs.data !== undefined && (ours.origin !== 'kconfig' || byteOrderAgrees)) {
    diff.field(`${at}: contents`, ours.initialData && hex(ours.initialData), theirs.data);
  }
  diff.list(
    `${at}: slot`,
    (ours.initialSlots ?? []).map(({ index, target }) => `${index} ${target.slice(0, 15)}`),
    (theirs.slots ?? []).map(([index, name]) => `${index} ${name}`),
  );
}

/** What makes libbpf refuse every program of an object; ours goes on with those that do not need it. */
const OBJECT_WIDE = /extern .*(not found|not resolved)|struct_ops init_kern/;

/** All differences of one object, empty when there are none. */
export function compareObject(ours: LoadableObject, theirs: ExpectedObject): string[] {
  const diff = new Differences();
  diff.list(
    'map',
    ours.maps.map(({ name }) => name),
    theirs.maps.map(({ name }) => name),
  );
  for (const [i, map] of theirs.maps.entries()) {
    const own = ours.maps[i];
    if (own?.name === map.name) compareMap(diff, own, map, ours.endian === 'little');
  }
  const failed = new Map((ours.failed ?? []).map(({ name, error }) => [name, error]));
  for (const program of theirs.programs) {
    const own = ours.programs.find(({ name }) => name === program.program);
    const error = failed.get(program.program);
    if (own !== undefined && program.mode >= 0) {
      compareProgram(diff, own, program);
      if (program.license !== undefined)
        diff.field(`program ${program.program}: license`, ours.license, program.license);
    } else if (own !== undefined && !OBJECT_WIDE.test(program.messages ?? '')) {
      diff.lines.push(`program ${program.program}: ours loads, libbpf says ${firstLine(program.messages)}`);
    } else if (program.mode >= 0) {
      diff.lines.push(
        `program ${program.program}: ours says ${error?.message ?? 'no such program'}, libbpf loads`,
      );
    }
  }
  for (const { name } of ours.programs) {
    if (!theirs.programs.some(({ program }) => program === name))
      diff.lines.push(`program ${name}: libbpf has none`);
  }
  return diff.lines;
}

const firstLine = (text: string | undefined): string => text?.split('\n')[0] ?? 'nothing';

/**
 * Differences between a big-endian object and its little-endian twin from the same source: what an object of
 * the other byte order has to come to. Only for sources whose code does not depend on it.
 */
export function compareTwins(big: LoadableObject, little: LoadableObject): string[] {
  const diff = new Differences();
  const mapLine = ({ name, type, keySize, valueSize, maxEntries, mapFlags }: MapDef): string =>
    [name, type, keySize, valueSize, maxEntries, mapFlags].join(' ');
  const programLine = ({ name, section, type, progFlags }: LoadableProgram): string =>
    [name, section, type, progFlags].join(' ');
  diff.list('map', big.maps.map(mapLine), little.maps.map(mapLine));
  diff.list('program', big.programs.map(programLine), little.programs.map(programLine));
  for (const [i, { name, insns }] of big.programs.entries()) {
    const other = little.programs[i];
    if (other?.name !== name) continue;
    diff.list(`program ${name}: insn`, slots(hex(encodeInsns(insns))), slots(hex(encodeInsns(other.insns))));
  }
  return diff.lines;
}
