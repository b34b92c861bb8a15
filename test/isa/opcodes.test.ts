/**
 * The opcode table: internally consistent, and the encodings of RFC 9669 and linux/bpf.h.
 */
import { describe, expect, test } from '@jest/globals';
import {
  cpuVersionOf,
  discriminatorOf,
  findOpcode,
  isKnownOpcode,
  makeInsn,
  OPCODES,
  rowByName,
  rowsOfCode,
} from '../../src/isa/index.js';

describe('the table is consistent', () => {
  test('ids are dense and names unique', () => {
    expect(OPCODES.map((row) => row.id)).toEqual(OPCODES.map((_, i) => i));
    expect(new Set(OPCODES.map((row) => row.name)).size).toBe(OPCODES.length);
  });

  test.each(OPCODES.map((row) => [row.name, row] as const))('%s is found again', (name, row) => {
    const imm = Array.isArray(row.imm) ? (row.imm[0] as number) : 0;
    expect(findOpcode(makeInsn(row, { imm }))).toBe(row);
    expect(rowByName(name)).toBe(row);
  });

  test('rows that share an opcode byte are told apart by one field', () => {
    for (let code = 0; code < 256; code++) {
      const rows = rowsOfCode(code);
      const by = discriminatorOf(code);
      if (rows.length < 2) continue;
      expect(by).toBeDefined();
      expect(new Set(rows.map((row) => row[by!])).size).toBe(rows.length);
    }
  });
});

/** [name, opcode, then what else is fixed: src, off, imm]. Opcodes as in RFC 9669 appendix A. */
const ENCODINGS: readonly (readonly [string, number, Partial<Record<'src' | 'off' | 'imm', number>>])[] = [
  ['add32_imm', 0x04, { src: 0, off: 0 }],
  ['add64_imm', 0x07, { src: 0, off: 0 }],
  ['add64_reg', 0x0f, { off: 0, imm: 0 }],
  ['ja', 0x05, { src: 0, imm: 0 }],
  ['gotol', 0x06, { src: 0, off: 0 }],
  ['gotox', 0x0d, { src: 0, off: 0, imm: 0 }],
  ['jeq64_imm', 0x15, { src: 0 }],
  ['jeq32_reg', 0x1e, { imm: 0 }],
  ['ld_imm64_value', 0x18, { src: 0, off: 0 }],
  ['ld_imm64_map_fd', 0x18, { src: 1 }],
  ['ld_imm64_map_value', 0x18, { src: 2 }],
  ['ld_imm64_btf_id', 0x18, { src: 3 }],
  ['ld_imm64_func', 0x18, { src: 4 }],
  ['ld_imm64_map_idx', 0x18, { src: 5 }],
  ['ld_imm64_map_idx_value', 0x18, { src: 6 }],
  ['ld_abs32', 0x20, { src: 0 }],
  ['ld_abs16', 0x28, { src: 0 }],
  ['ld_abs8', 0x30, { src: 0 }],
  ['ld_ind32', 0x40, { off: 0 }],
  ['ld_ind16', 0x48, { off: 0 }],
  ['ld_ind8', 0x50, { off: 0 }],
  ['div32_imm', 0x34, { off: 0 }],
  ['sdiv32_imm', 0x34, { off: 1 }],
  ['sdiv64_reg', 0x3f, { off: 1 }],
  ['smod64_imm', 0x97, { off: 1 }],
  ['ldx_u32', 0x61, { imm: 0 }],
  ['ldx_u16', 0x69, { imm: 0 }],
  ['ldx_u8', 0x71, { imm: 0 }],
  ['ldx_u64', 0x79, { imm: 0 }],
  ['ldx_s32', 0x81, { imm: 0 }],
  ['ldx_s16', 0x89, { imm: 0 }],
  ['ldx_s8', 0x91, { imm: 0 }],
  ['st32', 0x62, { src: 0 }],
  ['st64', 0x7a, { src: 0 }],
  ['stx8', 0x73, { imm: 0 }],
  ['stx64', 0x7b, { imm: 0 }],
  ['neg32', 0x84, { src: 0, off: 0, imm: 0 }],
  ['neg64', 0x87, { src: 0, off: 0, imm: 0 }],
  ['call_helper', 0x85, { src: 0, off: 0 }],
  ['call_local', 0x85, { src: 1, off: 0 }],
  ['call_kfunc', 0x85, { src: 2 }],
  ['callx', 0x8d, { src: 0, off: 0, imm: 0 }],
  ['exit', 0x95, { src: 0, imm: 0 }],
  ['jlt64_imm', 0xa5, {}],
  ['jsle32_reg', 0xde, { imm: 0 }],
  ['mov32_reg', 0xbc, { off: 0 }],
  ['movsx8_32', 0xbc, { off: 8 }],
  ['movsx16_32', 0xbc, { off: 16 }],
  ['movsx32_64', 0xbf, { off: 32 }],
  ['addr_space_cast', 0xbf, { off: 1 }],
  ['arsh64_imm', 0xc7, {}],
  ['atomic_add32', 0xc3, { imm: 0x00 }],
  ['atomic_fetch_add64', 0xdb, { imm: 0x01 }],
  ['atomic_or64', 0xdb, { imm: 0x40 }],
  ['atomic_and64', 0xdb, { imm: 0x50 }],
  ['atomic_fetch_xor32', 0xc3, { imm: 0xa1 }],
  ['atomic_xchg64', 0xdb, { imm: 0xe1 }],
  ['atomic_cmpxchg32', 0xc3, { imm: 0xf1 }],
  ['load_acquire8', 0xd3, { imm: 0x100 }],
  ['load_acquire16', 0xcb, { imm: 0x100 }],
  ['store_release32', 0xc3, { imm: 0x110 }],
  ['store_release64', 0xdb, { imm: 0x110 }],
  ['le16', 0xd4, { imm: 16 }],
  ['be64', 0xdc, { imm: 64 }],
  ['bswap32', 0xd7, { imm: 32 }],
  ['may_goto', 0xe5, { src: 0, imm: 0 }],
];

test.each(ENCODINGS)('%s is opcode %i', (name, code, fields) => {
  expect(rowByName(name)).toMatchObject({ code, ...fields });
});

test('as many opcodes a class as Linux 6.18 lets through, and no indirect jumps', () => {
  const known = Array.from({ length: 256 }, (_, code) => code).filter(isKnownOpcode);
  const byClass = [0, 1, 2, 3, 4, 5, 6, 7].map((cls) => known.filter((code) => (code & 7) === cls).length);
  // ld, ldx, st, stx, alu, jmp, jmp32, alu64
  expect(byClass).toEqual([7, 7, 4, 8, 27, 26, 23, 26]);
  expect(isKnownOpcode(0x0d)).toBe(false);
  expect(isKnownOpcode(0x8d)).toBe(false);
});

test.each([
  [1, ['mov64_imm', 'exit']],
  [2, ['jlt64_imm', 'exit']],
  [3, ['jeq32_imm', 'atomic_fetch_add64']],
  [4, ['gotol', 'jeq32_imm']],
  [4, ['ld_imm64_value', 'exit', 'bswap16']],
] as const)('cpu version %i', (version, names) => {
  const zero = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };
  const insns = names.flatMap((name) =>
    name.startsWith('ld_imm64') ? [makeInsn(name), zero] : [makeInsn(name)],
  );
  expect(cpuVersionOf(insns)).toBe(version);
});
