/**
 * One instruction in the syntax of LLVM's BPF back end (BPFInstPrinter of LLVM 19; load-acquire,
 * store-release and `gotox` as later versions spell them). Numbers are signed hexadecimal.
 */

import { imm64 } from './decode.js';
import type { PrintContext } from './disasm-types.js';
import type { Insn } from './insn.js';
import { jumpTarget } from './jumps.js';
import type { OpcodeRow, RowOf } from './opcodes.js';
import { ALU_SYMBOLS, ATOMIC_SYMBOLS, JUMP_SYMBOLS, KFUNC_WORD } from './syntax.js';

/** LLVM knows r0–r11; what uses others, or no opcode of its, is `<unknown>`. */
const LLVM_REGISTERS = 12;

/** Text of an instruction; `row` is undefined for what is none. */
export function llvmText(context: PrintContext, row: OpcodeRow | undefined): string {
  const { insn, options } = context;
  if (row === undefined) return '<unknown>';
  if (options.literal && !llvmKnows(insn, row, options.alu32 === true)) return '<unknown>';
  switch (row.form) {
    case 'alu':
    case 'movsx':
    case 'neg':
    case 'end':
    case 'addr_space_cast':
      return aluText(insn, row);
    case 'ldx':
    case 'st':
    case 'stx':
      return memoryText(insn, row, options.alu32 === true);
    case 'atomic':
    case 'load_acquire':
    case 'store_release':
      return atomicText(insn, row, options.alu32 === true);
    case 'ld_imm64':
      return imm64Text(context, row);
    case 'ld_abs':
      return `r0 = *(u${row.width} *)skb[${hex(insn.imm)}]`;
    case 'ld_ind': {
      const index = insn.imm === 0 || options.literal ? '' : ` ${spacedHex(insn.imm)}`;
      return `r0 = *(u${row.width} *)skb[r${insn.src}${index}]`;
    }
    default:
      return controlText(context, row);
  }
}

function llvmKnows(insn: Insn, row: OpcodeRow, alu32: boolean): boolean {
  for (const field of ['dst', 'src'] as const) {
    if (typeof row[field] === 'string' && insn[field] >= LLVM_REGISTERS) return false;
  }
  return alu32 || row.form !== 'atomic' || row.width === 64 || (row.op === 'add' && !row.fetch);
}

type AluRow = RowOf<'alu' | 'movsx' | 'neg' | 'end' | 'addr_space_cast'>;

function aluText(insn: Insn, row: AluRow): string {
  const r = 'width' in row && row.form !== 'end' && row.width === 32 ? 'w' : 'r';
  const dst = `${r}${insn.dst}`;
  switch (row.form) {
    case 'alu':
      return `${dst} ${ALU_SYMBOLS[row.op]} ${row.operand === 'imm' ? hex(insn.imm) : `${r}${insn.src}`}`;
    case 'movsx':
      return `${dst} = (s${row.from})${r}${insn.src}`;
    case 'neg':
      return `${dst} = -${dst}`;
    case 'end':
      return `${dst} = ${row.op}${row.width} ${dst}`;
    case 'addr_space_cast':
      return `${dst} = addr_space_cast(r${insn.src}, ${hex(insn.imm >>> 16)}, ${hex(insn.imm & 0xffff)})`;
  }
}

function memoryText(insn: Insn, row: RowOf<'ldx' | 'st' | 'stx'>, alu32: boolean): string {
  const unsigned = row.form !== 'ldx' || !row.signed;
  const r = alu32 && unsigned && row.width < 64 ? 'w' : 'r';
  const type = `${unsigned ? 'u' : 's'}${row.width}`;
  if (row.form === 'ldx') return `${r}${insn.dst} = *(${type} *)(${address(insn.src, insn.off)})`;
  const value = row.form === 'st' ? hex(insn.imm) : `${r}${insn.src}`;
  return `*(${type} *)(${address(insn.dst, insn.off)}) = ${value}`;
}

