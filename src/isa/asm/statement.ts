/**
 * One assembler statement to one instruction. Both dialects are read by one grammar: they differ in
 * spelling only, and the opcode in front of a kernel log line settles what the spelling leaves open.
 */
import { LD_IMM64 } from '../constants.js';
import { ldImm64, makeInsn } from '../encode.js';
import type { Insn } from '../insn.js';
import { ALU_SYMBOLS, ATOMIC_SYMBOLS, invert, JUMP_SYMBOLS, KFUNC_WORD, RAW_DIRECTIVE } from '../syntax.js';
import { assignValue } from './assign.js';
import type { Cursor } from './lexer.js';
import * as op from './operands.js';

/** A jump or call whose label is to be resolved into this field of the statement's first slot. */
export interface Fixup {
  readonly field: 'off' | 'imm';
  readonly label: string;
  readonly column: number;
}

export interface Statement {
  readonly insns: Insn[];
  readonly fixup?: Fixup;
}

export interface StatementOptions {
  /** Opcode byte in front of the statement, as the kernel's log has it. */
  readonly code?: number;
  /** Number of a helper by name, for `call bpf_…`. */
  readonly helperId?: (name: string) => number | undefined;
}

const ALU_OPS = invert(ALU_SYMBOLS);
const JUMP_OPS = invert(JUMP_SYMBOLS);
const ATOMIC_OPS = invert(ATOMIC_SYMBOLS);

/** Parse a whole statement; the caller sees to it that the line ends there. */
export function statement(c: Cursor, options: StatementOptions): Statement {
  if (op.atRegister(c)) return { insns: assignment(c, options) };
  if (c.accept('*')) return { insns: [store(c)] };
  const word = c.take('word');
  switch (word?.text) {
    case 'exit':
      return { insns: [makeInsn('exit')] };
    case 'goto':
      return jump(c, makeInsn('ja'), 'off');
    case 'gotol':
      return jump(c, makeInsn('gotol'), 'imm');
    case 'may_goto':
      return jump(c, makeInsn('may_goto'), 'off');
    case 'if':
      return conditional(c);
    case 'call':
      return call(c, options);
    case 'callx':
    case 'gotox':
      return { insns: [makeInsn(word.text, { dst: op.registerOf(c, 64) })] };
    case 'lock':
      return { insns: [locked(c)] };
    case 'store_release':
      return { insns: [storeRelease(c)] };
    case 'ld_pseudo':
      return { insns: pseudoLoad(c) };
    case RAW_DIRECTIVE:
      return { insns: [raw(c)] };
    default:
      return c.fail(
        `expected a statement, found ${word === undefined ? c.found() : JSON.stringify(word.text)}`,
        word?.column,
      );
  }
}

function assignment(c: Cursor, options: StatementOptions): Insn[] {
  const dst = op.register(c);
  const alu = ALU_OPS.get(c.peek()?.text ?? '');
  if (alu === undefined)
    c.fail(`expected an operator such as "=" or "+=" after ${dst.width === 32 ? 'w' : 'r'}${dst.number}`);
  c.take('symbol');
  if (alu === 'mov') return assignValue(c, dst, options.code === LD_IMM64);
  const name = `${alu}${dst.width}`;
  if (op.atRegister(c))
    return [makeInsn(`${name}_reg`, { dst: dst.number, src: op.registerOf(c, dst.width) })];
  return [makeInsn(`${name}_imm`, { dst: dst.number, imm: op.imm32(c, dst.width === 32) })];
}

function store(c: Cursor): Insn {
  const column = c.column;
  const { signed, width, base, off } = op.pointer(c);
  if (signed) c.fail('stores take unsigned types', column);
  c.expect('=');
  if (op.atRegister(c)) return makeInsn(`stx${width}`, { dst: base, src: op.valueRegister(c, width), off });
  return makeInsn(`st${width}`, { dst: base, off, imm: op.imm32(c, width < 64) });
}

function jump(c: Cursor, insn: Insn, field: 'off' | 'imm'): Statement {
  const [min, max] = field === 'off' ? op.S16 : op.S32;
  const target = op.target(c, min, max);
  if ('label' in target)
    return { insns: [insn], fixup: { field, label: target.label, column: target.column } };
  insn[field] = target.displacement;
  return { insns: [insn] };
}

