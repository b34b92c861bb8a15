import { describe, expect, it } from '@jest/globals';
import { Btf, BtfError, type BtfErrorCode, type BtfKind, encodeBtf } from '../../../src/object/btf/index.js';
import {
  array,
  btfOf,
  EVERY_KIND,
  enumeration,
  fwd,
  INT,
  int,
  proto,
  ptr,
  qualified,
  struct,
  typedef,
  union,
  variable,
} from './sample.js';

function codeOf(body: () => unknown): BtfErrorCode | 'none' {
  try {
    body();
  } catch (error) {
    if (error instanceof BtfError) return error.code;
    throw error;
  }
  return 'none';
}

describe.each(['little', 'big'] as const)('%s-endian BTF', (endian) => {
  const btf = btfOf(EVERY_KIND, endian);

  it('gives back every kind as it was written', () => {
    expect(btf.endian).toBe(endian);
    expect(btf.typeCount).toBe(EVERY_KIND.length + 1);
    expect([...btf.types()]).toEqual(EVERY_KIND.map((type, i) => [i + 1, type]));
  });

  it('answers kind, name and length without decoding', () => {
    for (const [i, type] of EVERY_KIND.entries()) {
      expect([btf.kindOf(i + 1), btf.nameOf(i + 1)]).toEqual([type.kind, type.name]);
    }
    expect(btf.vlenOf(5)).toBe(3);
    expect(btf.type(0)).toEqual({ kind: 'void', name: '' });
  });

  it('encodes to the same bytes again', () => {
    expect(encodeBtf(EVERY_KIND, { endian })).toEqual(btf.bytes);
  });
});

describe('sizes, alignments and chains', () => {
  const types = [
    INT, // 1
    int('char', 1, 1), // 2
    ptr(8), // 3
    array(3, 4), // 4
    struct('mixed', 24, ['c', 2, 0], ['p', 3, 64], ['i', 1, 128]), // 5
    struct('packed', 5, ['c', 2, 0], ['i', 1, 8]), // 6
    union('u', 8, ['c', 2, 0], ['p', 3, 0]), // 7
    typedef('mixed_t', 9), // 8
    qualified('const', 5), // 9
    array(4, 0), // 10
    enumeration('e', { A: 1 }, { size: 8 }), // 11
    variable('v', 8), // 12
    fwd('f'), // 13
    proto(0), // 14
    typedef('loop', 16), // 15
    qualified('const', 15), // 16
    array(17, 1), // 17: of itself
    array(1, 0x3fffffff), // 18
    struct('self', 8, ['me', 19, 0]), // 19
    struct('short', 6, ['i', 1, 0]), // 20
  ];
  const btf = btfOf(types);

  it.each([
    [1, 4, 4],
    [3, 8, 8],
    [4, 32, 8],
    [5, 24, 8],
    [6, 5, 1],
    [7, 8, 8],
    [8, 24, 8],
    [10, 0, 8],
    [11, 8, 8],
    [12, 24, 8],
    [20, 6, 1],
  ])('type %i takes %i bytes aligned to %i', (id, size, align) => {
    expect([btf.sizeOf(id), btf.alignOf(id)]).toEqual([size, align]);
  });

  it.each<[number, BtfErrorCode, BtfErrorCode]>([
    [0, 'BTF_NO_SIZE', 'BTF_NO_SIZE'],
    [13, 'BTF_NO_SIZE', 'BTF_NO_SIZE'],
    [14, 'BTF_NO_SIZE', 'BTF_NO_SIZE'],
    [15, 'BTF_LOOP', 'BTF_LOOP'],
    [17, 'BTF_LOOP', 'BTF_LOOP'],
    [21, 'BTF_ID', 'BTF_ID'],
    [-1, 'BTF_ID', 'BTF_ID'],
    [1.5, 'BTF_ID', 'BTF_ID'],
  ])('type %d has no size: %s', (id, size, align) => {
    expect([codeOf(() => btf.sizeOf(id)), codeOf(() => btf.alignOf(id))]).toEqual([size, align]);
  });

  it('refuses sizes past 4 GiB and structs that hold themselves', () => {
    expect(codeOf(() => btf.sizeOf(18))).toBe('none');
    expect(codeOf(() => btfOf([INT, array(1, 0x40000000)]).sizeOf(2))).toBe('BTF_NO_SIZE');
    expect(codeOf(() => btf.alignOf(19))).toBe('BTF_LOOP');
  });

  it('skips qualifiers, and typedefs when asked', () => {
    expect([btf.skipModifiers(9), btf.skipModifiers(8)]).toEqual([5, 8]);
    expect(btf.skipModifiersAndTypedefs(8)).toBe(5);
    expect(codeOf(() => btf.skipModifiersAndTypedefs(15))).toBe('BTF_LOOP');
  });

  it('takes the pointer size from long', () => {
    const narrow = btfOf([int('long unsigned int', 4), ptr(1), struct('s', 8, ['a', 2, 0], ['b', 2, 32])]);
    expect([narrow.pointerSize, narrow.sizeOf(2), narrow.alignOf(3)]).toEqual([4, 4, 4]);
  });
});

