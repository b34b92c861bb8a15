import { describe, expect, it } from '@jest/globals';
import { cDeclaration, dumpC } from '../../../src/object/btf/dump/c.js';
import { rawJson, rawText, rawType } from '../../../src/object/btf/dump/raw.js';
import { BtfError, type BtfType } from '../../../src/object/btf/index.js';
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
  typeTag,
  union,
} from './sample.js';

const CHAR = int('char', 1, 1);
const LONG = int('long', 8, 1);

/** All types as C, without the empty lines. */
const inC = (types: readonly BtfType[], ids?: readonly number[]): string =>
  [...dumpC(btfOf(types), ids)].join('').replaceAll(/\n\n/g, '\n').trimEnd();

describe('declarations', () => {
  const btf = btfOf([
    INT, // 1
    CHAR, // 2
    qualified('const', 2), // 3
    ptr(3), // 4
    qualified('const', 4), // 5
    ptr(5), // 6
    array(1, 3), // 7
    array(7, 2), // 8
    ptr(7), // 9
    array(4, 4), // 10
    proto(1, ['a', 1], ['s', 4]), // 11
    ptr(11), // 12
    array(12, 5), // 13
    proto(12), // 14
    ptr(14), // 15
    proto(0, ['fmt', 4], ['', 0]), // 16
    ptr(16), // 17
    struct('s', 4, ['i', 1, 0]), // 18
    qualified('volatile', 18), // 19
    ptr(19), // 20
    qualified('restrict', 20), // 21
    typeTag('user', 2), // 22
    ptr(22), // 23
    typeTag('address_space(1)', 1, true), // 24
    ptr(24), // 25
    ptr(0), // 26
    qualified('const', 0), // 27
    ptr(27), // 28
    union('', 4, ['i', 1, 0]), // 29
    enumeration('e', { A: 0 }), // 30
    fwd('f', 'union'), // 31
    ptr(31), // 32
    qualified('const', 7), // 33
    proto(0, ['', 0]), // 34
  ]);

  it.each([
    [1, 'int x'],
    [3, 'const char x'],
    [4, 'const char *x'],
    [6, 'const char * const *x'],
    [5, 'const char * const x'],
    [7, 'int x[3]'],
    [8, 'int x[2][3]'],
    [9, 'int (*x)[3]'],
    [10, 'const char *x[4]'],
    [11, 'int x(int a, const char *s)'],
    [12, 'int (*x)(int a, const char *s)'],
    [13, 'int (*x[5])(int a, const char *s)'],
    [15, 'int (* (*x)(void))(int a, const char *s)'],
    [17, 'void (*x)(const char *fmt, ...)'],
    [19, 'volatile struct s x'],
    [21, 'volatile struct s * restrict x'],
    [23, 'char __attribute__((btf_type_tag("user"))) *x'],
    [25, 'int __attribute__((address_space(1))) *x'],
    [26, 'void *x'],
    [28, 'const void *x'],
    [29, 'union x'],
    [30, 'enum e x'],
    [32, 'union f *x'],
    [33, 'int x[3]'],
    [34, 'void x(void)'],
  ])('type %i', (id, text) => {
    expect(cDeclaration(btf, id, 'x')).toBe(text);
  });

  it.each([
    [4, 'const char *'],
    [9, 'int(*)[3]'],
    [12, 'int (*)(int a, const char *s)'],
    [0, 'void'],
  ])('type %i without a name', (id, text) => {
    expect(cDeclaration(btf, id)).toBe(text);
  });
});

