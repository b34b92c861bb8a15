/**
 * One instruction as the verifier's log prints it (`print_bpf_insn` in kernel/bpf/disasm.c, Linux 6.18).
 * The kernel prints an instruction before it looks at reserved fields, so values that select no row of
 * the opcode table still have a text: that of the plain form, or `BUG_` and the opcode byte.
 */
import { BPF_ALU, BPF_ALU64, BPF_ATOMIC, BPF_DW, BPF_STX, bpfClass, bpfSize } from './constants.js';
import { imm64 } from './decode.js';
import type { PrintContext } from './disasm-types.js';
import type { Insn } from './insn.js';
import { type OpcodeRow, type RowOf, rowsOfCode } from './opcodes.js';
import { ALU_SYMBOLS, ATOMIC_SYMBOLS, JUMP_SYMBOLS, KFUNC_WORD } from './syntax.js';

/** Classes whose leftover opcodes the kernel marks by name. */
const BUG_PREFIX: Readonly<Record<number, string>> = { 0: 'BUG_ld_', 1: 'BUG_ldx_', 2: 'BUG_st_', 3: 'BUG_' };

/** Access size in bits by the opcode's size field. */
const BITS: Readonly<Record<number, number>> = { 0: 32, 8: 16, 16: 8, 24: 64 };

/** Text of an instruction; `row` is undefined for what selects no row of the opcode table. */
export function kernelText(context: PrintContext, row: OpcodeRow | undefined): string {
  const { insn } = context;
  const shape = row ?? nearestRow(insn);
  const code = insn.code.toString(16).padStart(2, '0');
  const body = shape === undefined ? undefined : bodyText(context, shape, row !== undefined);
  return body === undefined ? `${BUG_PREFIX[bpfClass(insn.code)] ?? 'BUG_'}${code}` : `(${code}) ${body}`;
}

/** What the kernel takes a value for that its checks are going to refuse. */
function nearestRow(insn: Insn): OpcodeRow | undefined {
  const rows = rowsOfCode(insn.code);
  switch (rows[0]?.form) {
    case 'alu': // sign extension to 32 bits from 32: only the 64-bit move has it
      return (
        (insn.off === 32 ? rowsOfCode(insn.code | BPF_ALU64).find((row) => row.off === 32) : undefined) ??
        rows[0]
      );
    case 'load_acquire': // 8- and 16-bit read-modify-write: only wider ones exist
      return rowsOfCode(BPF_STX | BPF_ATOMIC | BPF_DW).find((row) => row.imm === insn.imm);
    case 'atomic':
      return undefined;
    default:
      return rows[0];
  }
}

/** `exact` is false where `row` merely shares the opcode byte. Undefined: the kernel has no text either. */
function bodyText(context: PrintContext, row: OpcodeRow, exact: boolean): string | undefined {
  const { insn } = context;
  switch (row.form) {
    case 'alu':
    case 'movsx':
    case 'neg':
    case 'end':
    case 'addr_space_cast':
      return aluText(insn, row);
    case 'ldx':
      return `r${insn.dst} = *(${row.signed ? 's' : 'u'}${row.width} *)${address(insn.src, insn.off)}`;
    case 'st':
      return `*(u${row.width} *)${address(insn.dst, insn.off)} = ${insn.imm}`;
    case 'stx':
      return `*(u${row.width} *)${address(insn.dst, insn.off)} = r${insn.src}`;
    case 'atomic':
    case 'load_acquire':
    case 'store_release':
      return atomicText(insn, row);
    case 'ld_imm64':
      return imm64Text(context, row, exact);
    case 'ld_abs':
      return `r0 = *(u${row.width} *)skb[${insn.imm}]`;
    case 'ld_ind':
      return `r0 = *(u${row.width} *)skb[r${insn.src} + ${insn.imm}]`;
    default:
      return controlText(context, row, exact);
  }
}

function aluText(insn: Insn, row: RowOf<'alu' | 'movsx' | 'neg' | 'end' | 'addr_space_cast'>): string {
  const r = row.form !== 'end' && bpfClass(insn.code) === BPF_ALU ? 'w' : 'r';
  const dst = `${r}${insn.dst}`;
  switch (row.form) {
    case 'alu':
      return `${dst} ${ALU_SYMBOLS[row.op]} ${row.operand === 'imm' ? insn.imm : `${r}${insn.src}`}`;
    case 'movsx':
      return `${dst} = (s${row.from})${r}${insn.src}`;
    case 'neg':
      return `${dst} = -${dst}`;
    case 'end':
      return `${dst} = ${row.op}${insn.imm} ${dst}`;
    case 'addr_space_cast':
      return `${dst} = addr_space_cast(r${insn.src}, ${insn.imm >>> 16}, ${insn.imm & 0xffff})`;
  }
}