describe('members', () => {
  const btf = btfOf([
    INT,
    union('', 8, ['x', 1, 0], ['', 3, 0]),
    struct('', 8, ['y', 1, 0], ['z', 1, 32]),
    struct('outer', 16, ['a', 1, 0], ['', 2, 64]),
    typedef('outer_t', 4),
    struct('', 4, ['', 6, 0], ['', 6, 0]),
  ]);

  it.each([
    ['a', 4, 0],
    ['x', 2, 64],
    ['z', 3, 96],
  ])('finds %s in type %i at bit %i', (name, owner, bitOffset) => {
    expect(btf.findMember(5, name)).toMatchObject({ owner, bitOffset });
  });

  it('finds nothing where there is nothing', () => {
    expect(btf.findMember(4, 'w')).toBeUndefined();
    expect(btf.findMember(4, '')).toBeUndefined();
    expect(btf.findMember(1, 'a')).toBeUndefined();
    expect(codeOf(() => btf.findMember(6, 'a'))).toBe('BTF_LOOP');
  });
});

describe('names', () => {
  const btf = btfOf([
    INT,
    struct('task', 4, ['pid', 1, 0]),
    struct('task___v2', 4, ['tgid', 1, 0]),
    typedef('task', 2),
    struct('___odd', 4, ['pid', 1, 0]),
    struct('a____b', 4, ['pid', 1, 0]),
    struct('größe', 4, ['pid', 1, 0]),
    struct('x'.repeat(200), 4, ['pid', 1, 0]),
    struct('two___a___b', 4, ['pid', 1, 0]),
  ]);

  it.each<[string, BtfKind | undefined, number | undefined]>([
    ['task', undefined, 2],
    ['task', 'typedef', 4],
    ['task', 'union', undefined],
    ['task___v2', 'struct', 3],
    ['___odd', undefined, 5],
    ['a____b', undefined, 6],
    ['größe', undefined, 7],
    ['x'.repeat(200), undefined, 8],
    ['x'.repeat(199), undefined, undefined],
    ['pid', undefined, undefined],
    ['', undefined, undefined],
  ])('finds %s as %s', (name, kind, id) => {
    expect(btf.findByName(name, kind)).toBe(id);
  });

  it('finds flavours by their essential name', () => {
    expect(btf.idsByEssentialName('task')).toEqual([2, 3, 4]);
    expect(btf.idsByEssentialName('task___other')).toEqual([2, 3, 4]);
    expect(btf.idsByEssentialName('two___a')).toEqual([]);
    expect(btf.idsByEssentialName('two___a___c')).toEqual([9]);
    expect(btf.idsByName('task')).toEqual([2, 4]);
  });
});

describe('split BTF', () => {
  const base = btfOf([INT, struct('s', 4, ['m', 1, 0])]);
  const split = btfOf([ptr(2), struct('s', 8, ['own', 3, 0])], 'little', base);

  it('continues the ids and strings of its base', () => {
    expect([split.firstId, split.typeCount]).toEqual([3, 5]);
    expect(split.type(2)).toEqual(base.type(2));
    expect(split.type(4)).toMatchObject({ name: 's', members: [{ name: 'own', type: 3 }] });
    expect([...split.types()].map(([id]) => id)).toEqual([3, 4]);
    expect(split.idsByName('s')).toEqual([2, 4]);
    expect(split.findByName('s')).toBe(2);
    expect(split.sizeOf(4)).toBe(8);
    expect(() => split.validate()).not.toThrow();
  });

  it('is refused without its base, or with one of the other byte order', () => {
    expect(codeOf(() => Btf.parse(split.bytes))).toBe('BTF_STRING');
    expect(codeOf(() => Btf.parse(split.bytes, { base: btfOf([INT], 'big') }))).toBe('BTF_HEADER');
  });
});

