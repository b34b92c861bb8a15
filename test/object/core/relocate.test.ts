import { describe, expect, it } from '@jest/globals';
import type { Endian, Insn } from '../../../src/isa/insn.js';
import type { Btf, BtfType, CoreReloKind } from '../../../src/object/btf/index.js';
import {
  CoreError,
  type CoreErrorCode,
  CoreRelocator,
  type CoreResult,
  CoreTarget,
  POISON_HELPER,
} from '../../../src/object/core/index.js';
import {
  array,
  btfOf,
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
} from '../btf/sample.js';

const UINT = int('unsigned int', 4);
const CHAR = int('char', 1, 1);
const ULONG = int('unsigned long', 8);

const mov = (imm: number): Insn => ({ code: 0xb7, dst: 1, src: 0, off: 0, imm });
const ldxw = (off: number): Insn => ({ code: 0x61, dst: 1, src: 2, off, imm: 0 });
const imm64 = (low: number, high = 0): Insn[] => [
  { code: 0x18, dst: 1, src: 0, off: 0, imm: low },
  { code: 0, dst: 0, src: 0, off: 0, imm: high },
];
const POISON: Insn = { code: 0x85, dst: 0, src: 0, off: 0, imm: POISON_HELPER };

interface Case {
  readonly local: readonly BtfType[];
  readonly target: readonly BtfType[];
  /** Id of the local root. */
  readonly root: number;
  readonly kind: CoreReloKind;
  readonly access?: string;
  readonly endian?: Endian;
}

function relocate(test: Case, insns: Insn[]): CoreResult {
  const endian = test.endian ?? 'little';
  const target = new CoreTarget(btfOf(test.target, endian));
  const relo = { insnOff: 0, typeId: test.root, kind: test.kind, accessStr: test.access ?? '0' };
  return new CoreRelocator(btfOf(test.local, endian), target).apply(insns, 0, relo, { section: 'xdp' }, 3);
}

/** The new value, put into a `mov` that holds the value for the local types; or `poison`. */
function newValue(test: Case, oldValue: number): number | 'poison' {
  const insns = [mov(oldValue)];
  relocate(test, insns);
  return insns[0]!.imm === POISON_HELPER ? 'poison' : insns[0]!.imm;
}

