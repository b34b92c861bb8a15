/**
 * Types for tests, written shorter than `BtfType` spells them. `sample()` builds one BTF that holds every
 * kind; ids are what `add` returns, so that tables can refer to them by name.
 */

import type { Endian } from '../../../src/isa/insn.js';
import { Btf, type BtfMember, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { intType } from '../../support/btf-types.js';

export const int = (name: string, size: number, encoding = 0, bits?: number, bitOffset?: number): BtfType =>
  intType(name, size, encoding, bits, bitOffset);

export const ptr = (type: number): BtfType => ({ kind: 'ptr', name: '', type });

export const array = (type: number, count: number, indexType = 1): BtfType => ({
  kind: 'array',
  name: '',
  type,
  indexType,
  count,
});

/** Name, type, offset in bits, width of a bit-field. */
export type MemberTuple = readonly [name: string, type: number, bitOffset: number, bitfieldSize?: number];

const members = (list: readonly MemberTuple[]): BtfMember[] =>
  list.map(([name, type, bitOffset, bitfieldSize = 0]) => ({ name, type, bitOffset, bitfieldSize }));

export const struct = (name: string, size: number, ...list: readonly MemberTuple[]): BtfType => ({
  kind: 'struct',
  name,
  size,
  kindFlag: list.some(([, , , bits]) => bits !== undefined),
  members: members(list),
});

/** A structure of plain members: name, type, offset in bytes. */
export const structOfBytes = (
  name: string,
  size: number,
  list: readonly (readonly [member: string, type: number, offset: number])[],
): BtfType =>
  struct(name, size, ...list.map(([member, type, offset]) => [member, type, 8 * offset] as const));

export const union = (name: string, size: number, ...list: readonly MemberTuple[]): BtfType => ({
  ...(struct(name, size, ...list) as Extract<BtfType, { kind: 'struct' | 'union' }>),
  kind: 'union',
});

export const enumeration = (
  name: string,
  values: Readonly<Record<string, bigint | number>>,
  { size = 4, signed = false } = {},
): BtfType => ({
  kind: size === 8 ? 'enum64' : 'enum',
  name,
  size,
  signed,
  values: Object.entries(values).map(([key, value]) => ({ name: key, value: BigInt(value) })),
});

export const typedef = (name: string, type: number): BtfType => ({ kind: 'typedef', name, type });

export const qualified = (kind: 'const' | 'volatile' | 'restrict', type: number): BtfType => ({
  kind,
  name: '',
  type,
});

export const fwd = (name: string, of: 'struct' | 'union' = 'struct'): BtfType => ({ kind: 'fwd', name, of });

export const proto = (
  type: number,
  ...params: readonly (readonly [name: string, type: number])[]
): BtfType => ({
  kind: 'func_proto',
  name: '',
  type,
  params: params.map(([name, param]) => ({ name, type: param })),
});

export const func = (name: string, type: number, linkage = 1): BtfType => ({
  kind: 'func',
  name,
  type,
  linkage,
});

export const variable = (name: string, type: number, linkage = 1): BtfType => ({
  kind: 'var',
  name,
  type,
  linkage,
});

export const datasec = (
  name: string,
  size: number,
  ...vars: readonly (readonly [type: number, offset: number, size: number])[]
): BtfType => ({
  kind: 'datasec',
  name,
  size,
  vars: vars.map(([type, offset, varSize]) => ({ type, offset, size: varSize })),
});

export const float = (name: string, size: number): BtfType => ({ kind: 'float', name, size });

export const declTag = (name: string, type: number, componentIndex = -1, attribute = false): BtfType => ({
  kind: 'decl_tag',
  name,
  type,
  componentIndex,
  attribute,
});

export const typeTag = (name: string, type: number, attribute = false): BtfType => ({
  kind: 'type_tag',
  name,
  type,
  attribute,
});

/** Type 1 of most samples. */
export const INT = int('int', 4, 1);

export function btfOf(types: readonly BtfType[], endian: Endian = 'little', base?: Btf): Btf {
  const bytes = encodeBtf(types, base === undefined ? { endian } : { endian, base });
  return Btf.parse(bytes, base === undefined ? {} : { base });
}

/** One of every kind, ids from 1 in this order. */
export const EVERY_KIND: readonly BtfType[] = [
  INT,
  int('char', 1, 1),
  ptr(2),
  array(2, 16),
  struct('s', 24, ['a', 1, 0], ['text', 4, 32], ['', 6, 160]),
  union('', 4, ['u', 1, 0], ['f', 17, 0]),
  enumeration('e', { LOW: -1, HIGH: 2147483647 }, { signed: true }),
  enumeration('big', { MIN: -(1n << 63n), MAX: (1n << 63n) - 1n }, { size: 8, signed: true }),
  fwd('later', 'union'),
  typedef('s_t', 5),
  qualified('const', 10),
  qualified('volatile', 11),
  qualified('restrict', 3),
  proto(1, ['arg', 3], ['', 0]),
  func('main', 14),
  variable('counter', 1),
  float('float', 4),
  datasec('.data', 4, [16, 0, 4]),
  declTag('user', 5, 1),
  typeTag('percpu', 1),
  declTag('aligned(8)', 5, -1, true),
  typeTag('address_space(1)', 0, true),
  struct('bits', 4, ['one', 1, 0, 1], ['rest', 1, 1, 31]),
  enumeration('unsigned', { ALL: 0xffffffff }),
];
