/**
 * Bytes as the value that BTF says they are: what `bpftool map dump` prints. Little-endian. Values are plain data (for
 * JSON) with bigints where a number would lose digits; `valueText` writes them on one line.
 */
import type { Btf } from '../object/btf/btf.js';
import type { BtfArray, BtfComposite, BtfEnum, BtfInt, BtfTypeId } from '../object/btf/types.js';

export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | readonly BtfValue[]
  | { readonly [name: string]: BtfValue };

/** Deepest nesting that is followed; past it a value is shown as bytes. */
const MAX_DEPTH = 32;

/** How many single values (numbers, or 16 bytes of text) may still be made; shared by what belongs to one report. */
export interface ValueBudget {
  left: number;
}

/** Bytes of text that count as one value. */
const TEXT_UNIT = 16;

/**
 * The value of type `id` in `bytes`; what the bytes do not cover, or no type describes, comes as hex. What the budget
 * does not cover is left out, and a text beginning with `…` stands in its place: a value may be as large as memory, and
 * unions may show the same bytes any number of times.
 */
export function decodeValue(
  btf: Btf,
  id: BtfTypeId,
  bytes: Uint8Array,
  budget: ValueBudget,
  depth = 0,
): BtfValue {
  const type = btf.underlying(id);
  if (depth > MAX_DEPTH) return hexValue(bytes, budget);
  // What lies deep takes more room in JSON.
  budget.left -= 1 + (depth >> 1);
  if (budget.left < 0) return leftOut(bytes.length, 'bytes');
  switch (type.kind) {
    case 'int':
      return bytes.length < type.size ? hex(bytes) : intValue(type, bytes);
    case 'enum':
    case 'enum64':
      return bytes.length < type.size ? hex(bytes) : enumValue(type, bytes);
    case 'ptr':
      return `0x${unsigned(bytes, 8).toString(16)}`;
    case 'float':
      return floatValue(bytes, type.size);
    case 'array':
      return arrayValue(btf, type, bytes, budget, depth);
    case 'struct':
    case 'union':
      return compositeValue(btf, type, bytes, budget, depth);
    case 'datasec': {
      const entries = type.vars.map(({ type: variable, offset, size }) => {
        const of = btf.type(variable);
        const value =
          of.kind === 'var'
            ? decodeValue(btf, of.type, bytes.subarray(offset, offset + size), budget, depth + 1)
            : '';
        return [of.name, value] as const;
      });
      return Object.fromEntries(entries);
    }
    default:
      return hexValue(bytes, budget);
  }
}

/** Bytes without a type, within the budget. */
export function hexValue(bytes: Uint8Array, budget: ValueBudget): BtfValue {
  return affords(bytes.length, budget) ? hex(bytes) : leftOut(bytes.length, 'bytes');
}

function affords(textBytes: number, budget: ValueBudget): boolean {
  budget.left -= Math.ceil(textBytes / TEXT_UNIT);
  return budget.left >= 0;
}

function leftOut(count: number, what: string): string {
  return `… ${count} ${what}`;
}

/** One line: `{packets: 3, bytes: 180}`. */
export function valueText(value: BtfValue): string {
  if (typeof value === 'string') return /^(0x[0-9a-f]+$|…)/.test(value) ? value : JSON.stringify(value);
  if (typeof value !== 'object') return value.toString();
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  const members = Object.entries(value).map(([name, member]) => `${name}: ${valueText(member)}`);
  return `{${members.join(', ')}}`;
}

/** Bytes without a type. */
export function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