describe('definitions in order', () => {
  it.each<[string, BtfType[], string]>([
    [
      'what lies inside comes first',
      [struct('outer', 4, ['m', 2, 0]), struct('inner', 4, ['i', 3, 0]), INT],
      'struct inner {\n\tint i;\n};\nstruct outer {\n\tstruct inner m;\n};',
    ],
    [
      'a pointer needs a declaration only',
      [struct('a', 8, ['b', 2, 0]), ptr(3), struct('b', 8, ['a', 4, 0]), ptr(1)],
      'struct b;\nstruct a {\n\tstruct b *b;\n};\nstruct b {\n\tstruct a *a;\n};',
    ],
    [
      'a struct may point to itself',
      [struct('list', 8, ['next', 2, 0]), ptr(1)],
      'struct list {\n\tstruct list *next;\n};',
    ],
    [
      'a typedef of a struct that uses it',
      [typedef('t', 2), struct('s', 8, ['p', 3, 0]), ptr(1)],
      'struct s;\ntypedef struct s t;\nstruct s {\n\tt *p;\n};',
    ],
    [
      'anonymous ones are written in place',
      [
        INT,
        struct('s', 8, ['', 3, 0], ['e', 4, 32]),
        union('', 4, ['a', 1, 0], ['b', 1, 0]),
        enumeration('', { X: 0 }),
      ],
      'struct s {\n\tunion {\n\t\tint a;\n\t\tint b;\n\t};\n\tenum {\n\t\tX = 0,\n\t} e;\n};',
    ],
    ['constants', [enumeration('', { A: 1, B: 2 })], 'enum {\n\tA = 1,\n\tB = 2,\n};'],
    [
      'the second of a name is told apart',
      [
        INT,
        struct('s', 4, ['a', 1, 0]),
        struct('s', 4, ['b', 1, 0]),
        enumeration('e', { A: 0 }),
        enumeration('f', { A: 0 }),
      ],
      'struct s {\n\tint a;\n};\nstruct s___2 {\n\tint b;\n};\nenum e {\n\tA = 0,\n};\nenum f {\n\tA___2 = 0,\n};',
    ],
    [
      'a declaration that stays one',
      [fwd('f'), ptr(1), typedef('fp', 2)],
      'struct f;\ntypedef struct f *fp;',
    ],
    ['the built-in is not redefined', [typedef('__builtin_va_list', 2), ptr(0)], ''],
    ['an old spelling of it is', [typedef('__gnuc_va_list', 0)], 'typedef __builtin_va_list __gnuc_va_list;'],
    ['vector elements of Arm get a type', [int('__Poly8_t', 1)], ''],
    ['an empty struct', [struct('empty', 0)], 'struct empty {};'],
  ])('%s', (_what, types, text) => {
    expect(inC(types)).toBe(text);
  });

  it('defines one type and what it needs', () => {
    const types = [
      INT,
      struct('other', 4, ['i', 1, 0]),
      struct('inner', 4, ['i', 1, 0]),
      struct('s', 4, ['m', 3, 0]),
    ];
    expect(inC(types, [4])).toBe('struct inner {\n\tint i;\n};\nstruct s {\n\tstruct inner m;\n};');
  });

  it.each<[string, BtfType]>([
    ['1 A = -1', enumeration('e', { A: -1 }, { signed: true })],
    ['4294967295', enumeration('e', { A: 0xffffffff })],
    ['A = -9223372036854775808LL', enumeration('e', { A: -(1n << 63n) }, { size: 8, signed: true })],
    ['A = 18446744073709551615ULL', enumeration('e', { A: (1n << 64n) - 1n }, { size: 8 })],
    ['A = 1ULL,\n} __attribute__((mode(word)))', enumeration('e', { A: 1 }, { size: 8 })],
    ['} __attribute__((mode(byte)))', enumeration('e', { A: 1 }, { size: 1 })],
  ])('enum values and widths: %s', (text, type) => {
    expect(inC([type])).toContain(text.replace('1 ', ''));
  });
});

describe('layout', () => {
  it.each<[string, BtfType, string]>([
    ['natural', struct('s', 16, ['c', 2, 0], ['l', 3, 64]), 'char c; long l; };'],
    ['packed', struct('s', 9, ['c', 2, 0], ['l', 3, 8]), 'char c; long l; } __attribute__((packed));'],
    [
      'packed by its size alone',
      struct('s', 6, ['i', 1, 0], ['c', 2, 32], ['d', 2, 40]),
      'int i; char c; char d; } __attribute__((packed));',
    ],
    ['a gap before', struct('s', 16, ['c', 2, 64]), 'long: 64; char c; long: 0; };'],
    [
      'a gap that alignment does not make',
      struct('s', 8, ['c', 2, 0], ['d', 2, 32]),
      'char c; int: 0; char d; long: 0; };',
    ],
    ['a gap at the end', struct('s', 16, ['i', 1, 0]), 'int i; long: 64; };'],
    ['bit-fields', struct('s', 4, ['a', 1, 0, 3], ['b', 1, 3, 29]), 'int a: 3; int b: 29; };'],
    [
      'a gap between bit-fields',
      struct('s', 4, ['a', 1, 0, 3], ['b', 1, 8, 4]),
      'int a: 3; char: 5; int b: 4; };',
    ],
    [
      'an old-style bit-field',
      struct('s', 4, ['a', 5, 0], ['b', 5, 3]),
      'nibble a: 3; nibble b: 3; int: 0; };',
    ],
    [
      'a gap that a wider unit ends',
      struct('s', 3, ['c', 2, 0], ['d', 2, 16]),
      'char c; short: 0; char d; };',
    ],
  ])('%s', (_what, type, text) => {
    const nibble = int('nibble', 4, 0, 3);
    const dumped = inC([INT, CHAR, LONG, type, nibble], [4]);
    expect(dumped.replace('struct s {\n\t', '').replaceAll(';\n\t', '; ').replace(';\n}', '; }')).toBe(text);
  });
});

