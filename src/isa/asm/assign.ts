/**
 * What may stand to the right of `register =`: moves, loads, byte swaps, atomics with a result,
 * 64-bit immediates.
 */
import * as C from '../constants.js';
import { ldImm64, makeInsn } from '../encode.js';
import type { Insn } from '../insn.js';
import type { Cursor } from './lexer.js';
import * as op from './operands.js';

const U64_MAX = 0xffffffffffffffffn;
const SWAP = /^(le|be|bswap)(16|32|64)$/;
const SIGN_CAST = /^s(8|16|32)$/;
/** The kernel writes `atomic64_fetch_add((u64 *)…`, LLVM `atomic_fetch_add((u64 *)…`. */
const FETCH = /^atomic(?:64)?_fetch_(add|or|and|xor)$/;
const KERNEL_XCHG = /^atomic(?:64)?_(xchg|cmpxchg)$/;
const LLVM_XCHG = /^(xchg|cmpxchg)(?:(32)_32|_64)$/;

/** Parse the right-hand side. `imm64`: a number is a 64-bit immediate even without `ll`. */
export function assignValue(c: Cursor, dst: op.Register, imm64: boolean): Insn[] {
  const text = c.peek()?.text ?? '';
  if (op.atRegister(c)) return [move(c, dst)];
  if (op.atNumber(c)) return moveNumber(c, dst, imm64);
  if (text === '-') return [negate(c, dst)];
  if (text === '(') return [signExtend(c, dst)];
  if (text === '*') return [load(c, dst)];
  const fetch = FETCH.exec(text);
  if (fetch !== null) return [fetchAtomic(c, dst, fetch[1]!)];
  if (KERNEL_XCHG.test(text) || LLVM_XCHG.test(text)) return [exchange(c, dst)];
  if (SWAP.test(text)) return [swap(c, dst, text)];
  switch (text) {
    case 'load_acquire':
      return [loadAcquire(c, dst)];
    case 'addr_space_cast':
      return [addrSpaceCast(c, dst)];
    case 'map':
    case 'btf_id':
    case 'subprog':
      return pseudo(c, dst, text);
    default:
      return c.fail(`expected a value, found ${c.found()}`);
  }
}

function move(c: Cursor, dst: op.Register): Insn {
  return makeInsn(`mov${dst.width}_reg`, { dst: dst.number, src: op.registerOf(c, dst.width) });
}

function moveNumber(c: Cursor, dst: op.Register, imm64: boolean): Insn[] {
  let ahead = 1;
  if (c.peek()?.kind === 'symbol') ahead++;
  const wide = imm64 || c.peek(ahead)?.text === 'll';
  if (!wide)
    return [makeInsn(`mov${dst.width}_imm`, { dst: dst.number, imm: op.imm32(c, dst.width === 32) })];
  if (dst.width === 32) c.fail('64-bit immediates go to r registers', dst.column);
  const value = op.numberIn(c, 'immediate', -(2n ** 63n), U64_MAX);
  c.accept('ll');
  return ldImm64(dst.number, value);
}

/** The operand of what works in place must be the destination itself. */
function same(c: Cursor, dst: op.Register): number {
  const column = c.column;
  const found = op.registerOf(c, dst.width);
  if (found !== dst.number) c.fail(`must be the register that is assigned to, number ${dst.number}`, column);
  return found;
}

function negate(c: Cursor, dst: op.Register): Insn {
  c.expect('-');
  return makeInsn(`neg${dst.width}`, { dst: same(c, dst) });
}

function swap(c: Cursor, dst: op.Register, name: string): Insn {
  if (dst.width === 32) c.fail('byte swaps take r registers', dst.column);
  c.expect(name);
  return makeInsn(name, { dst: same(c, dst) });
}

function signExtend(c: Cursor, dst: op.Register): Insn {
  c.expect('(');
  const column = c.column;
  const from = Number(SIGN_CAST.exec(c.take('word')?.text ?? '')?.[1] ?? Number.NaN);
  if (Number.isNaN(from) || from === dst.width) {
    c.fail(`expected a narrower signed type (s8, s16${dst.width === 64 ? ', s32' : ''})`, column);
  }
  c.expect(')');
  return makeInsn(`movsx${from}_${dst.width}`, { dst: dst.number, src: op.registerOf(c, dst.width) });
}

/** `*(u32 *)(r1 + 8)`, or a packet load into r0. */
function load(c: Cursor, dst: op.Register): Insn {
  c.expect('*');
  const column = c.column;
  const { signed, width } = op.cast(c);
  if (c.accept('skb')) {
    if (signed || width === 64) c.fail('packet loads take u8, u16 or u32', column);
    return packetLoad(c, dst, width);
  }
  c.expect('(');
  const { base, off } = op.baseAndOff(c);
  c.expect(')');
  if (signed && width === 64) c.fail('there is no sign-extending 64-bit load', column);
  if (dst.width === 32 && (signed || width === 64)) c.fail('this load takes an r register', dst.column);
  return makeInsn(`ldx_${signed ? 's' : 'u'}${width}`, { dst: dst.number, src: base, off });
}