function atomicText(
  insn: Insn,
  row: RowOf<'atomic' | 'load_acquire' | 'store_release'>,
  alu32: boolean,
): string {
  const r = row.width === 64 ? 'r' : 'w';
  const pointer = `(u${row.width} *)(${address(insn.dst, insn.off)})`;
  const value = `${r}${insn.src}`;
  if (row.form === 'load_acquire') {
    return `${r}${insn.dst} = load_acquire((u${row.width} *)(${address(insn.src, insn.off)}))`;
  }
  if (row.form === 'store_release') return `store_release(${pointer}, ${value})`;
  if (row.op === 'xchg' || row.op === 'cmpxchg') {
    const name = `${row.op}${row.width === 64 ? '' : '32'}_${row.width}`;
    const memory = address(insn.dst, insn.off);
    return row.op === 'xchg'
      ? `${value} = ${name}(${memory}, ${value})`
      : `${r}0 = ${name}(${memory}, ${r}0, ${value})`;
  }
  if (row.fetch) return `${value} = atomic_fetch_${row.op}(${pointer}, ${value})`;
  const old = row.op === 'add' && !alu32 ? `r${insn.src}` : value;
  return `lock *${pointer} ${ATOMIC_SYMBOLS[row.op]} ${old}`;
}

function imm64Text(context: PrintContext, row: RowOf<'ld_imm64'>): string {
  const { insn, next, insns, slot, options } = context;
  const name = options.immName?.(insns, slot);
  if (name !== undefined) return `r${insn.dst} = ${name} ll`;
  if (next === undefined) return '<unknown>';
  if (row.kind === 'value') return `r${insn.dst} = ${hex(BigInt.asIntN(64, imm64(insns, slot)))} ll`;
  const upper = next.imm === 0 || options.literal ? '' : `, ${hex(next.imm)}`;
  return `ld_pseudo\tr${insn.dst}, ${hex(insn.src)}, ${hex(insn.imm)}${upper}`;
}

type ControlRow = RowOf<'ja' | 'gotol' | 'gotox' | 'may_goto' | 'jump' | 'call' | 'callx' | 'exit'>;

function controlText(context: PrintContext, row: ControlRow): string {
  const { insn } = context;
  switch (row.form) {
    case 'ja':
      return `goto ${target(context, insn.off)}`;
    case 'gotol':
      return `gotol ${target(context, insn.imm)}`;
    case 'may_goto':
      return `may_goto ${target(context, insn.off)}`;
    case 'jump': {
      const r = row.width === 32 ? 'w' : 'r';
      const operand = row.operand === 'imm' ? hex(insn.imm) : `${r}${insn.src}`;
      return `if ${r}${insn.dst} ${JUMP_SYMBOLS[row.op]} ${operand} goto ${target(context, insn.off)}`;
    }
    case 'call':
      return callText(context, row);
    case 'gotox':
    case 'callx':
      return `${row.form} r${insn.dst}`;
    case 'exit':
      return 'exit';
  }
}

function callText(context: PrintContext, row: RowOf<'call'>): string {
  const { insn, options } = context;
  if (row.kind === 'helper' || options.literal) return `call ${hex(insn.imm)}`;
  if (row.kind === 'local') return `call pc${target(context, insn.imm)}`;
  return `call ${KFUNC_WORD} ${hex(insn.imm)}${insn.off === 0 ? '' : `, fd ${hex(insn.off)}`}`;
}

function target(context: PrintContext, displacement: number): string {
  const to = jumpTarget(context.insn, context.slot);
  const name = to === undefined ? undefined : context.options.targetName?.(to);
  return `${displacement < 0 ? '' : '+'}${hex(displacement)}${name === undefined ? '' : ` <${name}>`}`;
}

function address(register: number, off: number): string {
  return `r${register} ${spacedHex(off)}`;
}

function spacedHex(value: number): string {
  return value < 0 ? `- 0x${(-value).toString(16)}` : `+ 0x${value.toString(16)}`;
}

function hex(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
