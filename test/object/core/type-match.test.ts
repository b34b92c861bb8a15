import { describe, expect, it } from '@jest/globals';
import type { BtfType } from '../../../src/object/btf/index.js';
import { Budget } from '../../../src/object/core/budget.js';
import { CoreError } from '../../../src/object/core/index.js';
import { typesMatch } from '../../../src/object/core/type-match.js';
import {
  array,
  btfOf,
  enumeration,
  float,
  fwd,
  INT,
  int,
  proto,
  ptr,
  qualified,
  struct,
  typedef,
  union,
} from '../btf/sample.js';

const matches = (local: readonly BtfType[], target: readonly BtfType[]): boolean =>
  typesMatch({ btf: btfOf(local), id: 1 }, { btf: btfOf(target), id: 1 }, new Budget());

describe('bpf_core_type_matches', () => {
  const inPtr = (type: BtfType): BtfType[] => [ptr(2), type, INT];

  it.each<[string, BtfType[], BtfType[], boolean]>([
    ['equal integers', [INT], [INT], true],
    ['integers of another size', [INT], [int('int', 8, 1)], false],
    ['integers of another sign', [INT], [int('int', 4, 0)], false],
    ['integers of another name', [INT], [int('s32', 4, 1)], false],
    ['typedefs are looked through', [typedef('a', 2), INT], [qualified('const', 2), INT], true],
    ['void', [ptr(0)], [ptr(0)], true],
    ['void and int', [ptr(0)], [ptr(2), INT], false],
    ['floats are not asked about', [float('f', 4)], [float('f', 4)], false],
    ['arrays of one length', [array(2, 3), INT], [array(2, 3), INT], true],
    ['arrays of another length', [array(2, 3), INT], [array(2, 4), INT], false],

    [
      'a struct with more in the target',
      [struct('s', 4, ['a', 2, 0]), INT],
      [struct('s', 8, ['z', 2, 0], ['a', 2, 32]), INT],
      true,
    ],
    [
      'a struct with less in the target',
      [struct('s', 8, ['a', 2, 0], ['b', 2, 32]), INT],
      [struct('s', 4, ['a', 2, 0]), INT],
      false,
    ],
    [
      'a member of another type',
      [struct('s', 4, ['a', 2, 0]), INT],
      [struct('s', 8, ['a', 2, 0]), ptr(0)],
      false,
    ],
    [
      'a member of another name',
      [struct('s', 4, ['a', 2, 0]), INT],
      [struct('s', 4, ['b', 2, 0]), INT],
      false,
    ],
    ['flavoured names', [struct('s___1', 4, ['a___x', 2, 0]), INT], [struct('s', 4, ['a', 2, 0]), INT], true],
    ['struct and union', [struct('s', 4, ['a', 2, 0]), INT], [union('s', 4, ['a', 2, 0]), INT], false],
    [
      'one of several of the name',
      [struct('s', 4, ['', 2, 0]), INT],
      [struct('s', 16, ['', 3, 0], ['', 2, 64]), INT, ptr(0)],
      true,
    ],
    [
      'anonymous members, in any order',
      [struct('s', 4, ['', 2, 0]), struct('', 4, ['a', 3, 0]), INT],
      [struct('s', 8, ['', 3, 0], ['', 2, 32]), struct('', 4, ['a', 4, 0]), struct('', 4, ['b', 4, 0]), INT],
      true,
    ],

    [
      'behind a pointer, members do not count',
      inPtr(struct('s', 4, ['a', 3, 0])),
      inPtr(struct('s', 4, ['b', 3, 0])),
      true,
    ],
    ['behind a pointer, the name counts', inPtr(struct('s', 4)), inPtr(struct('t', 4)), false],
    ['behind a pointer, the kind counts', inPtr(struct('s', 4)), inPtr(union('s', 4)), false],
    ['behind a pointer, a declaration will do there', inPtr(struct('s', 4)), inPtr(fwd('s')), true],
    ['behind a pointer, a declaration will do here', inPtr(fwd('s', 'union')), inPtr(union('s', 4)), true],
    ['behind a pointer, of the right sort', inPtr(fwd('s', 'union')), inPtr(struct('s', 4)), false],
    ['behind a pointer, no enum', inPtr(fwd('s')), inPtr(enumeration('s', { A: 1 })), false],
    ['declarations by themselves', [fwd('s')], [fwd('s')], true],
    ['declarations of unlike sorts', [fwd('s')], [fwd('s', 'union')], false],
    ['a declaration and a struct', [fwd('s')], [struct('s', 4)], false],

    [
      'an enum with more in the target',
      [enumeration('e', { A: 1 })],
      [enumeration('e', { B: 5, A___2: 9 })],
      true,
    ],
    [
      'an enum with less in the target',
      [enumeration('e', { A: 1, B: 2 })],
      [enumeration('e', { A: 1 })],
      false,
    ],
    ['an enumerator of another name', [enumeration('e', { A: 1 })], [enumeration('e', { B: 1 })], false],
    [
      'an enum of another size',
      [enumeration('e', { A: 1 })],
      [enumeration('e', { A: 1 }, { size: 8 })],
      false,
    ],
    ['an enum and an int', [enumeration('e', { A: 1 })], [int('e', 4)], false],

    ['signatures', [proto(2, ['a', 2]), INT], [proto(2, ['b', 2]), INT], true],
    ['signatures of other lengths', [proto(2, ['a', 2]), INT], [proto(2), INT], false],
    [
      'signatures of other parameters',
      [proto(0, ['a', 2]), INT],
      [proto(0, ['a', 2]), int('int', 8, 1)],
      false,
    ],
    ['signatures of other results', [proto(2), INT], [proto(0), INT], false],
  ])('%s', (_what, local, target, expected) => {
    expect(matches(local, target)).toBe(expected);
  });

  it.each<[string, BtfType[]]>([
    ['a pointer to itself', [ptr(1)]],
    ['an array of itself', [array(1, 1)]],
    ['a struct in itself', [struct('s', 4, ['a', 1, 0])]],
    [
      '2^31 ways to look',
      Array.from({ length: 31 }, (_, i) => struct('', 4, ['', i + 2, 0], ['', i + 2, 0])).concat(INT),
    ],
  ])('%s ends in an error', (_what, types) => {
    let caught: unknown;
    try {
      matches(types, types.length > 2 ? types.with(-1, int('int', 8, 1)) : types);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(CoreError);
    expect(caught).toMatchObject({ code: 'CORE_TOO_COMPLEX' });
  });
});