function packetLoad(c: Cursor, dst: op.Register, width: number): Insn {
  if (dst.number !== 0 || dst.width !== 64) c.fail('packet loads go to r0', dst.column);
  c.expect('[');
  const indirect = op.atRegister(c);
  const src = indirect ? op.registerOf(c, 64) : 0;
  const signedNext = c.peek()?.text === '+' || c.peek()?.text === '-';
  const imm = indirect && !signedNext ? 0 : skbOffset(c);
  c.expect(']');
  return makeInsn(indirect ? `ld_ind${width}` : `ld_abs${width}`, { src, imm });
}

/** The kernel writes a negative index offset as `r1 + -4`. */
function skbOffset(c: Cursor): number {
  if (c.peek()?.text === '+' && c.peek(1)?.text === '-') c.accept('+');
  return op.imm32(c, true);
}

function atomicPointer(c: Cursor): op.Memory {
  const column = c.column;
  const memory = op.pointer(c);
  if (memory.signed || memory.width < 32) c.fail('atomic operations take u32 or u64', column);
  return memory;
}

/** `atomic_fetch_add((u64 *)(r1 + 0), r2)`: the result goes where the operand came from. */
function fetchAtomic(c: Cursor, dst: op.Register, name: string): Insn {
  c.take('word');
  c.expect('(');
  const memory = atomicPointer(c);
  c.expect(',');
  const src = same(c, dst);
  c.expect(')');
  if (dst.width === 32 && memory.width === 64) c.fail('a u64 operation takes r registers', dst.column);
  return makeInsn(`atomic_fetch_${name}${memory.width}`, { dst: memory.base, src, off: memory.off });
}

/** `xchg_64(r1 + 0x8, r2)` and `cmpxchg32_32(r1 + 0x8, w0, w2)` of LLVM, `atomic_xchg((u32 *)…` of the kernel. */
function exchange(c: Cursor, dst: op.Register): Insn {
  const name = c.take('word')!.text;
  const llvm = LLVM_XCHG.exec(name);
  const kind = llvm?.[1] ?? KERNEL_XCHG.exec(name)![1]!;
  c.expect('(');
  const memory =
    llvm === null ? atomicPointer(c) : { ...op.baseAndOff(c), width: llvm[2] === undefined ? 64 : 32 };
  c.expect(',');
  if (kind === 'cmpxchg') {
    const column = c.column;
    if (op.registerOf(c, dst.width) !== 0 || dst.number !== 0) {
      c.fail('compare-and-exchange compares with and returns in register 0', column);
    }
    c.expect(',');
  }
  const src = kind === 'cmpxchg' ? op.registerOf(c, dst.width) : same(c, dst);
  c.expect(')');
  if (dst.width === 32 && memory.width === 64) c.fail('a u64 operation takes r registers', dst.column);
  return makeInsn(`atomic_${kind}${memory.width}`, { dst: memory.base, src, off: memory.off });
}

function loadAcquire(c: Cursor, dst: op.Register): Insn {
  c.expect('load_acquire');
  c.expect('(');
  const column = c.column;
  const { signed, width, base, off } = op.pointer(c);
  c.expect(')');
  if (signed) c.fail('load_acquire takes an unsigned type', column);
  if (dst.width === 32 && width === 64) c.fail('this load takes an r register', dst.column);
  return makeInsn(`load_acquire${width}`, { dst: dst.number, src: base, off });
}

function addrSpaceCast(c: Cursor, dst: op.Register): Insn {
  c.expect('addr_space_cast');
  c.expect('(');
  const src = op.registerOf(c, dst.width);
  c.expect(',');
  const to = Number(op.numberIn(c, 'address space', 0n, 0xffffn));
  c.expect(',');
  const from = Number(op.numberIn(c, 'address space', 0n, 0xffffn));
  c.expect(')');
  if (dst.width === 32) c.fail('address space casts take r registers', dst.column);
  return makeInsn('addr_space_cast', { dst: dst.number, src, imm: (to << 16) | from });
}

/** `map[fd:5]`, `map[idx:5][0]+8`, `btf_id[7, fd 3]`, `subprog[+3]`: `LD_IMM64` with a pseudo source. */
function pseudo(c: Cursor, dst: op.Register, word: string): Insn[] {
  if (dst.width === 32) c.fail('64-bit immediates go to r registers', dst.column);
  c.expect(word);
  c.expect('[');
  const build = (src: number, low: number, high: number): Insn[] => {
    const [first, second] = ldImm64(dst.number, BigInt(low), src);
    second.imm = high;
    return [first, second];
  };
  if (word === 'subprog') {
    const low = op.imm32(c, false);
    c.expect(']');
    return build(C.BPF_PSEUDO_FUNC, low, 0);
  }
  if (word === 'btf_id') {
    const low = op.imm32(c, true);
    const high = c.accept(',') ? btfFd(c) : 0;
    c.expect(']');
    return build(C.BPF_PSEUDO_BTF_ID, low, high);
  }
  const byIndex = c.accept('idx');
  if (!byIndex) c.expect('fd');
  c.expect(':');
  const low = op.imm32(c, true);
  c.expect(']');
  if (!c.accept('[')) return build(byIndex ? C.BPF_PSEUDO_MAP_IDX : C.BPF_PSEUDO_MAP_FD, low, 0);
  c.expect('0');
  c.expect(']');
  const high = c.done ? 0 : op.imm32(c, true);
  return build(byIndex ? C.BPF_PSEUDO_MAP_IDX_VALUE : C.BPF_PSEUDO_MAP_VALUE, low, high);
}

function btfFd(c: Cursor): number {
  c.expect('fd');
  return op.imm32(c, true);
}
