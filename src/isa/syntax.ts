/**
 * Spellings that the disassembler prints and the assembler reads: one table for both, so that they
 * cannot drift apart. The symbols are those of LLVM's BPF back end and of the kernel's disasm.c.
 */
import type { AluOp, AtomicOp, JumpOp } from './opcodes.js';

export const ALU_SYMBOLS: Readonly<Record<AluOp, string>> = {
  add: '+=',
  sub: '-=',
  mul: '*=',
  div: '/=',
  sdiv: 's/=',
  or: '|=',
  and: '&=',
  lsh: '<<=',
  rsh: '>>=',
  mod: '%=',
  smod: 's%=',
  xor: '^=',
  mov: '=',
  arsh: 's>>=',
};

export const JUMP_SYMBOLS: Readonly<Record<JumpOp, string>> = {
  jeq: '==',
  jgt: '>',
  jge: '>=',
  jset: '&',
  jne: '!=',
  jsgt: 's>',
  jsge: 's>=',
  jlt: '<',
  jle: '<=',
  jslt: 's<',
  jsle: 's<=',
};

/** Atomic operations without a result: `lock *(u64 *)(r1 + 0x0) += r2`. */
export const ATOMIC_SYMBOLS: Readonly<Partial<Record<AtomicOp, string>>> = {
  add: '+=',
  or: '|=',
  and: '&=',
  xor: '^=',
};

/** Escape for slots that neither dialect has words for: code, dst, src, off, imm. */
export const RAW_DIRECTIVE = '.insn';

/** Word that tells a kernel function's BTF id from a helper's number. */
export const KFUNC_WORD = 'kfunc';

/** `b1 → v` of a record, for reading back. */
export function invert<K extends string>(
  table: Readonly<Partial<Record<K, string>>>,
): ReadonlyMap<string, K> {
  const inverse = new Map<string, K>();
  for (const key of Object.keys(table) as K[]) inverse.set(table[key]!, key);
  return inverse;
}