function unsigned(bytes: Uint8Array, size: number): bigint {
  let value = 0n;
  for (let i = Math.min(size, bytes.length) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function intValue(type: BtfInt, bytes: Uint8Array): BtfValue {
  const value = unsigned(bytes, type.size);
  if (type.bool) return value !== 0n;
  return narrow(type.signed ? BigInt.asIntN(type.size * 8, value) : value);
}

function enumValue(type: BtfEnum, bytes: Uint8Array): BtfValue {
  const raw = unsigned(bytes, type.size);
  const value = type.signed ? BigInt.asIntN(type.size * 8, raw) : raw;
  return type.values.find((known) => known.value === value)?.name ?? narrow(value);
}

function floatValue(bytes: Uint8Array, size: number): BtfValue {
  if (bytes.length < size || (size !== 4 && size !== 8)) return hex(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  return size === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
}

function arrayValue(
  btf: Btf,
  type: BtfArray,
  bytes: Uint8Array,
  budget: ValueBudget,
  depth: number,
): BtfValue {
  const of = btf.underlying(type.type);
  const size = btf.sizeOf(type.type);
  if (of.kind === 'int' && of.size === 1 && (of.char || of.name === 'char')) {
    const text = textOf(bytes);
    if (text !== undefined) return affords(text.length, budget) ? text : leftOut(bytes.length, 'bytes');
  }
  const present = size === 0 ? 0 : Math.min(type.count, Math.floor(bytes.length / size));
  const values: BtfValue[] = [];
  for (let i = 0; i < present; i++) {
    if (budget.left <= 0) return [...values, leftOut(present - i, 'elements')];
    values.push(decodeValue(btf, type.type, bytes.subarray(i * size, (i + 1) * size), budget, depth + 1));
  }
  return values;
}

/** Whether there is nothing but zeros. */
export function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Printable text up to its NUL, if that is all there is to it. */
function textOf(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0);
  const text = bytes.subarray(0, end < 0 ? bytes.length : end);
  if (text.length === 0) return isZero(bytes) ? '' : undefined;
  return text.every((byte) => byte >= 0x20 && byte < 0x7f) ? Buffer.from(text).toString('latin1') : undefined;
}

function compositeValue(
  btf: Btf,
  type: BtfComposite,
  bytes: Uint8Array,
  budget: ValueBudget,
  depth: number,
): BtfValue {
  const value: Record<string, BtfValue> = {};
  for (const [index, member] of type.members.entries()) {
    if (budget.left <= 0) {
      value['…'] = leftOut(type.members.length - index, 'members');
      break;
    }
    const of = btf.underlying(member.type);
    const bits = bitsOf(of, member.bitfieldSize);
    const name = member.name || `(anon ${index})`;
    if (bits !== undefined) {
      const start = member.bitOffset + (of.kind === 'int' ? of.bitOffset : 0);
      setMember(value, name, bitfield(bytes, start, bits, of.kind === 'int' && of.signed));
      budget.left--;
      continue;
    }
    const at = member.bitOffset / 8;
    const covered = bytes.subarray(at, at + btf.sizeOf(member.type));
    const inner = decodeValue(btf, member.type, covered, budget, depth + 1);
    // Members of an anonymous struct or union are the outer one's, as C sees them.
    if (member.name === '' && typeof inner === 'object' && !Array.isArray(inner)) {
      for (const [own, of] of Object.entries(inner)) setMember(value, own, of);
    } else setMember(value, name, inner);
  }
  return value;
}

/** As a property of its own, whatever its name: C allows `__proto__`. */
function setMember(value: Record<string, BtfValue>, name: string, member: BtfValue): void {
  Object.defineProperty(value, name, { value: member, enumerable: true, writable: true, configurable: true });
}

function bitsOf(type: { readonly kind: string } | BtfInt, declared: number): number | undefined {
  if (declared > 0) return declared;
  if (type.kind !== 'int') return undefined;
  const { bits, size } = type as BtfInt;
  return bits < size * 8 ? bits : undefined;
}

function bitfield(bytes: Uint8Array, bitOffset: number, bits: number, signed: boolean): BtfValue {
  const first = Math.floor(bitOffset / 8);
  const raw = unsigned(bytes.subarray(first, first + 9), 9) >> BigInt(bitOffset % 8);
  return narrow(signed ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw));
}
