/**
 * What a compiler leaves open in an object's BTF because it does not know the layout yet, filled in from
 * the symbol table as libbpf does before it hands the BTF to the kernel: sizes and offsets of data sections,
 * externs as variables, hidden functions and variables as static. Works on a copy of the encoded bytes.
 */
import type { Endian } from '../isa/insn.js';
import { Btf } from './btf/btf.js';
import { BTF_TYPE_SIZE, KIND, parseHeader } from './btf/format.js';
import { indexRecords } from './btf/record-index.js';
import type { BtfTypeId } from './btf/types.js';
import { STB_GLOBAL, STB_WEAK, STT_OBJECT, STV_HIDDEN, STV_INTERNAL } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { KCONFIG_SECTION, KSYMS_SECTION } from './externs.js';
import { TEXT_SECTION } from './functions.js';
import type { Extern, FuncDef, Section, Sym } from './types.js';

/** Each of the entries of a DATASEC: type, offset, size. */
const SECINFO_SIZE = 12;
const DUMMY_NAME = 'dummy_ksym';

export interface FixupInput {
  readonly btf: Btf;
  readonly sections: readonly Section[];
  readonly symbols: readonly Sym[];
  readonly externs: readonly Extern[];
  readonly funcs: readonly FuncDef[];
}

/** The object's BTF with everything filled in. Throws `OBJECT_BAD_BTF` where sections or symbols are missing. */
export function fixupBtf(input: FixupInput): Btf {
  const editor = new BtfEditor(input.btf);
  fixKsyms(input, editor);
  fixKconfig(input, editor);
  fixDatasecs(input, editor);
  fixHiddenFuncs(input, editor);
  const bytes = editor.finish();
  return bytes === undefined ? input.btf : Btf.parse(bytes, { endian: input.btf.endian });
}

const bad = (detail: string, section: string): ObjectError =>
  new ObjectError('OBJECT_BAD_BTF', detail, { section });

/** In-place edits of type records, and one appended variable. */
class BtfEditor {
  readonly btf: Btf;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #starts: Uint32Array;
  readonly #typeStart: number;
  #dirty = false;
  #tail: { type: Uint8Array; name: Uint8Array } | undefined;

