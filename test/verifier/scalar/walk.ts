/**
 * Our side of the scalar sweep: random straight-line programs with side exits on r6 and r7, and a walk over them with
 * nothing but the scalar domain, in the order in which Linux explores (fall through first, the rest from a stack).
 */
import * as isa from '../../../src/isa/index.js';
import * as scalar from '../../../src/verifier/scalar/index.js';

/** Registers after the instruction at `pc`, or on arrival at `pc` by the branch at `from`. */
export interface Event {
  readonly pc: number;
  readonly from?: number;
  /** Index into `Walk.paths`. */
  readonly path: number;
  readonly r6: string;
  readonly r7: string;
}

/** A path from a branch on: the path that left it behind, and how many events there were then. */
export interface Path {
  readonly parent: number;
  readonly bornAt: number;
}

export interface Walk {
  readonly paths: readonly Path[];
  readonly events: readonly Event[];
  readonly violations: readonly string[];
}

/** Deterministic pseudo-random numbers (a 32-bit LCG; the high bits are used). */
export class Random {
  constructor(private seed: number) {}
  below(n: number): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.seed / 0x100000000) * n);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const EDGES = [
  0, 1, -1, 2, 3, 4, 7, 8, 15, 16, 31, 63, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
  -0x80000000, -2, -8, -128, -129, -256, -0x8000,
];
const ALU_OPS = [
  isa.BPF_ADD,
  isa.BPF_SUB,
  isa.BPF_MUL,
  isa.BPF_DIV,
  isa.BPF_OR,
  isa.BPF_AND,
  isa.BPF_LSH,
  isa.BPF_RSH,
  isa.BPF_MOD,
  isa.BPF_XOR,
  isa.BPF_ARSH,
];
const SHIFTS = [isa.BPF_LSH, isa.BPF_RSH, isa.BPF_ARSH];
const JUMP_OPS = [
  isa.BPF_JEQ,
  isa.BPF_JGT,
  isa.BPF_JGE,
  isa.BPF_JSET,
  isa.BPF_JNE,
  isa.BPF_JSGT,
  isa.BPF_JSGE,
  isa.BPF_JLT,
  isa.BPF_JLE,
  isa.BPF_JSLT,
  isa.BPF_JSLE,
];

const insn = (code: number, dst: number, src: number, off: number, imm: number): isa.Insn => ({
  code,
  dst,
  src,
  off,
  imm,
});
const EXIT = insn(isa.BPF_JMP | isa.BPF_EXIT, 0, 0, 0, 0);
const CALL_RANDOM = insn(isa.BPF_JMP | isa.BPF_CALL, 0, 0, 0, 7);
const MOV_X = isa.BPF_ALU64 | isa.BPF_MOV | isa.BPF_X;
const MOV_K = isa.BPF_ALU64 | isa.BPF_MOV;
/** r6 and r7 unknown, r0 known; the frame slot for spills is written before it is read. */
const HEAD = [
  CALL_RANDOM,
  insn(MOV_X, 6, 0, 0, 0),
  CALL_RANDOM,
  insn(MOV_X, 7, 0, 0, 0),
  insn(MOV_K, 0, 0, 0, 0),
];
const SLOT = -8;

function randomImm(random: Random): number {
  const kind = random.below(4);
  if (kind === 0) return random.pick(EDGES);
  if (kind === 1) return random.below(200) - 100;
  if (kind === 2) return ((1 << random.below(32)) - random.below(3)) | 0;
  return random.below(0x100000000) | 0;
}

function randomAlu(random: Random): isa.Insn {
  const dst = 6 + random.below(2);
  const cls = random.pick([isa.BPF_ALU, isa.BPF_ALU64]);
  const width = cls === isa.BPF_ALU64 ? 64 : 32;
  const kind = random.below(12);
  if (kind === 0) return insn(cls | isa.BPF_NEG, dst, 0, 0, 0);
  if (kind === 1) {
    const off = random.pick(width === 64 ? [8, 16, 32] : [0, 8, 16]);
    return insn(cls | isa.BPF_MOV | isa.BPF_X, dst, dst, off, 0);
  }
  if (kind === 2 && random.below(2) === 0) {
    const source = width === 64 ? 0 : random.pick([isa.BPF_TO_LE, isa.BPF_TO_BE]);
    return insn(cls | isa.BPF_END | source, dst, 0, 0, random.pick([16, 32, 64]));
  }
  const op = random.pick(ALU_OPS);
  const divides = op === isa.BPF_DIV || op === isa.BPF_MOD;
  const off = divides ? random.below(2) : 0;
  if (random.below(3) === 0)
    return insn(cls | op | isa.BPF_X, dst, random.below(5) === 0 ? dst : 13 - dst, off, 0);
  if (SHIFTS.includes(op)) return insn(cls | op, dst, 0, 0, random.below(width));
  const imm = randomImm(random);
  return insn(cls | op, dst, 0, off, divides && imm === 0 ? 1 : imm);
}