function conditional(c: Cursor): Statement {
  const left = op.register(c);
  const jumpOp = JUMP_OPS.get(c.peek()?.text ?? '');
  if (jumpOp === undefined) c.fail(`expected a comparison such as "==" or "s>", found ${c.found()}`);
  c.take('symbol');
  const name = `${jumpOp}${left.width}`;
  const insn = op.atRegister(c)
    ? makeInsn(`${name}_reg`, { dst: left.number, src: op.registerOf(c, left.width) })
    : makeInsn(`${name}_imm`, { dst: left.number, imm: op.imm32(c, true) });
  c.expect('goto');
  return jump(c, insn, 'off');
}

/** `call 5`, `call bpf_…#5`, `call bpf_…`, `call pc+3`, `call label`, `call kfunc name#7, fd 2`. */
function call(c: Cursor, options: StatementOptions): Statement {
  const after = c.peek(1);
  const kfunc = c.peek()?.text === KFUNC_WORD && after !== undefined;
  if (kfunc) {
    c.accept(KFUNC_WORD);
    skipName(c);
    const imm = op.imm32(c, true);
    let off = 0;
    if (c.accept(',')) {
      c.expect('fd');
      off = Number(op.numberIn(c, 'fd index', ...op.S16));
    }
    return { insns: [makeInsn('call_kfunc', { off, imm })] };
  }
  if (skipName(c) || op.atNumber(c)) return { insns: [makeInsn('call_helper', { imm: op.imm32(c, true) })] };
  const id = after === undefined ? options.helperId?.(c.peek()?.text ?? '') : undefined;
  if (id === undefined) return jump(c, makeInsn('call_local'), 'imm');
  c.take('word');
  return { insns: [makeInsn('call_helper', { imm: id })] };
}

/** `name#` before a number, where the line has it. */
function skipName(c: Cursor): boolean {
  let ahead = 0;
  while (c.peek(ahead) !== undefined && c.peek(ahead)!.text !== '#') ahead++;
  if (c.peek(ahead) === undefined) return false;
  while (!c.accept('#')) if (c.take('word') === undefined) c.expect('-');
  return true;
}

function locked(c: Cursor): Insn {
  c.expect('*');
  const column = c.column;
  const memory = op.pointer(c);
  const atomic = ATOMIC_OPS.get(c.peek()?.text ?? '');
  if (atomic === undefined) c.fail(`expected "+=", "|=", "&=" or "^=", found ${c.found()}`);
  c.take('symbol');
  if (memory.signed || memory.width < 32) c.fail('atomic operations take u32 or u64', column);
  const src = op.valueRegister(c, memory.width);
  return makeInsn(`atomic_${atomic}${memory.width}`, { dst: memory.base, src, off: memory.off });
}

function storeRelease(c: Cursor): Insn {
  c.expect('(');
  const column = c.column;
  const memory = op.pointer(c);
  if (memory.signed) c.fail('stores take unsigned types', column);
  c.expect(',');
  const src = op.valueRegister(c, memory.width);
  c.expect(')');
  return makeInsn(`store_release${memory.width}`, { dst: memory.base, src, off: memory.off });
}

/** `ld_pseudo r1, 0x1, 0x5`, LLVM's spelling of a `LD_IMM64` with a source; a fourth number is the upper half. */
function pseudoLoad(c: Cursor): Insn[] {
  const dst = op.registerOf(c, 64);
  c.expect(',');
  const src = Number(op.numberIn(c, 'pseudo source', 0n, 15n));
  c.expect(',');
  const [first, second] = ldImm64(dst, BigInt(op.imm32(c, true)), src);
  second.imm = c.accept(',') ? op.imm32(c, true) : 0;
  return [first, second];
}

function raw(c: Cursor): Insn {
  const code = Number(op.numberIn(c, 'opcode', 0n, 255n));
  c.expect(',');
  const dst = Number(op.numberIn(c, 'register', 0n, 15n));
  c.expect(',');
  const src = Number(op.numberIn(c, 'register', 0n, 15n));
  c.expect(',');
  const off = Number(op.numberIn(c, 'offset', ...op.S16));
  c.expect(',');
  return { code, dst, src, off, imm: op.imm32(c, true) };
}