function errorOf(test: Case, insns: Insn[] = [mov(0)]): CoreError {
  try {
    relocate(test, insns);
  } catch (error) {
    if (error instanceof CoreError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('field relocations', () => {
  const local = [
    INT, // 1
    struct('task', 24, ['state', 1, 0], ['pid', 1, 32], ['comm', 4, 64], ['flags', 1, 160]), // 2
    CHAR, // 3
    array(3, 8), // 4
  ];
  const target = [
    INT, // 1
    CHAR, // 2
    array(2, 16), // 3
    struct('task', 64, ['', 5, 64], ['comm', 3, 128], ['flags', 6, 256]), // 4
    union('', 8, ['', 7, 0], ['whole', 8, 0]), // 5
    UINT, // 6
    struct('', 8, ['pid', 1, 0], ['state', 1, 32]), // 7
    ULONG, // 8
  ];

  it.each<[CoreReloKind, string, number, number | 'poison']>([
    ['byte_off', '0:1', 4, 8],
    ['byte_off', '0:0', 0, 12],
    ['byte_off', '0:2', 8, 16],
    ['byte_off', '0:2:7', 15, 23],
    ['byte_off', '1:1', 28, 72],
    ['byte_off', '0', 0, 0],
    ['byte_off', '2', 48, 128],
    ['byte_sz', '0:2', 8, 16],
    ['byte_sz', '0:2:0', 1, 1],
    ['byte_sz', '0', 24, 64],
    ['field_exists', '0:1', 1, 1],
    ['signed', '0:1', 1, 1],
    ['signed', '0:3', 1, 0],
    ['lshift_u64', '0:1', 32, 32],
    ['rshift_u64', '0:1', 32, 32],
  ])('%s of %s: %i becomes %p', (kind, access, before, after) => {
    expect(newValue({ local, target, root: 2, kind, access }, before)).toBe(after);
  });

  it('reports both specs in the notation of libbpf', () => {
    const result = relocate({ local, target, root: 2, kind: 'byte_off', access: '0:1' }, [mov(4)]);
    expect(result).toEqual({
      localSpec: '<byte_off> [2] struct task.pid (0:1 @ offset 4)',
      targetSpec: '<byte_off> [4] struct task.pid (0:0:0:0 @ offset 8)',
      oldValue: 4n,
      newValue: 8n,
    });
  });

  it('numbers array elements of the target past its own bounds as absent', () => {
    const short = [INT, CHAR, array(2, 4), struct('task', 8, ['comm', 3, 0])];
    const test: Case = { local, target: short, root: 2, kind: 'byte_off', access: '0:2:5' };
    expect(newValue(test, 13)).toBe('poison');
    expect(newValue({ ...test, access: '0:2:3' }, 11)).toBe(3);
  });

  const flexible = [INT, array(1, 0), struct('s', 4, ['n', 1, 0], ['rest', 2, 32])];
  const inside = [INT, array(1, 0), struct('s', 8, ['rest', 2, 0], ['n', 1, 32])];
  it.each<[string, readonly BtfType[], number | 'poison']>([
    ['a flexible array has every element', flexible, 24],
    ['an empty array in the middle has none', inside, 'poison'],
  ])('%s', (_what, types, after) => {
    expect(newValue({ local: flexible, target: types, root: 3, kind: 'byte_off', access: '0:1:5' }, 24)).toBe(
      after,
    );
  });
});

describe('bit-fields', () => {
  const local = [UINT, struct('s', 8, ['a', 1, 0, 3], ['b', 1, 32, 32])];
  const wide = [ULONG, struct('s', 16, ['a', 1, 70, 5], ['b', 1, 75, 20])];

  // 'a' in the target: bits 70–74 of a 64-bit unit; storage is unsigned long at byte 8
  it.each<[CoreReloKind, string, Endian, number]>([
    ['byte_off', '0:0', 'little', 8],
    ['byte_sz', '0:0', 'little', 8],
    ['lshift_u64', '0:0', 'little', 53],
    ['lshift_u64', '0:0', 'big', 6],
    ['rshift_u64', '0:0', 'little', 59],
    ['rshift_u64', '0:1', 'little', 44],
  ])('%s of %s, %s-endian', (kind, access, endian, after) => {
    const before = kind === 'rshift_u64' ? (access === '0:0' ? 61 : 32) : 77; // only the right shift is checked
    expect(newValue({ local, target: wide, root: 2, kind, access, endian }, before)).toBe(after);
  });

  it('widens the load until the bits fit', () => {
    const crossing = [int('unsigned char', 1), struct('s', 4, ['a', 1, 6, 4])];
    const test: Case = { local: crossing, target: crossing, root: 2, kind: 'byte_sz', access: '0:0' };
    expect(newValue(test, 0)).toBe(2);
    const far = [int('unsigned char', 1), struct('s', 16, ['a', 1, 60, 8])];
    expect(errorOf({ ...test, local: far, target: far }).code).toBe('CORE_UNSUPPORTED');
  });
});

describe('which candidates count', () => {
  const local = [INT, struct('s___mine', 8, ['a', 1, 0], ['b', 1, 32])];
  const test = (...target: BtfType[]): Case => ({ local, target, root: 2, kind: 'byte_off', access: '0:1' });
  const s = (name: string, at: number): BtfType => struct(name, 64, ['b', 1, at]);

  it.each<[string, BtfType[], number | 'poison']>([
    ['the plain name', [INT, s('s', 64)], 8],
    ['another flavour', [INT, s('s___other', 64)], 8],
    ['no other name', [INT, s('s_mine', 64), s('s___', 64), s('___s', 64)], 'poison'],
    ['no other kind', [INT, union('s', 64, ['b', 1, 0])], 'poison'],
    ['no declaration', [fwd('s')], 'poison'],
    ['one that has the field', [INT, struct('s', 8, ['x', 1, 32]), s('s___2', 96)], 12],
    ['several that agree', [INT, s('s', 64), s('s___2', 64)], 8],
    ['a field of another type is another field', [struct('s', 8, ['b', 1, 0])], 'poison'],
  ])('%s', (_what, target, after) => {
    expect(newValue(test(...target), 4)).toBe(after);
  });

  it('refuses candidates that disagree', () => {
    const error = errorOf(test(INT, s('s', 64), s('s___2', 96)));
    expect(error.code).toBe('CORE_AMBIGUOUS');
    expect(error.message).toBe(
      'section xdp, insn 0: CO-RE relocation #3 <byte_off> [2] struct s___mine.b (0:1 @ offset 4): ' +
        'candidates disagree: <byte_off> [2] struct s.b (0:0 @ offset 8) and <byte_off> [3] struct s___2.b (0:0 @ offset 12)',
    );
  });

  it('does not ask again what did not match an earlier relocation of the type', () => {
    const target = btfOf([
      INT,
      struct('s', 8, ['a', 1, 0], ['c', 1, 32]),
      struct('s___2', 8, ['a', 1, 0], ['b', 1, 32]),
      s('s___3', 64),
    ]);
    const relocator = new CoreRelocator(btfOf(local), new CoreTarget(target));
    const relo = { insnOff: 0, typeId: 2, kind: 'byte_off', accessStr: '0:0' } as const;
    expect(relocator.apply([mov(0)], 0, relo)).toMatchObject({ newValue: 0n });
    expect(relocator.apply([mov(4)], 0, { ...relo, accessStr: '0:1' })).toMatchObject({ newValue: 4n });
  });

  it('asks modules only where the kernel has nothing', () => {
    const vmlinux = btfOf([INT, s('in_kernel', 64)]);
    const module = btfOf([s('s', 96), s('in_kernel', 32)], 'little', vmlinux);
    const target = new CoreTarget(vmlinux, [module]);
    const types = btfOf(local);
    expect(target.candidates({ btf: types, id: 2 })).toEqual([{ btf: module, id: 3 }]);
    const both = btfOf([INT, struct('in_kernel', 4, ['b', 1, 0])]);
    expect(target.candidates({ btf: both, id: 2 })).toEqual([{ btf: vmlinux, id: 2 }]);
  });
});

describe('field types that agree', () => {
  const types = (last: BtfType): BtfType[] => [INT, struct('s', 8, ['f', 3, 0]), last, CHAR];
  it.each<[string, BtfType, BtfType, boolean]>([
    ['int and int of any size and sign', CHAR, ULONG, true],
    ['pointers to anything', ptr(1), ptr(0), true],
    ['floats of any size', float('float', 4), float('double', 8), true],
    ['struct and union', struct('a', 8, ['x', 1, 0]), union('b', 8, ['x', 1, 0]), true],
    ['enums of one name', enumeration('e', { A: 1 }), enumeration('e___2', { B: 1 }, { size: 8 }), true],
    ['enums, one anonymous', enumeration('', { A: 1 }), enumeration('e', { B: 1 }), true],
    ['enums of other names', enumeration('d', { A: 1 }), enumeration('e', { B: 1 }), false],
    ['arrays of any length', array(1, 2), array(4, 9), true],
    ['arrays of unlike elements', array(1, 2), array(2, 2), false],
    ['int and enum', INT, enumeration('e', { A: 1 }), false],
    ['int and pointer', INT, ptr(0), false],
    ['old-style bit-fields', int('int', 4, 0, 3, 2), INT, false],
  ])('%s', (_what, a, b, agree) => {
    const test: Case = { local: types(a), target: types(b), root: 2, kind: 'field_exists', access: '0:0' };
    expect(newValue(test, 1)).toBe(agree ? 1 : 0);
  });

  it('looks through qualifiers, typedefs and tags', () => {
    const local = [INT, struct('s', 8, ['f', 1, 0])];
    const target = [
      INT,
      struct('s', 8, ['f', 3, 32]),
      typedef('t', 4),
      qualified('const', 5),
      typeTag('rcu', 1),
    ];
    expect(newValue({ local, target, root: 2, kind: 'byte_off', access: '0:0' }, 0)).toBe(4);
  });
});

describe('sizes of loads and stores', () => {
  const types = (field: BtfType): BtfType[] => [field, struct('s', 16, ['f', 1, 64])];
  const load = (code: number): Insn[] => [{ code, dst: 1, src: 2, off: 8, imm: 0 }];

  it.each<[string, BtfType, BtfType, number, number | 'poison']>([
    ['u32 → u64', UINT, ULONG, 0x61, 0x79],
    ['u64 → u8', ULONG, int('u8', 1), 0x79, 0x71],
    ['u32 → u16, stored', UINT, int('u16', 2), 0x63, 0x6b],
    ['u32 → u16, a constant stored', UINT, int('u16', 2), 0x62, 0x6a],
    ['pointer → pointer', ptr(0), ptr(1), 0x79, 0x79],
    ['the same size keeps its sign', INT, UINT, 0x81, 0x81],
    ['int → long', INT, int('long', 8, 1), 0x61, 'poison'],
    ['u32 → long', UINT, int('long', 8, 1), 0x61, 'poison'],
    [
      'enum → wider enum',
      enumeration('e', { A: 1 }),
      enumeration('e', { A: 1 }, { size: 8 }),
      0x61,
      'poison',
    ],
    ['bool → u32', int('bool', 1, 4), UINT, 0x71, 0x61],
  ])('%s', (_what, before, after, code, patched) => {
    const insns = load(code);
    const result = relocate(
      { local: types(before), target: types(after), root: 2, kind: 'byte_off', access: '0:0' },
      insns,
    );
    if (patched === 'poison') {
      expect([insns[0], result.poisoned]).toEqual([POISON, 'size']);
    } else {
      expect([insns[0]!.code, result.poisoned]).toEqual([patched, undefined]);
    }
  });

  it('narrows pointers for a 32-bit kernel', () => {
    const local = [ptr(0), struct('s', 8, ['p', 1, 0]), ULONG];
    const target = [ptr(0), struct('s', 4, ['p', 1, 0]), int('unsigned long', 4)];
    const insns = [{ code: 0x79, dst: 1, src: 2, off: 0, imm: 0 }];
    relocate({ local, target, root: 2, kind: 'byte_off', access: '0:0' }, insns);
    expect(insns[0]!.code).toBe(0x61);
  });

  it('lets arithmetic be, whatever the sizes', () => {
    const test: Case = {
      local: types(INT),
      target: types(int('long', 8, 1)),
      root: 2,
      kind: 'byte_off',
      access: '0:0',
    };
    expect(newValue(test, 8)).toBe(8);
  });

  it.each<[string, BtfType, Insn, CoreErrorCode]>([
    [
      'a load of another size than the field',
      ULONG,
      { code: 0x71, dst: 1, src: 2, off: 8, imm: 0 },
      'CORE_UNEXPECTED_INSN',
    ],
    [
      'a size that no load has',
      int('u128', 16),
      { code: 0x61, dst: 1, src: 2, off: 8, imm: 0 },
      'CORE_RANGE',
    ],
  ])('refuses %s', (_what, after, insn, code) => {
    const test: Case = { local: types(UINT), target: types(after), root: 2, kind: 'byte_off', access: '0:0' };
    expect(errorOf(test, [insn]).code).toBe(code);
  });
});

describe('type relocations', () => {
  const local = [
    INT,
    struct('s', 8, ['a', 1, 0]),
    typedef('t', 2),
    enumeration('e', { A: 1 }),
    struct('gone', 4, ['a', 1, 0]),
    struct('', 4, ['a', 1, 0]),
  ];
  const target = [
    CHAR,
    INT,
    enumeration('e', { B: 1 }, { size: 8 }),
    struct('s', 32, ['z', 2, 0]),
    typedef('t', 2),
  ];

  it.each<[CoreReloKind, number, number, number]>([
    ['type_exists', 2, 1, 1],
    ['type_exists', 3, 1, 0], // a typedef of a struct there, of an int here
    ['type_exists', 4, 1, 1],
    ['type_exists', 5, 1, 0],
    ['type_size', 2, 8, 32],
    ['type_size', 5, 4, 0],
    ['type_matches', 2, 1, 0],
    ['target_type_id', 2, 99, 4],
    ['target_type_id', 5, 99, 0],
    ['local_type_id', 2, 99, 2],
    ['local_type_id', 6, 99, 6],
  ])('%s of [%i]: %i becomes %i', (kind, root, before, after) => {
    expect(newValue({ local, target, root, kind }, before)).toBe(after);
  });

  it.each<[string, BtfType[], BtfType[], boolean]>([
    [
      'pointers to unlike things',
      [typedef('t', 2), ptr(3), INT],
      [typedef('t', 2), ptr(3), struct('s', 0)],
      false,
    ],
    [
      'signatures that agree',
      [typedef('t', 2), proto(3, ['a', 4]), INT, ptr(3)],
      [typedef('t', 2), proto(3, ['b', 4]), CHAR, ptr(3)],
      true,
    ],
    [
      'signatures of other lengths',
      [typedef('t', 2), proto(3, ['a', 3]), INT],
      [typedef('t', 2), proto(3), INT],
      false,
    ],
    [
      'signatures of unlike parameters',
      [typedef('t', 2), proto(0, ['a', 3]), INT],
      [typedef('t', 2), proto(0, ['a', 3]), ptr(0)],
      false,
    ],
    ['void', [typedef('t', 0)], [typedef('t', 0)], true],
    ['functions are never asked about', [func('t', 2), proto(0)], [func('t', 2), proto(0)], false],
  ])('compatible: %s', (_what, localTypes, targetTypes, agree) => {
    const test: Case = { local: localTypes, target: targetTypes, root: 1, kind: 'type_exists' };
    expect(newValue(test, 1)).toBe(agree ? 1 : 0);
  });
});

describe('enumerator relocations', () => {
  const e = enumeration('e', { A: 1, B___old: 2, NEGATIVE: -3 }, { signed: true });
  const wide = enumeration('e', { B: 0x1122334455667788n, A: 7 }, { size: 8 });

  it.each<[CoreReloKind, string, number, number | 'poison']>([
    ['enumval_exists', '0', 1, 1],
    ['enumval_exists', '1', 1, 1],
    ['enumval_exists', '2', 1, 0],
    ['enumval_value', '0', 1, 7],
    ['enumval_value', '2', -3, 'poison'],
  ])('%s of %s: %i becomes %p', (kind, access, before, after) => {
    expect(newValue({ local: [e], target: [wide], root: 1, kind, access }, before)).toBe(after);
  });

  it('puts 64-bit values into both halves of a load', () => {
    const insns = imm64(2);
    const result = relocate(
      { local: [e], target: [wide], root: 1, kind: 'enumval_value', access: '1' },
      insns,
    );
    expect(insns.map((insn) => insn.imm)).toEqual([0x55667788, 0x11223344]);
    expect(result.localSpec).toBe('<enumval_value> [1] enum e::B___old = 2');
    expect(result.targetSpec).toBe('<enumval_value> [1] enum64 e::B = 1234605616436508552');
  });

  it('extends the sign of 32-bit values', () => {
    const target = [enumeration('e', { NEGATIVE: -5 }, { signed: true })];
    const insns = imm64(-3, -1);
    relocate({ local: [e], target, root: 1, kind: 'enumval_value', access: '2' }, insns);
    expect(insns.map((insn) => insn.imm)).toEqual([-5, -1]);
  });
});

describe('instructions', () => {
  const local = [INT, struct('s', 8, ['a', 1, 32])];
  const moved = (bytes: number): Btf => btfOf([INT, struct('s', 2 ** 20, ['a', 1, bytes * 8])]);
  const relo = { insnOff: 0, typeId: 2, kind: 'byte_off', accessStr: '0:0' } as const;
  const apply = (insns: Insn[], to: Btf): CoreResult =>
    new CoreRelocator(btfOf(local), new CoreTarget(to)).apply(insns, 0, relo);

  it.each<[string, Insn[], number, Insn[]]>([
    ['mov', [mov(4)], 100_000, [mov(100_000)]],
    ['add', [{ ...mov(4), code: 0x07 }], 8, [{ ...mov(8), code: 0x07 }]],
    ['32-bit mov', [{ ...mov(4), code: 0xb4 }], 8, [{ ...mov(8), code: 0xb4 }]],
    ['64-bit immediate', imm64(4), 8, imm64(8)],
    ['load', [ldxw(4)], 32767, [ldxw(32767)]],
    ['sign-extending load', [{ ...ldxw(4), code: 0x81 }], 8, [{ ...ldxw(8), code: 0x81 }]],
    ['store', [{ ...ldxw(4), code: 0x63 }], 8, [{ ...ldxw(8), code: 0x63 }]],
    ['store of a constant', [{ ...ldxw(4), code: 0x62 }], 8, [{ ...ldxw(8), code: 0x62 }]],
  ])('%s', (_what, before, to, after) => {
    const insns = before.map((insn) => ({ ...insn }));
    apply(insns, moved(to));
    expect(insns).toEqual(after);
  });

  it.each<[string, Insn[]]>([
    ['one slot', [mov(4), mov(1)]],
    ['both slots of a 64-bit load', [...imm64(4), mov(1)]],
  ])('poisons %s where the target has nothing', (_what, before) => {
    const insns = before.map((insn) => ({ ...insn }));
    const result = apply(insns, btfOf([INT]));
    expect(insns).toEqual([...insns.slice(0, -1).map(() => POISON), mov(1)]);
    expect(result).toMatchObject({ poisoned: 'no-target', newValue: 0n });
    expect(result.targetSpec).toBeUndefined();
  });

  it.each<[string, Insn[], number, CoreErrorCode]>([
    ['another immediate', [mov(5)], 8, 'CORE_UNEXPECTED_INSN'],
    ['another offset', [ldxw(5)], 8, 'CORE_UNEXPECTED_INSN'],
    ['another 64-bit immediate', imm64(4, 1), 8, 'CORE_UNEXPECTED_INSN'],
    ['a register operand', [{ ...mov(4), code: 0x0f }], 8, 'CORE_UNEXPECTED_INSN'],
    ['a jump', [{ ...mov(4), code: 0x05 }], 8, 'CORE_UNEXPECTED_INSN'],
    ['a map load', [{ ...imm64(4)[0]!, src: 1 }, imm64(4)[1]!], 8, 'CORE_UNEXPECTED_INSN'],
    ['half a 64-bit load', imm64(4).slice(0, 1), 8, 'CORE_UNEXPECTED_INSN'],
    ['a packet load', [{ ...mov(4), code: 0x20 }], 8, 'CORE_UNEXPECTED_INSN'],
    ['no instruction', [], 8, 'CORE_UNEXPECTED_INSN'],
    ['an offset past 16 bits', [ldxw(4)], 32768, 'CORE_RANGE'],
  ])('refuses %s', (_what, insns, to, code) => {
    let caught: unknown;
    try {
      apply(insns, moved(to));
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(CoreError);
    expect(caught).toMatchObject({ code, place: { insn: 0 } });
  });
});

describe('relocations that make no sense', () => {
  const deep = (): BtfType[] => [
    ...Array.from({ length: 70 }, (_, i) => struct(i === 0 ? 's' : '', 4, ['', i + 2, 0])),
    struct('', 4, ['x', 72, 0]),
    INT,
  ];
  const looping = [struct('s', 8, ['', 2, 0], ['', 3, 0]), typedef('t', 1), qualified('const', 1)];
  const types = [
    INT,
    struct('s', 8, ['a', 1, 0], ['p', 4, 32]),
    enumeration('e', { A: 1 }),
    array(1, 1),
    proto(0),
    struct('', 4, ['a', 1, 0]),
  ];

  it.each<[string, Partial<Case>, CoreErrorCode]>([
    ['an empty access string', { access: '' }, 'CORE_BAD_SPEC'],
    ['a colon first', { access: ':0' }, 'CORE_BAD_SPEC'],
    ['a colon last', { access: '0:' }, 'CORE_BAD_SPEC'],
    ['letters', { access: '0:x' }, 'CORE_BAD_SPEC'],
    ['a negative index', { access: '0:-1' }, 'CORE_BAD_SPEC'],
    ['a huge index', { access: '0:4294967296' }, 'CORE_BAD_SPEC'],
    ['a huge first index', { access: '2147483647:0' }, 'CORE_BAD_SPEC'],
    ['over 64 levels', { access: Array(65).fill(0).join(':') }, 'CORE_BAD_SPEC'],
    ['a member that is not there', { access: '0:2' }, 'CORE_BAD_SPEC'],
    ['an element that is not there', { access: '0:1:1' }, 'CORE_BAD_SPEC'],
    ['a member of an int', { access: '0:0:0' }, 'CORE_BAD_SPEC'],
    ['the size of a function type', { root: 5 }, 'CORE_BAD_BTF'],
    ['a type id that is not there', { root: 99 }, 'CORE_BAD_BTF'],
    ['an anonymous root', { root: 6, access: '0:0' }, 'CORE_ANONYMOUS'],
    ['a type relocation with a path', { kind: 'type_exists', access: '0:1' }, 'CORE_BAD_SPEC'],
    ['an enumerator of a struct', { kind: 'enumval_exists' }, 'CORE_BAD_SPEC'],
    ['an enumerator that is not there', { root: 3, kind: 'enumval_exists', access: '1' }, 'CORE_BAD_SPEC'],
    ['a path into an enum', { root: 3, kind: 'enumval_exists', access: '0:0' }, 'CORE_BAD_SPEC'],
    ['the sign of an element', { kind: 'signed', access: '0:1:0' }, 'CORE_UNSUPPORTED'],
    ['a shift of a whole struct', { kind: 'lshift_u64', access: '0' }, 'CORE_UNSUPPORTED'],
  ])('%s', (_what, part, code) => {
    expect(errorOf({ local: types, target: types, root: 2, kind: 'byte_off', ...part }).code).toBe(code);
  });

  it.each<[string, BtfType[]]>([
    ['65 levels of anonymous structs in the target', deep()],
    ['a target that contains itself', looping],
  ])('%s', (_what, target) => {
    const local = [INT, struct('s', 4, ['x', 1, 0])];
    expect(errorOf({ local, target, root: 2, kind: 'byte_off', access: '0:0' }).code).toBe(
      'CORE_TOO_COMPLEX',
    );
  });

  it('names a relocation that has no spec by its kind', () => {
    const error = errorOf({ local: types, target: types, root: 2, kind: 'byte_off', access: 'x' });
    expect(error.message).toBe(
      'section xdp, insn 0: CO-RE relocation #3 <byte_off>: [2] + "x": malformed access string',
    );
  });
});