describe('malformed BTF', () => {
  /** Writes 32-bit words into a good BTF; offsets in bytes, the type section starts at 24. */
  const patched = (...words: readonly (readonly [offset: number, value: number])[]): Uint8Array => {
    const bytes = encodeBtf([INT, struct('s', 4, ['m', 1, 0])]);
    const view = new DataView(bytes.buffer);
    for (const [offset, value] of words) view.setUint32(offset, value, true);
    return bytes;
  };

  it.each<[string, Uint8Array, BtfErrorCode]>([
    ['nothing', new Uint8Array(0), 'BTF_MAGIC'],
    ['another magic', patched([0, 0x0001eb90]), 'BTF_MAGIC'],
    ['a cut header', patched().subarray(0, 23), 'BTF_MAGIC'],
    ['version 2', patched([0, 0x0002eb9f]), 'BTF_HEADER'],
    ['a header length past the end', patched([4, 1000]), 'BTF_HEADER'],
    ['a header length of 8', patched([4, 8]), 'BTF_HEADER'],
    ['types at an odd place', patched([8, 2]), 'BTF_HEADER'],
    ['types that reach into the strings', patched([12, 60]), 'BTF_HEADER'],
    ['a type section of 4 GiB', patched([12, 0xfffffffc]), 'BTF_HEADER'],
    ['strings past the end', patched([20, 1000]), 'BTF_HEADER'],
    ['no strings', patched([20, 0]), 'BTF_STRING'],
    ['strings without an end', patched([20, 3]), 'BTF_STRING'],
    ['a record cut off', patched([12, 36]), 'BTF_TRUNCATED'],
    ['a record header cut off', patched([12, 20]), 'BTF_TRUNCATED'],
    ['65535 members', patched([24 + 16 + 4, 0x0400ffff]), 'BTF_TRUNCATED'],
    ['kind 0', patched([28, 0]), 'BTF_KIND'],
    ['kind 20', patched([28, 0x14000000]), 'BTF_KIND'],
    ['kind 127', patched([28, 0x7f000000]), 'BTF_KIND'],
  ])('%s is refused when opened', (_what, bytes, code) => {
    expect(codeOf(() => Btf.parse(bytes))).toBe(code);
  });

  it('opens where only a reference is wrong, and says so where it is used', () => {
    const badName = Btf.parse(patched([24, 1000]));
    expect(codeOf(() => badName.nameOf(1))).toBe('BTF_STRING');
    expect(badName.nameOf(2)).toBe('s');
    const badMember = Btf.parse(patched([24 + 16 + 12 + 4, 77]));
    expect(badMember.sizeOf(2)).toBe(4);
    expect(codeOf(() => badMember.alignOf(2))).toBe('BTF_ID');
  });

  it('bounds names that share one long string', () => {
    const count = 2000;
    const bytes = encodeBtf([fwd('x'.repeat(50_000)), ...Array.from({ length: count }, () => fwd('y'))]);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i <= count; i++) view.setUint32(24 + 12 * i, 1 + i, true);
    const btf = Btf.parse(bytes);
    expect(btf.findByName('y')).toBeUndefined();
    expect(btf.nameOf(1)).toHaveLength(50_000);
    const decodeAll = (): void => {
      for (const _ of btf.types());
    };
    expect(codeOf(decodeAll)).toBe('BTF_STRING');
  });

  it('names the file and the type at fault', () => {
    const bytes = patched([28, 0x14000000]);
    expect(() => Btf.parse(bytes, { file: 'x.btf' })).toThrow(
      'x.btf, offset 0: type [1] is of unknown kind 20',
    );
    expect(codeOf(() => Btf.parse(patched(), { endian: 'big' }))).toBe('BTF_HEADER');
  });
});