  constructor(btf: Btf) {
    this.btf = btf;
    this.#bytes = new Uint8Array(btf.bytes);
    this.#little = btf.endian === 'little';
    const header = parseHeader(this.#bytes, undefined);
    this.#view = new DataView(this.#bytes.buffer);
    this.#typeStart = header.typeStart;
    const types = new DataView(this.#bytes.buffer, header.typeStart, header.typeSize);
    this.#starts = indexRecords(types, this.#little, 1);
  }

  #at(id: BtfTypeId, offset: number): number {
    return this.#typeStart + this.#starts[id - 1]! + offset;
  }

  get(id: BtfTypeId, offset: number): number {
    return this.#view.getUint32(this.#at(id, offset), this.#little);
  }

  /** Word at a byte offset of the type's record. */
  set(id: BtfTypeId, offset: number, value: number): void {
    if (this.get(id, offset) === value) return;
    this.#view.setUint32(this.#at(id, offset), value, this.#little);
    this.#dirty = true;
  }

  setSecInfo(id: BtfTypeId, index: number, field: 'type' | 'offset' | 'size', value: number): void {
    const column = { type: 0, offset: 4, size: 8 }[field];
    this.set(id, BTF_TYPE_SIZE + index * SECINFO_SIZE + column, value);
  }

  /** Appends a global variable with a new name; returns its id and the name's offset. */
  addVar(name: string, type: BtfTypeId): { id: BtfTypeId; nameOffset: number } {
    const nameOffset = this.btf.strings.end;
    const record = new Uint8Array(BTF_TYPE_SIZE + 4);
    const view = new DataView(record.buffer);
    view.setUint32(0, nameOffset, this.#little);
    view.setUint32(4, KIND.var << 24, this.#little);
    view.setUint32(8, type, this.#little);
    view.setUint32(12, 1, this.#little);
    this.#tail = { type: record, name: new TextEncoder().encode(`${name}\0`) };
    this.#dirty = true;
    return { id: this.btf.typeCount, nameOffset };
  }

  /** Orders a DATASEC's entries by offset. */
  sortSecInfos(id: BtfTypeId, count: number): void {
    const rows = Array.from({ length: count }, (_, i) =>
      [0, 4, 8].map((column) => this.get(id, BTF_TYPE_SIZE + i * SECINFO_SIZE + column)),
    );
    rows.sort((a, b) => a[1]! - b[1]!);
    for (const [i, row] of rows.entries()) {
      for (const [j, value] of row.entries()) this.set(id, BTF_TYPE_SIZE + i * SECINFO_SIZE + j * 4, value);
    }
  }

  /** The edited bytes, undefined where nothing changed. */
  finish(): Uint8Array | undefined {
    if (!this.#dirty) return undefined;
    return this.#tail === undefined ? this.#bytes : appendTail(this.#bytes, this.btf.endian, this.#tail);
  }
}

function appendTail(
  bytes: Uint8Array,
  endian: Endian,
  tail: { type: Uint8Array; name: Uint8Array },
): Uint8Array {
  const header = parseHeader(bytes, undefined);
  const types = bytes.subarray(header.typeStart, header.typeStart + header.typeSize);
  const strings = bytes.subarray(header.strStart, header.strStart + header.strSize);
  const typeSize = types.length + tail.type.length;
  const result = new Uint8Array(header.headerSize + typeSize + strings.length + tail.name.length);
  result.set(bytes.subarray(0, header.headerSize));
  result.set(types, header.headerSize);
  result.set(tail.type, header.headerSize + types.length);
  result.set(strings, header.headerSize + typeSize);
  result.set(tail.name, header.headerSize + typeSize + strings.length);
  const view = new DataView(result.buffer);
  const little = endian === 'little';
  view.setUint32(8, 0, little); // type_off, type_len, str_off, str_len
  view.setUint32(12, typeSize, little);
  view.setUint32(16, typeSize, little);
  view.setUint32(20, strings.length + tail.name.length, little);
  return result;
}

/** The kernel wants every `.ksyms` entry to be a 4-byte variable; functions are stood in for by a dummy. */
function fixKsyms({ btf, externs }: FixupInput, editor: BtfEditor): void {
  const secId = btf.findByName(KSYMS_SECTION, 'datasec');
  const sec = secId === undefined ? undefined : btf.type(secId);
  if (secId === undefined || sec?.kind !== 'datasec') return;
  const intId = findInt32(btf);
  const hasFunc = sec.vars.some(({ type }) => btf.kindOf(type) === 'func');
  const dummy = hasFunc ? editor.addVar(DUMMY_NAME, intId) : undefined;
  if (!externs.some(({ kind }) => kind === 'kfunc' || kind === 'ksym')) return;
  const names = new Set(externs.map(({ name }) => name));
  for (const [i, entry] of sec.vars.entries()) {
    const type = btf.type(entry.type);
    if (!names.has(type.name))
      throw bad(`the BTF lists ${type.name}, which is no undefined symbol`, KSYMS_SECTION);
    if (type.kind === 'func' && dummy !== undefined) {
      nameParams(btf, type.type, dummy.nameOffset, editor);
      editor.setSecInfo(secId, i, 'type', dummy.id);
      editor.set(entry.type, 4, ((editor.get(entry.type, 4) & 0xffff0000) >>> 0) + 1);
    } else if (type.kind === 'var') {
      editor.set(entry.type, 12, 1);
      editor.set(entry.type, 8, intId);
    } else throw bad(`entry ${i} is a ${type.kind}`, KSYMS_SECTION);
    editor.setSecInfo(secId, i, 'offset', i * 4);
    editor.setSecInfo(secId, i, 'size', 4);
  }
  editor.set(secId, 8, sec.vars.length * 4);
}

/** Global functions need parameter names, externs may have none. */
function nameParams(btf: Btf, protoId: BtfTypeId, nameOffset: number, editor: BtfEditor): void {
  const proto = btf.type(protoId);
  if (proto.kind !== 'func_proto') return;
  for (const [i, param] of proto.params.entries()) {
    const at = BTF_TYPE_SIZE + i * 8;
    if (param.type !== 0 && editor.get(protoId, at) === 0) editor.set(protoId, at, nameOffset);
  }
}

/** First integer of 32 bits, 0 where there is none. */
function findInt32(btf: Btf): BtfTypeId {
  for (let id = 1; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'int') continue;
    const type = btf.type(id);
    if (type.kind === 'int' && type.bits === 32) return id;
  }
  return 0;
}

function fixKconfig({ btf, externs }: FixupInput, editor: BtfEditor): void {
  const kconfigs = externs.filter(({ kind }) => kind === 'kconfig');
  const secId = btf.findByName(KCONFIG_SECTION, 'datasec');
  const sec = secId === undefined ? undefined : btf.type(secId);
  if (secId === undefined || sec?.kind !== 'datasec' || kconfigs.length === 0) return;
  const byName = new Map(kconfigs.map((extern) => [extern.name, extern.kconfig!]));
  for (const [i, entry] of sec.vars.entries()) {
    const known = byName.get(btf.nameOf(entry.type));
    if (known === undefined || btf.kindOf(entry.type) !== 'var') {
      throw bad(`the BTF lists ${btf.nameOf(entry.type)}, which is no undefined symbol`, KCONFIG_SECTION);
    }
    editor.set(entry.type, 12, 1);
    editor.setSecInfo(secId, i, 'offset', known.offset);
  }
  const last = kconfigs[kconfigs.length - 1]!.kconfig!;
  editor.set(secId, 8, last.offset + last.size);
}

/** Sizes and offsets that clang leaves zero (its static linker fills them in), and the order of the entries. */
function fixDatasecs({ btf, sections, symbols }: FixupInput, editor: BtfEditor): void {
  const variables = globalVariables(symbols);
  for (let id = 1; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'datasec') continue;
    const sec = btf.type(id);
    if (sec.kind !== 'datasec') continue;
    if (sec.name !== KCONFIG_SECTION && sec.name !== KSYMS_SECTION) {
      const open = sec.size === 0;
      if (open) {
        const size = sections.find((section) => section.name === sec.name && section.index > 0)?.size ?? 0;
        if (size === 0) throw bad('the BTF describes a data section that the object does not have', sec.name);
        editor.set(id, 8, size);
      }
      for (const [i, entry] of sec.vars.entries()) {
        const type = btf.type(entry.type);
        if (type.kind !== 'var') throw bad(`entry ${i} is a ${type.kind}, expected a variable`, sec.name);
        if (type.linkage === 0 || type.linkage === 2) continue;
        const sym = variables.get(type.name);
        if (sym === undefined)
          throw bad(`the BTF describes ${type.name}, which the symbol table has not`, sec.name);
        if (open) editor.setSecInfo(id, i, 'offset', sym.value);
        if (sym.visibility === STV_HIDDEN || sym.visibility === STV_INTERNAL) editor.set(entry.type, 12, 0);
      }
    }
    editor.sortSecInfos(id, sec.vars.length);
  }
}

function globalVariables(symbols: readonly Sym[]): Map<string, Sym> {
  const found = new Map<string, Sym>();
  for (const sym of symbols) {
    if (sym.type !== STT_OBJECT || (sym.binding !== STB_GLOBAL && sym.binding !== STB_WEAK)) continue;
    if (!found.has(sym.name)) found.set(sym.name, sym);
  }
  return found;
}

/** Hidden subprograms are verified in their callers' context, which the kernel does for static ones. */
function fixHiddenFuncs({ btf, funcs }: FixupInput, editor: BtfEditor): void {
  const hidden = new Set(
    funcs.filter((func) => func.hidden && func.section === TEXT_SECTION).map((func) => func.name),
  );
  if (hidden.size === 0) return;
  for (let id = 1; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'func' || !hidden.has(btf.nameOf(id))) continue;
    if (btf.vlenOf(id) === 1) {
      editor.set(id, 4, KIND.func << 24);
      hidden.delete(btf.nameOf(id));
    }
  }
}
