/**
 * A second, slow opinion: arithmetic, jumps and stack accesses of straight text with `bigint`, written from
 * RFC 9669 and from nothing of the engine. For programs that end and touch their frame only.
 */
import { findOpcode, type Insn, type JumpOp } from '../../src/isa/index.js';

const U = BigInt.asUintN;
const I = BigInt.asIntN;

function divide(x: bigint, y: bigint, width: number, signed: boolean): bigint {
  if (y === 0n) return 0n;
  return signed ? I(width, x) / I(width, y) : x / y;
}

function modulo(x: bigint, y: bigint, width: number, signed: boolean): bigint {
  if (y === 0n) return x;
  return signed ? I(width, x) % I(width, y) : x % y;
}

function alu(op: string, x: bigint, y: bigint, width: 32 | 64): bigint {
  const shift = y % BigInt(width);
  const results: Readonly<Record<string, () => bigint>> = {
    add: () => x + y,
    sub: () => x - y,
    mul: () => x * y,
    div: () => divide(x, y, width, false),
    sdiv: () => divide(x, y, width, true),
    mod: () => modulo(x, y, width, false),
    smod: () => modulo(x, y, width, true),
    or: () => x | y,
    and: () => x & y,
    xor: () => x ^ y,
    mov: () => y,
    lsh: () => x << shift,
    rsh: () => x >> shift,
    arsh: () => I(width, x) >> shift,
  };
  return U(width, results[op]!());
}

function holds(op: JumpOp, x: bigint, y: bigint, width: number): boolean {
  const [sx, sy] = [I(width, x), I(width, y)];
  const results: Readonly<Record<JumpOp, boolean>> = {
    jeq: x === y,
    jne: x !== y,
    jgt: x > y,
    jge: x >= y,
    jlt: x < y,
    jle: x <= y,
    jset: (x & y) !== 0n,
    jsgt: sx > sy,
    jsge: sx >= sy,
    jslt: sx < sy,
    jsle: sx <= sy,
  };
  return results[op];
}

export interface ReferenceResult {
  readonly registers: readonly bigint[];
  readonly stack: Uint8Array;
  readonly instructions: number;
}

/** Runs until `exit`, at most `limit` instructions. r10 must only be used as a base; the frame starts zeroed. */
export function interpret(insns: readonly Insn[], limit: number): ReferenceResult {
  const r: bigint[] = new Array(11).fill(0n);
  const stack = new Uint8Array(512);
  const view = new DataView(stack.buffer);
  let instructions = 0;
  for (let pc = 0; ; pc++) {
    if (++instructions > limit) throw new Error('the reference ran out of its limit');
    const insn = insns[pc]!;
    const row = findOpcode(insn)!;
    switch (row.form) {
      case 'exit':
        return { registers: r, stack, instructions };
      case 'alu': {
        const y = row.operand === 'reg' ? r[insn.src]! : BigInt(insn.imm);
        r[insn.dst] = alu(row.op, U(row.width, r[insn.dst]!), U(row.width, y), row.width);
        break;
      }
      case 'neg':
        r[insn.dst] = U(row.width, -r[insn.dst]!);
        break;
      case 'movsx':
        r[insn.dst] = U(row.width, I(row.from, r[insn.src]!));
        break;
      case 'jump': {
        const y = row.operand === 'reg' ? r[insn.src]! : BigInt(insn.imm);
        if (holds(row.op, U(row.width, r[insn.dst]!), U(row.width, y), row.width)) pc += insn.off;
        break;
      }
      case 'ja':
        pc += insn.off;
        break;
      case 'ldx': {
        let value = 0n;
        for (let i = row.width / 8 - 1; i >= 0; i--)
          value = (value << 8n) | BigInt(stack[512 + insn.off + i]!);
        r[insn.dst] = row.signed ? U(64, I(row.width, value)) : value;
        break;
      }
      case 'st':
      case 'stx': {
        let value = row.form === 'st' ? U(64, BigInt(insn.imm)) : r[insn.src]!;
        for (let i = 0; i < row.width / 8; i++, value >>= 8n)
          view.setUint8(512 + insn.off + i, Number(value & 0xffn));
        break;
      }
      default:
        throw new Error(`the reference does not know ${row.name}`);
    }
  }
}
