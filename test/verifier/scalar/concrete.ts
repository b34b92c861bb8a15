/**
 * Concrete values for the tests of the scalar domain: 64-bit BPF arithmetic and comparisons on bigint, written
 * independently of the domain, and the membership of a value in a scalar.
 */
import * as isa from '../../../src/isa/index.js';
import * as scalar from '../../../src/verifier/scalar/index.js';

export const asU64 = BigInt.asUintN.bind(BigInt, 64);
export const asS64 = BigInt.asIntN.bind(BigInt, 64);
const asU32 = BigInt.asUintN.bind(BigInt, 32);
const asS32 = BigInt.asIntN.bind(BigInt, 32);
const MAX64 = 2n ** 64n - 1n;

/** A scalar's bounds as bigints, taken once. */
export interface Bounds {
  readonly value: bigint;
  readonly mask: bigint;
  readonly smin: bigint;
  readonly smax: bigint;
  readonly umin: bigint;
  readonly umax: bigint;
  readonly s32min: bigint;
  readonly s32max: bigint;
  readonly u32min: bigint;
  readonly u32max: bigint;
}

export function boundsOf(s: scalar.Scalar): Bounds {
  return {
    value: scalar.tnumValue(s),
    mask: scalar.tnumMask(s),
    smin: scalar.smin(s),
    smax: scalar.smax(s),
    umin: scalar.umin(s),
    umax: scalar.umax(s),
    s32min: BigInt(scalar.s32min(s)),
    s32max: BigInt(scalar.s32max(s)),
    u32min: BigInt(scalar.u32min(s)),
    u32max: BigInt(scalar.u32max(s)),
  };
}

/** Whether the unsigned 64-bit `v` is a member in every domain. */
export function holds(b: Bounds, v: bigint): boolean {
  if ((v & (MAX64 ^ b.mask)) !== b.value || v < b.umin || v > b.umax) return false;
  const s = asS64(v);
  const u32 = v & 0xffffffffn;
  const s32 = asS32(v);
  return (
    s >= b.smin && s <= b.smax && u32 >= b.u32min && u32 <= b.u32max && s32 >= b.s32min && s32 <= b.s32max
  );
}

const least = (all: readonly bigint[]): bigint => all.reduce((a, b) => (b < a ? b : a));
const greatest = (all: readonly bigint[]): bigint => all.reduce((a, b) => (b > a ? b : a));

/** The tightest scalar that holds all of `values` (unsigned 64-bit). */
export function scalarOf(values: readonly bigint[]): scalar.Scalar {
  const s = new scalar.Scalar();
  const differing = values.reduce((bits, v) => bits | (v ^ values[0]!), 0n);
  scalar.setTnumBits(s, values[0]! & (MAX64 ^ differing), differing);
  scalar.setUmin(s, least(values));
  scalar.setUmax(s, greatest(values));
  scalar.setSmin(s, least(values.map(asS64)));
  scalar.setSmax(s, greatest(values.map(asS64)));
  scalar.setU32Range(s, Number(least(values.map(asU32))), Number(greatest(values.map(asU32))));
  scalar.setS32Range(s, Number(least(values.map(asS32))), Number(greatest(values.map(asS32))));
  return s;
}

export function copyOf(s: scalar.Scalar): scalar.Scalar {
  const copy = new scalar.Scalar();
  scalar.copyScalar(copy, s);
  return copy;
}

/** Result of `a op b` on unsigned 64-bit values; shifts take their amount modulo the width. */
export function compute(op: number, is64: boolean, a: bigint, b: bigint): bigint {
  const width = is64 ? 64n : 32n;
  const x = is64 ? a : asU32(a);
  const y = is64 ? b : asU32(b);
  const shift = y % width;
  return BigInt.asUintN(Number(width), raw());

  function raw(): bigint {
    switch (op) {
      case isa.BPF_ADD:
        return x + y;
      case isa.BPF_SUB:
        return x - y;
      case isa.BPF_MUL:
        return x * y;
      case isa.BPF_DIV:
        return y === 0n ? 0n : x / y;
      case isa.BPF_MOD:
        return y === 0n ? x : x % y;
      case isa.BPF_AND:
        return x & y;
      case isa.BPF_OR:
        return x | y;
      case isa.BPF_XOR:
        return x ^ y;
      case isa.BPF_NEG:
        return -x;
      case isa.BPF_LSH:
        return x << shift;
      case isa.BPF_RSH:
        return x >> shift;
      case isa.BPF_ARSH:
        return BigInt.asIntN(Number(width), x) >> shift;
      default:
        throw new Error(`no operation ${op}`);
    }
  }
}

/** Whether `a op b` holds for unsigned 64-bit values. */
export function compare(op: number, is32: boolean, a: bigint, b: bigint): boolean {
  const x = is32 ? asU32(a) : a;
  const y = is32 ? asU32(b) : b;
  const sx = is32 ? asS32(a) : asS64(a);
  const sy = is32 ? asS32(b) : asS64(b);
  switch (op) {
    case isa.BPF_JEQ:
      return x === y;
    case isa.BPF_JNE:
      return x !== y;
    case isa.BPF_JSET:
      return (x & y) !== 0n;
    case scalar.JSET_FALSE:
      return (x & y) === 0n;
    case isa.BPF_JGT:
      return x > y;
    case isa.BPF_JGE:
      return x >= y;
    case isa.BPF_JLT:
      return x < y;
    case isa.BPF_JLE:
      return x <= y;
    case isa.BPF_JSGT:
      return sx > sy;
    case isa.BPF_JSGE:
      return sx >= sy;
    case isa.BPF_JSLT:
      return sx < sy;
    case isa.BPF_JSLE:
      return sx <= sy;
    default:
      throw new Error(`no comparison ${op}`);
  }
}

export const ALU_OPS: Readonly<Record<string, number>> = {
  add: isa.BPF_ADD,
  sub: isa.BPF_SUB,
  mul: isa.BPF_MUL,
  div: isa.BPF_DIV,
  mod: isa.BPF_MOD,
  and: isa.BPF_AND,
  or: isa.BPF_OR,
  xor: isa.BPF_XOR,
  neg: isa.BPF_NEG,
  lsh: isa.BPF_LSH,
  rsh: isa.BPF_RSH,
  arsh: isa.BPF_ARSH,
};

export const JUMP_OPS: Readonly<Record<string, number>> = {
  jeq: isa.BPF_JEQ,
  jne: isa.BPF_JNE,
  jset: isa.BPF_JSET,
  jgt: isa.BPF_JGT,
  jge: isa.BPF_JGE,
  jlt: isa.BPF_JLT,
  jle: isa.BPF_JLE,
  jsgt: isa.BPF_JSGT,
  jsge: isa.BPF_JSGE,
  jslt: isa.BPF_JSLT,
  jsle: isa.BPF_JSLE,
};
