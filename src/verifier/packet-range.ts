/**
 * Comparisons of packet pointers with the packet's end, or of metadata with its data: they show how many bytes are there
 * (`find_good_pkt_pointers`, `try_match_pkt_pointers` of Linux 6.18).
 */
import { BPF_JGE, BPF_JGT, BPF_JLE, BPF_JLT } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Reg } from './reg.js';
import { PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META } from './reg-type.js';
import { flipOp, isZero, umaxNumber } from './scalar/index.js';
import { updateRegs, type VerifierState } from './state.js';

const MAX_PACKET_OFF = 0xffff;
/** `range` of a pointer known to be at the end, and known to be past it. */
const AT_END = -1;
const BEYOND_END = -2;

/** Which way a comparison goes with a pointer that was compared with the end before. */
export function packetBranchTaken(dst: Reg, src: Reg, op: number): number {
  let pkt: Reg;
  let operator = op;
  if (src.type === PTR_TO_PACKET_END) {
    pkt = dst;
  } else if (dst.type === PTR_TO_PACKET_END) {
    pkt = src;
    operator = flipOp(op);
  } else {
    return -1;
  }
  if (pkt.range >= 0) return -1;
  switch (operator) {
    case BPF_JLE:
    case BPF_JGT:
      return pkt.range === BEYOND_END ? Number(operator === BPF_JGT) : -1;
    case BPF_JLT:
    case BPF_JGE:
      return Number(operator === BPF_JGE);
    default:
      return -1;
  }
}

/** `ptr` up to its offset lies in the packet; all pointers with its id know it. */
function spread(state: VerifierState, ptr: Reg, rightOpen: boolean): void {
  const { off, type, id } = ptr;
  if (off < 0 || (off === 0 && rightOpen)) return;
  const max = umaxNumber(ptr);
  if (max > MAX_PACKET_OFF || max + off > MAX_PACKET_OFF) return;
  const range = rightOpen ? off + 1 : off;
  updateRegs(
    state,
    (reg) => reg.type === type && reg.id === id && reg.range < range,
    (reg) => {
      reg.range = range;
    },
  );
}

function markEnd(state: VerifierState, regno: number, rangeOpen: boolean): void {
  const { frame } = state;
  if (frame.peek(regno).type === PTR_TO_PACKET) frame.reg(regno).range = rangeOpen ? BEYOND_END : AT_END;
}

/** A packet's start as it came from the context, whatever range it has gained. */
const isInitial = (reg: Reg): boolean =>
  reg.type === PTR_TO_PACKET && reg.id === 0 && reg.off === 0 && isZero(reg);

/** `a` is a pointer whose bytes before it `b` vouches for: data and its end, or metadata and data. */
const isPair = (a: Reg, b: Reg): boolean =>
  (a.type === PTR_TO_PACKET && b.type === PTR_TO_PACKET_END) ||
  (a.type === PTR_TO_PACKET_META && isInitial(b));

/** Learns from `dst op src`: `fall` falls through, `taken` jumps. False: they have nothing to do with each other. */
export function matchPacketPointers(
  insn: Insn,
  op: number,
  dst: Reg,
  src: Reg,
  fall: VerifierState,
  taken: VerifierState,
): boolean {
  if (op !== BPF_JGT && op !== BPF_JLT && op !== BPF_JGE && op !== BPF_JLE) return false;
  if (isPair(dst, src)) learn(op, dst, insn.dst, fall, taken);
  else if (isPair(src, dst)) learn(flipOp(op), src, insn.src, fall, taken);
  else return false;
  return true;
}

/** `ptr op end`. */
function learn(op: number, ptr: Reg, regno: number, fall: VerifierState, taken: VerifierState): void {
  const inside = op === BPF_JGT || op === BPF_JGE ? fall : taken;
  const outside = inside === fall ? taken : fall;
  const strict = op === BPF_JGE || op === BPF_JLT;
  spread(inside, ptr, strict);
  markEnd(outside, regno, !strict);
}
