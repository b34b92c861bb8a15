import { describe, expect, it } from '@jest/globals';
import { Btf, BtfError, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import {
  array,
  btfOf,
  datasec,
  declTag,
  EVERY_KIND,
  enumeration,
  float,
  func,
  fwd,
  INT,
  int,
  proto,
  ptr,
  qualified,
  struct,
  typedef,
  typeTag,
  union,
  variable,
} from './sample.js';

function faultOf(btf: Btf): string {
  try {
    btf.validate();
  } catch (error) {
    if (error instanceof BtfError) return error.detail;
    throw error;
  }
  return 'none';
}

const chain = (length: number): BtfType[] =>
  Array.from({ length }, (_, i) => (i === length - 1 ? INT : qualified('const', i + 2)));

const nested = (depth: number): BtfType[] =>
  Array.from({ length: depth }, (_, i) => (i === depth - 1 ? INT : struct(`s${i}`, 4, ['m', i + 2, 0])));

describe('types that the kernel accepts', () => {
  it.each<[string, BtfType[]]>([
    ['every kind', [...EVERY_KIND]],
    ['a list through a pointer', [INT, struct('node', 8, ['next', 3, 0]), ptr(2)]],
    ['a flexible array', [INT, struct('s', 4, ['n', 1, 0], ['rest', 3, 32]), array(1, 0)]],
    ['a pointer to a declaration', [INT, fwd('f'), ptr(2)]],
    ['a typedef of void', [typedef('nothing', 0)]],
    ['an old-style bit-field', [int('int', 4, 1, 3, 5), struct('s', 4, ['a', 1, 0])]],
    ['tags before qualifiers', [INT, qualified('const', 1), typeTag('t', 2), ptr(3)]],
    ['32 structs in each other', nested(32)],
    ['names with dots', [INT, variable('x.1', 1)]],
  ])('%s', (_what, types) => {
    expect(faultOf(btfOf(types))).toBe('none');
  });
});

describe('types that the kernel refuses', () => {
  it.each<[string, BtfType[]]>([
    // a record by itself
    ['[1] typedef (anon): invalid name', [typedef('', 0)]],
    ['[1] typedef 1x: invalid name', [typedef('1x', 0)]],
    ['[2] var a-b: invalid name', [INT, variable('a-b', 1)]],
    ['[1] int int: 33 bits exceed the 4 bytes of the type', [int('int', 4, 1, 33)]],
    ['[1] int int: unsupported encoding 3', [int('int', 4, 3)]],
    ['[1] int int: 129 bits exceed 128', [int('int', 32, 0, 129)]],
    ['[2] array (anon): invalid element type', [INT, array(0, 1)]],
    ['[2] array (anon): invalid index type', [INT, array(1, 1, 0)]],
    ['[2] struct s: member a has an invalid type id', [INT, struct('s', 4, ['a', 0, 0])]],
    [
      '[2] struct s: member b lies before the one that precedes it',
      [INT, struct('s', 8, ['a', 1, 32], ['b', 1, 0])],
    ],
    ['[2] struct s: member a lies outside its struct', [INT, struct('s', 4, ['a', 1, 40])]],
    ['[2] struct s: member - has an invalid name', [INT, struct('s', 4, ['-', 1, 0])]],
    ['[2] union u: member a of a union has an offset', [INT, union('u', 8, ['a', 1, 32])]],
    ['[1] enum e: unexpected size 3', [enumeration('e', { A: 1 }, { size: 3 })]],
    ['[1] enum e: enumerator 0 has an invalid name', [enumeration('e', { '': 1 })]],
    ['[2] func f: invalid linkage 2', [proto(0), func('f', 1, 2)]],
    ['[2] var v: linkage 2 is not supported', [INT, variable('v', 1, 2)]],
    ['[1] float f: invalid size 3', [float('f', 3)]],
    ['[3] datasec .data: size is 0', [INT, variable('v', 1), datasec('.data', 0, [2, 0, 4])]],
    [
      '[3] datasec .data: variable 1 has an invalid offset',
      [INT, variable('v', 1), datasec('.data', 8, [2, 0, 4], [2, 2, 4])],
    ],
    [
      '[3] datasec .data: variable 0 has an invalid size',
      [INT, variable('v', 1), datasec('.data', 4, [2, 0, 8])],
    ],
    [
      '[3] datasec .data: variable 0 ends outside the section',
      [INT, variable('v', 1), datasec('.data', 6, [2, 4, 4])],
    ],
    ['[2] decl_tag t: invalid component index -2', [INT, declTag('t', 1, -2)]],
    ['[2] type_tag (anon): invalid name', [INT, typeTag('', 1)]],
    // between records
    ['[1] ptr (anon): invalid type id', [ptr(9)]],
    ['[3] ptr (anon): invalid type id', [INT, variable('v', 1), ptr(2)]],
    ['[3] ptr (anon): invalid type id', [proto(0), func('f', 1), ptr(2)]],
    ['[2] var v: invalid type id', [fwd('f'), variable('v', 1)]],
    ['[2] struct s: member f has an invalid type', [fwd('f'), struct('s', 4, ['f', 1, 0])]],
    ['[3] struct s: member f has no size', [fwd('f'), typedef('t', 1), struct('s', 4, ['f', 2, 0])]],
    ['[2] struct s: member a exceeds its struct', [INT, struct('s', 3, ['a', 1, 0])]],
    ['[3] struct s: member p is not byte aligned', [INT, ptr(1), struct('s', 16, ['p', 2, 4])]],
    ['[2] struct s: member a has an invalid bit-field size', [INT, struct('s', 8, ['a', 1, 0, 33])]],
    ['[3] struct s: member p has an invalid bit-field size', [INT, ptr(1), struct('s', 8, ['p', 2, 0, 3])]],
    [
      '[2] struct s: member a has an invalid base type',
      [int('int', 4, 1, 3), struct('s', 4, ['a', 1, 0, 2])],
    ],
    ['[3] array (anon): invalid index type', [INT, struct('s', 4, ['a', 1, 0]), array(1, 1, 2)]],
    ['[2] array (anon): array size exceeds 4 GiB', [INT, array(1, 0x40000000)]],
    ['[2] func f: invalid type id', [INT, func('f', 1)]],
    ['[3] func f: invalid argument 1', [INT, proto(0, ['', 1]), func('f', 2)]],
    ['[2] func_proto (anon): invalid return type', [fwd('f'), proto(1)]],
    ['[2] func_proto (anon): invalid argument 1', [fwd('f'), proto(0, ['a', 1])]],
    ['[2] func_proto (anon): invalid argument 1', [INT, proto(0, ['x', 0])]],
    ['[2] datasec .data: entry 0 is no variable', [INT, datasec('.data', 4, [1, 0, 4])]],
    ['[3] datasec .data: variable v is too small', [INT, variable('v', 1), datasec('.data', 4, [2, 0, 2])]],
    ['[2] decl_tag t: invalid type id', [INT, declTag('t', 1)]],
    ['[3] decl_tag t: invalid component index 1', [INT, struct('s', 4, ['a', 1, 0]), declTag('t', 2, 1)]],
    ["[3] const (anon): type tags don't precede modifiers", [INT, typeTag('t', 1), qualified('const', 2)]],
  ])('%s', (fault, types) => {
    expect(faultOf(btfOf(types))).toBe(fault);
  });

  it.each<[string, BtfType[]]>([
    ['[1] typedef a: loop detected', [typedef('a', 2), qualified('const', 1)]],
    ['[1] ptr (anon): loop detected', [ptr(2), qualified('const', 1)]],
    ['[1] struct s: loop detected', [struct('s', 4, ['m', 1, 0])]],
    ['[2] array (anon): loop detected', [INT, array(2, 1)]],
    ['[1] struct a: loop detected', [struct('a', 4, ['m', 2, 0]), struct('b', 4, ['m', 1, 0])]],
    ['[33] struct s32: nests deeper than 32', nested(34)],
    ['[33] const (anon): nests deeper than 32', chain(40)],
  ])('loops and depths: %s', (fault, types) => {
    expect(faultOf(btfOf(types))).toBe(fault);
  });
});

describe('what the encoder cannot say', () => {
  const patched = (offset: number, value: number): Btf => {
    const bytes = encodeBtf([INT, struct('s', 4, ['m', 1, 0]), fwd('f'), array(1, 2)]);
    new DataView(bytes.buffer).setUint32(offset, value, true);
    return Btf.parse(bytes);
  };
  const INT_AT = 24;
  const STRUCT_AT = INT_AT + 16;
  const FWD_AT = STRUCT_AT + 24;
  const ARRAY_AT = FWD_AT + 12;

  it.each([
    ['flags 1 are not supported', 0, 0x0101eb9f],
    ['[1] int int: invalid info word 0x1010000', INT_AT + 4, 0x01010000],
    ['[1] int int: kind_flag is set', INT_AT + 4, 0x81000000],
    ['[1] int int: vlen is not 0', INT_AT + 4, 0x01000001],
    ['[1] int int: invalid integer data 0x11000020', INT_AT + 12, 0x11000020],
    ['[2] struct (anon): invalid name', STRUCT_AT, 4],
    ['[3] fwd f: type is not 0', FWD_AT + 8, 1],
    ['[4] array (anon): size is not 0', ARRAY_AT + 8, 1],
    ['string offset 99 is past the strings, which end at 11', STRUCT_AT, 99],
  ])('%s', (fault, offset, value) => {
    expect(faultOf(patched(offset, value))).toBe(fault);
  });

  it('refuses bytes that belong to no section', () => {
    const bytes = encodeBtf([INT]);
    const longer = new Uint8Array(bytes.length + 4);
    longer.set(bytes);
    expect(faultOf(Btf.parse(longer))).toBe('there are bytes outside the type and string sections');
  });
});