describe('types that C cannot write', () => {
  const doubling = Array.from({ length: 40 }, (_, i) =>
    i === 39 ? INT : struct(i === 0 ? 'root' : '', 4, ['a', i + 2, 0], ['b', i + 2, 0]),
  );
  const deep = Array.from({ length: 2000 }, (_, i) =>
    i === 1999 ? INT : struct(`s${i}`, 4, ['m', i + 2, 0]),
  );

  it.each<[string, BtfType[], string]>([
    ['a struct inside itself', [struct('s', 4, ['m', 1, 0])], 'BTF_LOOP'],
    ['an anonymous struct that points to itself', [struct('', 8, ['p', 2, 0]), ptr(1)], 'BTF_LOOP'],
    ['a circle of qualifiers', [qualified('const', 2), qualified('volatile', 1)], 'BTF_LOOP'],
    ['a circle of arrays', [array(1, 1)], 'BTF_LOOP'],
    ['2^39 anonymous structs', doubling, 'BTF_TOO_LARGE'],
    ['2,000 structs in each other', deep, 'BTF_LOOP'],
    ['a gap of 4 MiB', [INT, struct('s', 1 << 23, ['i', 1, 0])], 'BTF_TOO_LARGE'],
    ['a reference to nowhere', [ptr(7)], 'BTF_ID'],
  ])('%s', (_what, types, code) => {
    let caught: unknown;
    try {
      inC(types);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(BtfError);
    expect(caught).toMatchObject({ code });
  });
});

describe('raw dump', () => {
  const btf = btfOf(EVERY_KIND);

  it('prints every kind as bpftool does', () => {
    const lines = EVERY_KIND.map((_, i) => rawText(rawType(btf, i + 1)));
    expect(lines.join('\n').split('\n')).toEqual([
      "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED",
      "[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=SIGNED",
      "[3] PTR '(anon)' type_id=2",
      "[4] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=16",
      "[5] STRUCT 's' size=24 vlen=3",
      "\t'a' type_id=1 bits_offset=0",
      "\t'text' type_id=4 bits_offset=32",
      "\t'(anon)' type_id=6 bits_offset=160",
      "[6] UNION '(anon)' size=4 vlen=2",
      "\t'u' type_id=1 bits_offset=0",
      "\t'f' type_id=17 bits_offset=0",
      "[7] ENUM 'e' encoding=SIGNED size=4 vlen=2",
      "\t'LOW' val=-1",
      "\t'HIGH' val=2147483647",
      "[8] ENUM64 'big' encoding=SIGNED size=8 vlen=2",
      "\t'MIN' val=-9223372036854775808LL",
      "\t'MAX' val=9223372036854775807LL",
      "[9] FWD 'later' fwd_kind=union",
      "[10] TYPEDEF 's_t' type_id=5",
      "[11] CONST '(anon)' type_id=10",
      "[12] VOLATILE '(anon)' type_id=11",
      "[13] RESTRICT '(anon)' type_id=3",
      "[14] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2",
      "\t'arg' type_id=3",
      "\t'(anon)' type_id=0",
      "[15] FUNC 'main' type_id=14 linkage=global",
      "[16] VAR 'counter' type_id=1, linkage=global",
      "[17] FLOAT 'float' size=4",
      "[18] DATASEC '.data' size=4 vlen=1",
      "\ttype_id=16 offset=0 size=4 (VAR 'counter')",
      "[19] DECL_TAG 'user' type_id=5 component_idx=1",
      "[20] TYPE_TAG 'percpu' type_id=1",
      "[21] DECL_TAG 'aligned(8)' type_id=5 component_idx=-1 kind_flag=1",
      "[22] TYPE_TAG 'address_space(1)' type_id=0 kind_flag=1",
      "[23] STRUCT 'bits' size=4 vlen=2",
      "\t'one' type_id=1 bits_offset=0 bitfield_size=1",
      "\t'rest' type_id=1 bits_offset=1 bitfield_size=31",
      "[24] ENUM 'unsigned' encoding=UNSIGNED size=4 vlen=1",
      "\t'ALL' val=4294967295",
    ]);
  });

  it.each([
    [1, { id: 1, kind: 'INT', name: 'int', size: 4, bits_offset: 0, nr_bits: 32, encoding: 'SIGNED' }],
    [
      8,
      {
        id: 8,
        kind: 'ENUM64',
        name: 'big',
        encoding: 'SIGNED',
        size: 8,
        vlen: 2,
        values: [
          { name: 'MIN', val: '-9223372036854775808' },
          { name: 'MAX', val: '9223372036854775807' },
        ],
      },
    ],
    [9, { id: 9, kind: 'FWD', name: 'later', fwd_kind: 'union' }],
  ])('gives type %i as JSON', (id, json) => {
    expect(rawJson(rawType(btf, id))).toEqual(json);
  });
});
