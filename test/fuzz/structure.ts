/**
 * Structure-aware lies: one field of a seed gets a value that is wrong in a way that its role makes
 * plausible (a size one too large, an id that closes a cycle, an offset into the next table), or whole
 * sections are moved, swapped or replaced by another object's.
 */
import { concat, EDGES } from './bytes.js';
import type { Field, Fields, SectionRange } from './fields.js';
import type { Rng } from './rng.js';

function read(view: DataView, field: Field, little: boolean): bigint {
  switch (field.width) {
    case 1:
      return BigInt(view.getUint8(field.at));
    case 2:
      return BigInt(view.getUint16(field.at, little));
    case 4:
      return BigInt(view.getUint32(field.at, little));
    case 8:
      return view.getBigUint64(field.at, little);
  }
}

function write(view: DataView, field: Field, value: bigint, little: boolean): void {
  const bits = BigInt.asUintN(field.width * 8, value);
  if (field.width === 8) view.setBigUint64(field.at, bits, little);
  else if (field.width === 4) view.setUint32(field.at, Number(bits), little);
  else if (field.width === 2) view.setUint16(field.at, Number(bits), little);
  else view.setUint8(field.at, Number(bits));
}

/** `kind_flag`, kind and vlen of a BTF type, one of them changed. */
function changeInfo(old: bigint, rng: Rng): bigint {
  const info = Number(old);
  switch (rng.below(4)) {
    case 0:
      return BigInt((info ^ 0x8000_0000) >>> 0);
    case 1:
      return BigInt(((info & 0xe0ff_ffff) | (rng.below(32) << 24)) >>> 0);
    case 2:
      return BigInt(((info & 0xffff_0000) | ((info + rng.pick([1, -1, 2, 100])) & 0xffff)) >>> 0);
    default:
      return BigInt(((info & 0xffff_0000) | rng.pick([0, 1, 0xffff, rng.below(0x10000)])) >>> 0);
  }
}

function anyValue(old: bigint, rng: Rng, fileSize: number): bigint {
  switch (rng.below(8)) {
    case 0:
      return BigInt(rng.pick(EDGES));
    case 1:
      return old + BigInt(rng.pick([1, -1, 4, -4, 8, -8, 12, 16, 24, 64]));
    case 2:
      return old ^ (1n << BigInt(rng.below(64)));
    case 3:
      return old * 2n;
    case 4:
      return BigInt(fileSize + rng.pick([0, -1, 1, -8, 8, -64]));
    case 5:
      return (BigInt(rng.u32()) << 32n) | BigInt(rng.u32());
    case 6:
      return -1n - BigInt(rng.below(16));
    default:
      return BigInt(rng.below(512));
  }
}

function lie(view: DataView, field: Field, fields: Fields, rng: Rng): bigint {
  const old = read(view, field, fields.little);
  const { types, symbols, sections } = fields.limits;
  if (!rng.oneIn(4)) {
    if (field.role === 'info') return changeInfo(old, rng);
    if (field.role === 'typeId') return BigInt(rng.below(types + 3));
    if (field.role === 'index')
      return BigInt(rng.below((field.width === 2 || rng.oneIn(2) ? sections : symbols) + 2));
    if (field.role === 'enum') return BigInt(rng.below(40));
    if (field.role === 'insn' && field.width === 1) return BigInt(rng.below(256));
    if (field.role === 'insn') return BigInt(rng.below(32) - 16);
    if (rng.oneIn(2)) return old + BigInt(rng.pick([1, -1, 4, -4, 8, -8]));
  }
  return anyValue(old, rng, view.byteLength);
}

/** Changes 1 to 3 fields of one group. */
function lieAbout(bytes: Uint8Array, fields: Fields, rng: Rng): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = [...fields.groups.values()];
  if (groups.length === 0) return bytes;
  const group = rng.pick(groups);
  for (let i = rng.oneIn(3) ? 3 : 1; i > 0; i--) {
    const field = rng.pick(group);
    if (field.at + field.width <= bytes.length)
      write(view, field, lie(view, field, fields, rng), fields.little);
  }
  return bytes;
}

/** Copies the value of one field to another of its role and width: two sections become one, ids close cycles. */
function copyField(bytes: Uint8Array, fields: Fields, rng: Rng): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const group = rng.pick([...fields.groups.values()]);
  const to = rng.pick(group);
  const from = rng.pick(group.filter((field) => field.width === to.width && field.role === to.role));
  if (Math.max(to.at, from.at) + to.width <= bytes.length)
    write(view, to, read(view, from, fields.little), fields.little);
  return bytes;
}

function setRange(
  bytes: Uint8Array,
  section: SectionRange,
  offset: number,
  size: number,
  little: boolean,
): void {
  if (section.header + 40 > bytes.length) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setBigUint64(section.header + 24, BigInt(offset), little);
  view.setBigUint64(section.header + 32, BigInt(size), little);
}

/** The section's contents moved to the end of the file, longer, shorter, or another section's altogether. */
function replaceSection(
  bytes: Uint8Array,
  fields: Fields,
  other: Uint8Array,
  others: Fields,
  rng: Rng,
): Uint8Array {
  const filled = fields.sections.filter((section) => section.size > 0);
  if (filled.length === 0) return bytes;
  const section = rng.pick(filled);
  const alike = others.sections.filter(
    (s) => s.name === section.name || (rng.oneIn(4) && s.type === section.type),
  );
  const donor = alike.length > 0 && rng.oneIn(2) ? rng.pick(alike) : undefined;
  const source = donor === undefined ? bytes : other;
  const { offset, size } = donor ?? section;
  let contents: Uint8Array = source.slice(offset, offset + size);
  if (rng.oneIn(4)) contents = concat(contents, contents.slice(0, rng.below(contents.length + 1)));
  if (rng.oneIn(4)) contents = contents.slice(0, rng.below(contents.length + 1));
  const at = (bytes.length + 7) & ~7;
  const out = concat(bytes, new Uint8Array(at - bytes.length), contents);
  setRange(out, section, at, contents.length, fields.little);
  return out;
}

/** One section header over another: duplicates, and sections that lose their own. */
function copyHeader(bytes: Uint8Array, fields: Fields, rng: Rng): Uint8Array {
  if (fields.sections.length < 2) return bytes;
  const from = rng.pick(fields.sections).header;
  const to = rng.pick(fields.sections).header;
  if (Math.max(from, to) + 64 <= bytes.length) bytes.copyWithin(to, from, from + 64);
  return bytes;
}

const WEIGHTS = { lie: 70, copy: 12, replace: 12, header: 3 };

/** One mutation. May change `bytes` in place; `other` is only read. */
export function mutateStructure(
  bytes: Uint8Array,
  fields: Fields,
  other: Uint8Array,
  others: Fields,
  rng: Rng,
): Uint8Array {
  switch (rng.weighted(WEIGHTS)) {
    case 'lie':
      return lieAbout(bytes, fields, rng);
    case 'copy':
      return fields.groups.size > 0 ? copyField(bytes, fields, rng) : bytes;
    case 'replace':
      return replaceSection(bytes, fields, other, others, rng);
    case 'header':
      return copyHeader(bytes, fields, rng);
  }
}