/** A 64-bit constant, so that 64-bit operands are not only what unknown ones are narrowed to. */
function randomConstant(random: Random): isa.Insn[] {
  const wide = (BigInt(randomImm(random)) << BigInt(random.below(33))) ^ BigInt(randomImm(random));
  return isa.ldImm64(6 + random.below(2), BigInt.asUintN(64, wide));
}

/** Spills r6 or r7 and reads part of it back. */
function randomFill(random: Random): isa.Insn[] {
  const dst = 6 + random.below(2);
  const size = random.pick([isa.BPF_B, isa.BPF_H, isa.BPF_W]);
  const mode = random.pick([isa.BPF_MEM, isa.BPF_MEMSX]);
  return [
    insn(isa.BPF_STX | isa.BPF_MEM | isa.BPF_DW, 10, dst, SLOT, 0),
    insn(isa.BPF_LDX | mode | size, dst, 10, SLOT, 0),
  ];
}

/** A random program. Side exits go to blocks of their own behind the body, so that no two paths meet. */
export function randomProgram(random: Random, length: number): isa.Insn[] {
  const body = [...HEAD];
  const exits: number[] = [];
  const aluShare = random.pick([4, 11, 15]);
  for (let i = 0; i < length; i++) {
    const kind = random.below(20);
    if (kind < aluShare) body.push(randomAlu(random));
    else if (kind === aluShare)
      body.push(...(random.below(3) === 0 ? randomConstant(random) : randomFill(random)));
    else {
      const cls = random.pick([isa.BPF_JMP, isa.BPF_JMP32]);
      const dst = 6 + random.below(2);
      const byReg = random.below(3) === 0;
      const src = byReg ? (random.below(12) === 0 ? dst : 13 - dst) : 0;
      const code = cls | random.pick(JUMP_OPS) | (byReg ? isa.BPF_X : isa.BPF_K);
      const imm = byReg ? 0 : randomImm(random);
      if (random.below(2) === 0) {
        body.push(insn(code, dst, src, 1, imm), EXIT);
      } else {
        exits.push(body.length);
        body.push(insn(code, dst, src, 0, imm));
      }
    }
  }
  body.push(EXIT);
  for (const at of exits) {
    body[at] = { ...body[at]!, off: body.length - at - 1 };
    body.push(EXIT);
  }
  return body;
}

interface State {
  pc: number;
  readonly regs: scalar.Scalar[];
  readonly slot: scalar.Scalar;
  /** Set when the state comes from a branch. */
  from?: number;
  path?: Path;
}

function copyState(state: State): State {
  const regs = state.regs.map((r) => {
    const copy = new scalar.Scalar();
    scalar.copyScalar(copy, r);
    return copy;
  });
  const slot = new scalar.Scalar();
  scalar.copyScalar(slot, state.slot);
  return { pc: state.pc, regs, slot };
}

const known = new scalar.Scalar();

/** Walks all paths and notes what the registers are after every instruction of the body. */
export function walk(insns: readonly isa.Insn[]): Walk {
  const first: State = {
    pc: HEAD.length,
    regs: [new scalar.Scalar(), new scalar.Scalar()],
    slot: new scalar.Scalar(),
  };
  for (const reg of first.regs) scalar.setUnknown(reg);
  const events: Event[] = [];
  const violations: string[] = [];
  const stack = [first];
  const paths: Path[] = [];
  const note = (state: State, at: { pc: number; from?: number }): void => {
    const [r6, r7] = state.regs.map((r) => scalar.scalarText(r)) as [string, string];
    events.push({ ...at, path: paths.length - 1, r6, r7 });
  };
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    paths.push(state.path ?? { parent: -1, bornAt: 0 });
    if (state.from !== undefined) note(state, { pc: state.pc, from: state.from });
    for (;;) {
      const at: number = state.pc;
      if (insns[at]!.code === EXIT.code) break;
      const before = stack.length;
      const printed = step(state, insns, stack, violations);
      const path = { parent: paths.length - 1, bornAt: events.length };
      for (const other of stack.slice(before)) other.path = path;
      if (printed) note(state, { pc: at });
      if (events.length > 3000) throw new Error('the walk does not end');
    }
  }
  return { paths, events, violations };
}

