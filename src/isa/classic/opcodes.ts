/**
 * The classic opcode table: what `chk_code_allowed` of net/core/filter.c lets through, one row each,
 * with the names of bpf_asm. It drives the checks, the conversion, and the text.
 */
import * as C from '../constants.js';

/** What an instruction does; `A` is the accumulator, `X` the index register, `M[]` the scratch words. */
export type ClassicShape =
  | { readonly form: 'alu'; readonly op: ClassicAlu; readonly operand: 'k' | 'x' }
  | { readonly form: 'neg' }
  | { readonly form: 'ld_abs' | 'ld_ind'; readonly width: 8 | 16 | 32 }
  | { readonly form: 'ldx_msh' }
  | { readonly form: 'len' | 'imm' | 'mem' | 'st'; readonly reg: 'a' | 'x' }
  | { readonly form: 'tax' | 'txa' | 'ja' }
  | { readonly form: 'jump'; readonly op: ClassicJump; readonly operand: 'k' | 'x' }
  | { readonly form: 'ret'; readonly operand: 'k' | 'a' };
export type ClassicAlu = 'add' | 'sub' | 'mul' | 'div' | 'mod' | 'and' | 'or' | 'xor' | 'lsh' | 'rsh';
export type ClassicJump = 'jeq' | 'jgt' | 'jge' | 'jset';

export type ClassicRow = ClassicShape & {
  readonly code: number;
  /** Mnemonic of bpf_asm. */
  readonly mnemonic: string;
  /** Whether `seccomp_check_filter` lets it through. */
  readonly seccomp: boolean;
};

/** `X = A` and `A = X`, in the operation bits of `BPF_MISC`. */
export const BPF_TAX = 0x00;
export const BPF_TXA = 0x80;

const rows: ClassicRow[] = [];

function row(mnemonic: string, code: number, shape: ClassicShape, seccomp = true): void {
  rows.push({ ...shape, code, mnemonic, seccomp });
}

const ALU: readonly (readonly [ClassicAlu, number])[] = [
  ['add', C.BPF_ADD],
  ['sub', C.BPF_SUB],
  ['mul', C.BPF_MUL],
  ['div', C.BPF_DIV],
  ['mod', C.BPF_MOD],
  ['and', C.BPF_AND],
  ['or', C.BPF_OR],
  ['xor', C.BPF_XOR],
  ['lsh', C.BPF_LSH],
  ['rsh', C.BPF_RSH],
];
for (const [op, bits] of ALU) {
  row(op, C.BPF_ALU | bits | C.BPF_K, { form: 'alu', op, operand: 'k' }, op !== 'mod');
  row(op, C.BPF_ALU | bits | C.BPF_X, { form: 'alu', op, operand: 'x' }, op !== 'mod');
}
row('neg', C.BPF_ALU | C.BPF_NEG, { form: 'neg' });

const LOADS: readonly (readonly [string, 8 | 16 | 32, number])[] = [
  ['ld', 32, C.BPF_W],
  ['ldh', 16, C.BPF_H],
  ['ldb', 8, C.BPF_B],
];
for (const [mnemonic, width, size] of LOADS) {
  row(mnemonic, C.BPF_LD | C.BPF_ABS | size, { form: 'ld_abs', width }, width === 32);
  row(mnemonic, C.BPF_LD | C.BPF_IND | size, { form: 'ld_ind', width }, false);
}
row('ldxb', C.BPF_LDX | C.BPF_MSH | C.BPF_B, { form: 'ldx_msh' }, false);
for (const [reg, cls, mnemonic] of [
  ['a', C.BPF_LD, 'ld'],
  ['x', C.BPF_LDX, 'ldx'],
] as const) {
  row(mnemonic, cls | C.BPF_LEN | C.BPF_W, { form: 'len', reg });
  row(mnemonic, cls | C.BPF_IMM, { form: 'imm', reg });
  row(mnemonic, cls | C.BPF_MEM, { form: 'mem', reg });
}
row('st', C.BPF_ST, { form: 'st', reg: 'a' });
row('stx', C.BPF_STX, { form: 'st', reg: 'x' });
row('tax', C.BPF_MISC | BPF_TAX, { form: 'tax' });
row('txa', C.BPF_MISC | BPF_TXA, { form: 'txa' });
row('ret', C.BPF_RET | C.BPF_K, { form: 'ret', operand: 'k' });
row('ret', C.BPF_RET | C.BPF_A, { form: 'ret', operand: 'a' });
row('jmp', C.BPF_JMP | C.BPF_JA, { form: 'ja' });

const JUMPS: readonly (readonly [ClassicJump, number])[] = [
  ['jeq', C.BPF_JEQ],
  ['jgt', C.BPF_JGT],
  ['jge', C.BPF_JGE],
  ['jset', C.BPF_JSET],
];
for (const [op, bits] of JUMPS) {
  row(op, C.BPF_JMP | bits | C.BPF_K, { form: 'jump', op, operand: 'k' });
  row(op, C.BPF_JMP | bits | C.BPF_X, { form: 'jump', op, operand: 'x' });
}

/** Every classic instruction. */
export const CLASSIC_OPCODES: readonly ClassicRow[] = rows;

const BY_CODE: ReadonlyMap<number, ClassicRow> = new Map(rows.map((r) => [r.code, r]));

/** The row of an opcode, or undefined. */
export function findClassic(code: number): ClassicRow | undefined {
  return BY_CODE.get(code);
}
