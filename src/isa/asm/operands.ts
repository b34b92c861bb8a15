/**
 * Operands of assembler statements: registers, immediates, memory references, jump targets.
 */
import type { Cursor } from './lexer.js';

export interface Register {
  readonly number: number;
  /** 32 for `w` registers. */
  readonly width: 32 | 64;
  readonly column: number;
}

/** `*(u32 *)(r1 + 8)`, or the pointer of an atomic. */
export interface Memory {
  readonly signed: boolean;
  readonly width: 8 | 16 | 32 | 64;
  readonly base: number;
  readonly off: number;
}

/** Where a jump leads: a displacement in slots, or a label to be resolved. */
export type Target =
  | { readonly displacement: number; readonly column: number }
  | { readonly label: string; readonly column: number };

const REGISTER = /^[rw](0|[1-9]|1[0-5])$/;
const TYPE = /^[us](8|16|32|64)$/;
const MAX_U32 = 0xffffffffn;
const MIN_S32 = -0x80000000n;

/** True when the next token is a register. */
export function atRegister(c: Cursor): boolean {
  return REGISTER.test(c.peek()?.text ?? '');
}

/** r0–r15 or w0–w15: the wire format has 16, though Linux refuses those past r10. */
export function register(c: Cursor): Register {
  const column = c.column;
  const token = c.take('word', REGISTER);
  if (token === undefined) c.fail(`expected a register, found ${c.found()}`);
  return { number: Number(token.text.slice(1)), width: token.text[0] === 'w' ? 32 : 64, column };
}

/** A register of exactly this width, which the other operands call for. */
export function registerOf(c: Cursor, width: 32 | 64): number {
  const found = register(c);
  if (found.width !== width) {
    const [want, is] = width === 32 ? ['w', 'r'] : ['r', 'w'];
    c.fail(
      `expected ${want}${found.number}, found ${is}${found.number}: operands differ in width`,
      found.column,
    );
  }
  return found.number;
}

/** Register of a load or store: `w` registers too where at most 32 bits move. */
export function valueRegister(c: Cursor, width: number): number {
  return width === 64 ? registerOf(c, 64) : register(c).number;
}

/** True when the next tokens are a number, signed or not. */
export function atNumber(c: Cursor): boolean {
  const text = c.peek()?.text;
  return c.peek(text === '-' || text === '+' ? 1 : 0)?.kind === 'number';
}

/** An optionally signed number. */
export function number(c: Cursor): bigint {
  const negative = c.accept('-');
  if (!negative) c.accept('+');
  const token = c.take('number');
  if (token === undefined) c.fail(`expected a number, found ${c.found()}`);
  return negative ? -token.value : token.value;
}

/** A number from `min` to `max`. */
export function numberIn(c: Cursor, what: string, min: bigint, max: bigint): bigint {
  const column = c.column;
  const value = number(c);
  if (value < min || value > max) {
    c.fail(`${what} ${value} is out of range: ${min} to ${max}`, column, 'ASM_RANGE');
  }
  return value;
}

/**
 * A 32-bit immediate. `unsigned`: values from 2^31 on are allowed too and stand for the same 32 bits;
 * otherwise the machine's sign extension would turn them into something else.
 */
export function imm32(c: Cursor, unsigned: boolean): number {
  return Number(BigInt.asIntN(32, numberIn(c, 'immediate', MIN_S32, unsigned ? MAX_U32 : 0x7fffffffn)));
}

/** `r1 + 0x8`, `r1 +8`, `r1 - 8` or plain `r1`, after the opening parenthesis and up to the closing one. */
export function baseAndOff(c: Cursor): { readonly base: number; readonly off: number } {
  const base = registerOf(c, 64);
  const signed = c.peek()?.text === '+' || c.peek()?.text === '-';
  return { base, off: signed ? Number(numberIn(c, 'offset', -0x8000n, 0x7fffn)) : 0 };
}

/** `u32 *)` after its opening parenthesis. */
function pointerType(c: Cursor): Pick<Memory, 'signed' | 'width'> {
  const token = c.take('word', TYPE);
  if (token === undefined) c.fail(`expected a type such as u32, found ${c.found()}`);
  c.expect('*');
  c.expect(')');
  return { signed: token.text[0] === 's', width: Number(token.text.slice(1)) as Memory['width'] };
}

/** `(u32 *)(r1 + 8)`; an atomic's second pair of parentheses is the caller's. */
export function pointer(c: Cursor): Memory {
  c.expect('(');
  const type = pointerType(c);
  c.expect('(');
  const address = baseAndOff(c);
  c.expect(')');
  return { ...type, ...address };
}

/** `(u32 *)` alone: what follows may be `(r1 + 8)` or `skb[…]`. */
export function cast(c: Cursor): Pick<Memory, 'signed' | 'width'> {
  c.expect('(');
  return pointerType(c);
}

/** `+3`, `-0x4`, `pc+3`, or a label. */
export function target(c: Cursor, min: bigint, max: bigint): Target {
  const column = c.column;
  const next = c.peek(1)?.text;
  if (c.peek()?.text === 'pc' && (next === '+' || next === '-')) c.accept('pc');
  else if (c.peek()?.kind === 'word') return { label: c.take('word')!.text, column };
  const text = c.peek()?.text;
  if (text !== '+' && text !== '-') c.fail(`expected a label or a signed displacement, found ${c.found()}`);
  return { displacement: Number(numberIn(c, 'displacement', min, max)), column };
}

/** Limits of jump displacements. */
export const S16: readonly [bigint, bigint] = [-0x8000n, 0x7fffn];
export const S32: readonly [bigint, bigint] = [MIN_S32, 0x7fffffffn];
