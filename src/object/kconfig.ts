/**
 * Values of `.kconfig` variables, from kernel configuration lines and from what is known of the target
 * (libbpf's `bpf_object__resolve_externs` and `set_kcfg_value_*`).
 */
import type { Endian } from '../isa/insn.js';
import { ObjectError } from './errors.js';
import { KCONFIG_SECTION } from './externs.js';
import type { Extern } from './types.js';

/** `KERNEL_VERSION(6, 18, 0)`. */
export const DEFAULT_KERNEL_VERSION = (6 << 16) | (18 << 8);

export interface KconfigInput {
  /** Lines `CONFIG_X=value` as in a kernel's `.config`, or the same as a record. */
  readonly kconfig?: string | Readonly<Record<string, string>>;
  /** What `LINUX_KERNEL_VERSION` reads, as `KERNEL_VERSION(a, b, c)`; default 6.18.0. */
  readonly kernelVersion?: number;
}

/** Variables that the loader knows itself; the last two hold on every kernel since 5.15, and on x86-64 or arm64. */
const virtualValues = (kernelVersion: number): Readonly<Record<string, bigint>> => ({
  LINUX_KERNEL_VERSION: BigInt(kernelVersion),
  LINUX_HAS_BPF_COOKIE: 1n,
  LINUX_HAS_SYSCALL_WRAPPER: 1n,
});

export interface KconfigResult {
  /** Contents of the `.kconfig` map. */
  readonly data: Uint8Array;
  /** Strong variables without a value, by name. */
  readonly missing: ReadonlyMap<string, ObjectError>;
}

/** Fills the `.kconfig` map. Throws `OBJECT_BAD_KCONFIG` for a value that its variable cannot hold. */
export function fillKconfig(
  externs: readonly Extern[],
  size: number,
  endian: Endian,
  input: KconfigInput,
): KconfigResult {
  const data = new Uint8Array(size);
  const missing = new Map<string, ObjectError>();
  const config =
    typeof input.kconfig === 'string'
      ? parseConfig(input.kconfig)
      : new Map(Object.entries(input.kconfig ?? {}));
  const known = virtualValues(input.kernelVersion ?? DEFAULT_KERNEL_VERSION);
  for (const extern of externs) {
    if (extern.kconfig === undefined) continue;
    const { name } = extern;
    const value = config.get(name);
    if (value !== undefined) writeText(extern, value, data, endian);
    else if (Object.hasOwn(known, name)) writeNumber(extern, known[name]!, data, endian);
    else if (!extern.weak || !/^(CONFIG|LINUX)_/.test(name)) missing.set(name, missingError(name));
  }
  return { data, missing };
}

function missingError(name: string): ObjectError {
  const how = name.startsWith('CONFIG_')
    ? `give the kernel's configuration with a line ${name}=…`
    : 'only CONFIG_ and LINUX_ names are known';
  return new ObjectError('OBJECT_UNRESOLVED_EXTERN', `no value for this variable: ${how}`, {
    section: KCONFIG_SECTION,
    symbol: name,
  });
}

function parseConfig(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (!line.startsWith('CONFIG_')) continue;
    const equals = line.indexOf('=');
    const value = line.slice(equals + 1).trimEnd();
    if (equals < 0 || value === '') {
      throw new ObjectError('OBJECT_BAD_KCONFIG', `configuration line "${line.slice(0, 80)}" has no value`);
    }
    const name = line.slice(0, equals);
    if (!values.has(name)) values.set(name, value);
  }
  return values;
}

const bad = (extern: Extern, detail: string): ObjectError =>
  new ObjectError('OBJECT_BAD_KCONFIG', detail, { section: KCONFIG_SECTION, symbol: extern.name });

function writeText(extern: Extern, value: string, data: Uint8Array, endian: Endian): void {
  if (value === 'y' || value === 'm' || value === 'n') writeTristate(extern, value, data, endian);
  else if (value.startsWith('"')) writeString(extern, value, data);
  else {
    const { kind } = extern.kconfig!;
    if (!/^-?(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(value)) throw bad(extern, `"${value}" is no number`);
    if (kind !== 'int' && kind !== 'char') throw bad(extern, `the number ${value} does not fit a ${kind}`);
    writeNumber(extern, parseInteger(value), data, endian);
  }
}

/** As C's strtoull with base 0: hexadecimal with 0x, octal with a leading 0; a minus sign wraps. */
function parseInteger(value: string): bigint {
  const digits = value.replace(/^-/, '');
  const octal = /^0[0-7]+$/.test(digits);
  const number = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  return BigInt.asUintN(64, value.startsWith('-') ? -number : number);
}

function writeTristate(extern: Extern, value: 'y' | 'm' | 'n', data: Uint8Array, endian: Endian): void {
  const { kind, offset, size } = extern.kconfig!;
  switch (kind) {
    case 'bool':
      if (value === 'm') throw bad(extern, 'the value m needs a tristate or char variable, this is a bool');
      data[offset] = value === 'y' ? 1 : 0;
      return;
    case 'tristate':
      putInteger(data, offset, size, { y: 1n, m: 2n, n: 0n }[value], endian);
      return;
    case 'char':
      data[offset] = value.charCodeAt(0);
      return;
    default:
      throw bad(extern, `the value ${value} needs a bool, tristate or char variable, this is ${kind}`);
  }
}

/** Longer strings are cut, as libbpf does; the last byte is always NUL. */
function writeString(extern: Extern, value: string, data: Uint8Array): void {
  const { kind, offset, size } = extern.kconfig!;
  if (kind !== 'string') throw bad(extern, `the string ${value} needs a char array, this is ${kind}`);
  if (value.length < 2 || !value.endsWith('"')) throw bad(extern, `the string ${value} is not closed`);
  data.set(new TextEncoder().encode(value.slice(1, -1)).subarray(0, size - 1), offset);
}

function writeNumber(extern: Extern, value: bigint, data: Uint8Array, endian: Endian): void {
  const { kind, offset, size, signed } = extern.kconfig!;
  if (kind !== 'int' && kind !== 'char' && kind !== 'bool')
    throw bad(extern, `the number ${value} does not fit a ${kind}`);
  if (kind === 'bool' && value > 1n) throw bad(extern, `the number ${value} is no bool`);
  const bits = size * 8;
  const fits = signed
    ? BigInt.asUintN(64, BigInt.asIntN(bits, value)) === value
    : BigInt.asUintN(bits, value) === value;
  if (!fits) throw bad(extern, `the number ${value} does not fit ${size} bytes`);
  putInteger(data, offset, size, value, endian);
}

function putInteger(data: Uint8Array, offset: number, size: number, value: bigint, endian: Endian): void {
  for (let i = 0; i < size; i++) {
    const shift = BigInt(8 * (endian === 'little' ? i : size - 1 - i));
    data[offset + i] = Number((value >> shift) & 0xffn);
  }
}