/** Whether the kernel prints registers after it: after a branch that goes one way only, it does not. */
function step(state: State, insns: readonly isa.Insn[], stack: State[], violations: string[]): boolean {
  const i = insns[state.pc]!;
  const cls = isa.bpfClass(i.code);
  if (cls === isa.BPF_JMP || cls === isa.BPF_JMP32) return jump(state, i, stack, violations);
  if (i.code === isa.LD_IMM64) {
    const wide = (BigInt(insns[state.pc + 1]!.imm) << 32n) | BigInt(i.imm >>> 0);
    scalar.setConst(state.regs[i.dst - 6]!, wide);
    state.pc += 2;
    return true;
  }
  if (cls === isa.BPF_STX) scalar.copyScalar(state.slot, state.regs[i.src - 6]!);
  else if (cls === isa.BPF_LDX) fill(state, i);
  else alu(state, i, stack, violations);
  state.pc++;
  return true;
}

const BYTES: Readonly<Record<number, scalar.PartSize>> = { [isa.BPF_B]: 1, [isa.BPF_H]: 2, [isa.BPF_W]: 4 };

function fill(state: State, i: isa.Insn): void {
  const reg = state.regs[i.dst - 6]!;
  scalar.copyScalar(reg, state.slot);
  const size = BYTES[isa.bpfSize(i.code)]!;
  if (isa.bpfMode(i.code) === isa.BPF_MEMSX) scalar.coerceToSizeSx(reg, size);
  else scalar.coerceToSize(reg, size);
}

function alu(state: State, i: isa.Insn, stack: State[], violations: string[]): void {
  const is64 = isa.bpfClass(i.code) === isa.BPF_ALU64;
  const dst = state.regs[i.dst - 6]!;
  const op = isa.bpfOp(i.code);
  let src = known;
  if (isa.bpfSrc(i.code) === isa.BPF_X) src = state.regs[i.src - 6] ?? known;
  else scalar.setConst(known, i.imm);
  if (op === isa.BPF_MOV) {
    if (is64) scalar.movsx64(dst, (i.off / 8) as scalar.PartSize);
    else if (i.off === 0) scalar.mov32(dst);
    else scalar.movsx32(dst, (i.off / 8) as 1 | 2);
  } else if (op === isa.BPF_END) {
    const swap = is64 || isa.bpfSrc(i.code) === isa.BPF_TO_BE;
    scalar.byteSwap(dst, swap, i.imm as 16 | 32 | 64);
  } else {
    const width = scalar.forkWidth(op, dst, src);
    if (width !== 0) {
      const other = copyState(state);
      scalar.assume(other.regs[i.dst - 6]!, width, 0);
      scalar.assume(dst, width, -1);
      stack.push({ ...other, from: state.pc });
    }
    scalar.aluScalar(op, is64, dst, src);
  }
  const violation = scalar.checkBounds(dst, 'alu');
  if (violation !== undefined) violations.push(violation);
}

function jump(state: State, i: isa.Insn, stack: State[], violations: string[]): boolean {
  const op = isa.bpfOp(i.code);
  const is32 = isa.bpfClass(i.code) === isa.BPF_JMP32;
  const byReg = isa.bpfSrc(i.code) === isa.BPF_X;
  const target = state.pc + 1 + i.off;
  if (!byReg) scalar.setConst(known, i.imm);
  const dst = state.regs[i.dst - 6]!;
  const src = byReg ? state.regs[i.src - 6]! : known;
  const taken = scalar.branchTaken(op, is32, dst, src);
  if (taken >= 0) {
    state.pc = taken === 1 ? target : state.pc + 1;
    return false;
  }
  const other = copyState(state);
  const known2 = new scalar.Scalar();
  scalar.copyScalar(known2, known);
  const otherSrc = byReg ? other.regs[i.src - 6]! : known2;
  violations.push(...(scalar.refineBranches(op, is32, other.regs[i.dst - 6]!, otherSrc, dst, src) ?? []));
  stack.push({ ...other, pc: target, from: state.pc });
  state.pc++;
  return true;
}