function atomicText(insn: Insn, row: RowOf<'atomic' | 'load_acquire' | 'store_release'>): string {
  const type = `(u${BITS[bpfSize(insn.code)]} *)`;
  const value = `r${insn.src}`;
  if (row.form === 'load_acquire')
    return `r${insn.dst} = load_acquire(${type}${address(insn.src, insn.off)})`;
  const pointer = `${type}${address(insn.dst, insn.off)}`;
  if (row.form === 'store_release') return `store_release(${pointer}, ${value})`;
  if (!row.fetch) return `lock *${pointer} ${ATOMIC_SYMBOLS[row.op]} ${value}`;
  const prefix = bpfSize(insn.code) === BPF_DW ? 'atomic64' : 'atomic';
  if (row.op === 'cmpxchg') return `r0 = ${prefix}_cmpxchg(${pointer}, r0, ${value})`;
  return `${value} = ${prefix}_${row.op === 'xchg' ? 'xchg' : `fetch_${row.op}`}(${pointer}, ${value})`;
}

function imm64Text(context: PrintContext, row: RowOf<'ld_imm64'>, exact: boolean): string | undefined {
  const { insn, next, insns, slot, options } = context;
  const name = options.immName?.(insns, slot);
  if (name !== undefined) return `r${insn.dst} = ${name}`;
  if (next === undefined) return undefined;
  const plain = options.literal || row.kind === 'value' || !exact;
  return `r${insn.dst} = ${plain ? `0x${imm64(insns, slot).toString(16)}` : pseudoText(row, insn.imm, next.imm)}`;
}

/** Not the kernel's words, which print every source alike, but near bpftool's. */
function pseudoText(row: RowOf<'ld_imm64'>, imm: number, upper: number): string {
  switch (row.kind) {
    case 'map_fd':
      return `map[fd:${imm}]`;
    case 'map_value':
      return `map[fd:${imm}][0]${plus(upper)}`;
    case 'map_idx':
      return `map[idx:${imm}]`;
    case 'map_idx_value':
      return `map[idx:${imm}][0]${plus(upper)}`;
    case 'btf_id':
      return upper === 0 ? `btf_id[${imm}]` : `btf_id[${imm}, fd ${upper}]`;
    default:
      return `subprog[${plus(imm)}]`;
  }
}

function controlText(
  context: PrintContext,
  row: RowOf<'ja' | 'gotol' | 'gotox' | 'may_goto' | 'jump' | 'call' | 'callx' | 'exit'>,
  exact: boolean,
): string | undefined {
  const { insn } = context;
  switch (row.form) {
    case 'ja':
      return `goto pc${plus(insn.off)}`;
    case 'gotol':
      return `gotol pc${plus(insn.imm)}`;
    case 'may_goto':
      if (exact) return `may_goto pc${plus(insn.off)}`;
      return `if r${insn.dst} (null) 0x${(insn.imm >>> 0).toString(16)} goto pc${plus(insn.off)}`;
    case 'jump': {
      const r = row.width === 32 ? 'w' : 'r';
      const operand = row.operand === 'imm' ? `0x${(insn.imm >>> 0).toString(16)}` : `${r}${insn.src}`;
      return `if ${r}${insn.dst} ${JUMP_SYMBOLS[row.op]} ${operand} goto pc${plus(insn.off)}`;
    }
    case 'call':
      return callText(context, exact ? row.kind : 'helper');
    case 'gotox':
    case 'callx':
      return `${row.form} r${insn.dst}`;
    case 'exit':
      return 'exit';
  }
}

/** Sources that are no kind of call print as unknown helpers. */
function callText({ insn, options }: PrintContext, kind: RowOf<'call'>['kind']): string {
  if (kind === 'local') return `call pc${plus(insn.imm)}`;
  if (kind === 'helper') {
    const name = insn.src === 0 ? options.helperName?.(insn.imm) : undefined;
    return `call ${name ?? 'unknown'}#${insn.imm}`;
  }
  const own = options.kfuncName?.(insn) ?? 'kernel-function';
  if (options.literal) return `call ${own}#${insn.imm}`;
  return `call ${KFUNC_WORD} ${own}#${insn.imm}${insn.off === 0 ? '' : `, fd ${insn.off}`}`;
}

function address(register: number, off: number): string {
  return `(r${register} ${plus(off)})`;
}

function plus(value: number): string {
  return value < 0 ? `${value}` : `+${value}`;
}
