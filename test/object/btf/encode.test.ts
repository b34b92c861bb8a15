import { describe, expect, it } from '@jest/globals';
import { Btf, type BtfType, encodeBtf, reduceBtf } from '../../../src/object/btf/index.js';
import {
  array,
  btfOf,
  EVERY_KIND,
  enumeration,
  func,
  fwd,
  INT,
  proto,
  ptr,
  qualified,
  struct,
  typedef,
  union,
} from './sample.js';

describe('encoder', () => {
  it('writes each string once', () => {
    const once = encodeBtf([struct('name', 0)]).length;
    expect(encodeBtf([struct('name', 0), struct('name', 0)]).length).toBe(once + 12);
  });

  it('writes an empty BTF that opens', () => {
    expect(Btf.parse(encodeBtf([])).typeCount).toBe(1);
  });

  it.each<[string, BtfType]>([
    ['void is not encoded, it is id 0', { kind: 'void', name: '' }],
    ['a name holds a NUL byte', typedef('a\0b', 0)],
    ['size or type -1 does not fit 32 bits', ptr(-1)],
    ['array length 4294967296 does not fit 32 bits', array(1, 2 ** 32)],
    ['enumerator A = 4294967296 does not fit enum', enumeration('e', { A: 1n << 32n })],
    ['enumerator A = -1 does not fit enum', enumeration('e', { A: -1 })],
    ['enumerator A = 2147483648 does not fit enum', enumeration('e', { A: 1n << 31n }, { signed: true })],
    ['member m of s lies too far for a bit-field struct', struct('s', 4, ['m', 1, 2 ** 24, 1])],
    ['big has 65536 elements, over 65535', struct('big', 0, ...Array(65536).fill(['m', 1, 0]))],
  ])('refuses: %s', (detail, type) => {
    expect(() => encodeBtf([type])).toThrow(detail);
  });
});

describe('reducer', () => {
  const btf = btfOf([
    INT, // 1
    struct('root', 48, ['inner', 3, 0], ['far', 5, 64], ['', 7, 128], ['fn', 9, 256], ['me', 12, 320]), // 2
    typedef('inner_t', 4), // 3
    struct('inner', 4, ['x', 1, 0]), // 4
    ptr(6), // 5
    struct('far', 8, ['more', 5, 0]), // 6
    union('', 16, ['named', 8, 0], ['e', 13, 0]), // 7
    array(5, 2), // 8
    ptr(10), // 9
    proto(3, ['a', 11], ['b', 14]), // 10
    qualified('const', 5), // 11
    ptr(2), // 12
    enumeration('e', { A: 1 }), // 13
    struct('by_value', 4, ['x', 1, 0]), // 14
    struct('unrelated', 4, ['x', 1, 0]), // 15
    func('unrelated_fn', 10), // 16
  ]);

  it('keeps roots and what lies in them, declares what they point to', () => {
    const small = Btf.parse(reduceBtf(btf, [2]));
    small.validate();
    const names = [...small.types()].map(([, { kind, name }]) => `${kind} ${name}`.trim());
    expect(names).toEqual([
      'int int',
      'struct root',
      'typedef inner_t',
      'struct inner',
      'ptr',
      'fwd far',
      'union',
      'array',
      'ptr',
      'func_proto',
      'const',
      'ptr',
      'enum e',
      'struct by_value',
    ]);
    const root = small.findByName('root')!;
    for (const member of ['inner', 'far', 'named', 'fn', 'me']) {
      expect(small.findMember(root, member)!.bitOffset).toBe(btf.findMember(2, member)!.bitOffset);
    }
    expect(small.sizeOf(root)).toBe(48);
  });

  it('keeps a pointee that is a root itself', () => {
    const small = Btf.parse(reduceBtf(btf, [2, 6]));
    expect(small.kindOf(small.findByName('far')!)).toBe('struct');
  });

  it('keeps whole what is both pointed to and held by value', () => {
    const both = btfOf([
      INT,
      struct('x', 4, ['i', 1, 0]),
      ptr(4),
      qualified('const', 2),
      struct('r', 16, ['p', 3, 0], ['v', 4, 64]),
    ]);
    const small = Btf.parse(reduceBtf(both, [5]));
    expect([...small.types()].map(([, type]) => type)).toEqual([...both.types()].map(([, type]) => type));
  });

  it('keeps the byte order', () => {
    expect(Btf.parse(reduceBtf(btfOf(EVERY_KIND, 'big'), [5])).endian).toBe('big');
  });

  it('keeps declarations and nothing else of an unknown struct', () => {
    const small = Btf.parse(reduceBtf(btfOf([fwd('f'), ptr(1)]), [2]));
    expect([...small.types()].map(([, type]) => type)).toEqual([fwd('f'), ptr(1)]);
  });
});
