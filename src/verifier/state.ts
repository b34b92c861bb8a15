/**
 * What is known at one point of one path: call frames with registers and stack, references and locks
 * held, and how the path got here. Models `struct bpf_func_state` and `struct bpf_verifier_state` of Linux 6.18.
 */
import { BPF_REG_FP, MAX_BPF_REG } from '../isa/constants.js';
import { cloneReg, copyReg, markKnownZero, markNotInit, Reg } from './reg.js';
import { PTR_TO_STACK } from './reg-type.js';

export const MAX_CALL_FRAMES = 8;
/** Functions of a program, the main one counted (BPF_MAX_SUBPROGS). */
export const MAX_SUBPROGS = 256;
export const MAX_BPF_STACK = 512;
export const REG_SIZE = 8;
/** `callsite` of a frame that nothing called. */
export const MAIN_CALLSITE = -1;

/** What a byte of the stack holds. */
export const SLOT_INVALID = 0;
export const SLOT_SPILL = 1;
export const SLOT_MISC = 2;
export const SLOT_ZERO = 3;
/** Objects of the verifier's own on the stack; every byte of their slots, never some. */
export const SLOT_DYNPTR = 4;
export const SLOT_ITER = 5;
export const SLOT_IRQ_FLAG = 6;

/** Eight bytes of one kind, a nibble each, byte 0 (the lowest address is byte 7's) in the low nibble. */
export const ALL_SPILL = 0x11111111;
export const ALL_MISC = 0x22222222;
export const ALL_ZERO = 0x33333333;
export const ALL_DYNPTR = 0x44444444;
export const ALL_ITER = 0x55555555;
export const ALL_IRQ_FLAG = 0x66666666;

/**
 * Eight bytes of stack. Byte `i` of the kernel's `slot_type` is nibble `i`; as there, index 7 is the byte
 * at the slot's lowest address. `reg` is meaningful while byte 7 is spilled, or part of a dynptr, an iterator or a flag.
 */
export class StackSlot {
  types = 0;
  reg: Reg | null = null;

  typeAt(byte: number): number {
    return (this.types >>> (byte * 4)) & 15;
  }

  setType(byte: number, type: number): void {
    const shift = byte * 4;
    this.types = (this.types & ~(15 << shift)) | (type << shift);
  }

  /** `is_spilled_reg`. */
  get isSpilled(): boolean {
    return this.types >>> 28 === SLOT_SPILL;
  }

  /** `is_stack_slot_special`: `reg` means something. */
  get isSpecial(): boolean {
    const type = this.types >>> 28;
    return type === SLOT_SPILL || type >= SLOT_DYNPTR;
  }
}

/** Every byte that holds anything becomes misc (`scrub_spilled_slot` over the slot). */
export function scrubbed(types: number): number {
  let result = 0;
  for (let shift = 0; shift < 32; shift += 4) {
    if (((types >>> shift) & 15) !== SLOT_INVALID) result |= SLOT_MISC << shift;
  }
  return result;
}

function cloneSlot(src: StackSlot): StackSlot {
  const dst = new StackSlot();
  dst.types = src.types;
  if (src.reg !== null && src.isSpecial) dst.reg = cloneReg(src.reg);
  return dst;
}

/** What frames share where they hold nothing. Never changed. */
const NO_REG = new Reg();
markNotInit(NO_REG);
const NO_STACK = new StackSlot();

const ALL_REGS = (1 << MAX_BPF_REG) - 1;

/**
 * A frame of the simulated call stack. Registers and slots may be shared with frames of other states, and are copied where
 * they are first asked for to be changed: `reg`, `slot`, and `regs`, `stack` for all at once. `peek` and `peekSlot` are for
 * looking only, and good until the next change.
 */
export class FuncState {
  readonly #regs: Reg[];
  #stack: StackSlot[];
  /** Registers and slots that no other frame shares, a bit each. */
  #ownRegs = 0;
  #ownLow = 0;
  #ownHigh = 0;
  /** Some slot may be shared. */
  #sharesStack = false;
  /** The list of slots itself is shared. */
  #sharesList = false;
  callsite = MAIN_CALLSITE;
  frameno = 0;
  subprog = 0;
  asyncEntryCount = 0;
  inCallback = false;
  inAsyncCallback = false;
  inExceptionCallback = false;
  /** Range that a callback's return value has to lie in. */
  retMin = 0;
  retMax = 0;
  callbackDepth = 0;

  constructor(regs: Reg[], stack: StackSlot[]) {
    this.#regs = regs;
    this.#stack = stack;
  }

  get regs(): readonly Reg[] {
    if (this.#ownRegs !== ALL_REGS) for (let i = 0; i < MAX_BPF_REG; i++) this.reg(i);
    return this.#regs;
  }

  reg(i: number): Reg {
    const bit = 1 << i;
    if ((this.#ownRegs & bit) === 0) {
      this.#regs[i] = cloneReg(this.#regs[i]!);
      this.#ownRegs |= bit;
    }
    return this.#regs[i]!;
  }

  peek(i: number): Readonly<Reg> {
    return this.#regs[i]!;
  }

  /** Nothing is known of the register. */
  forget(i: number): void {
    this.#regs[i] = NO_REG;
    this.#ownRegs &= ~(1 << i);
  }

  get stack(): readonly StackSlot[] {
    if (this.#sharesStack) {
      for (let spi = 0; spi < this.#stack.length; spi++) this.slot(spi);
      this.#sharesStack = false;
    }
    return this.#stack;
  }

  slot(spi: number): StackSlot {
    const slot = this.#stack[spi]!;
    if (!this.#sharesStack) return slot;
    const bit = 1 << (spi & 31);
    if (((spi < 32 ? this.#ownLow : this.#ownHigh) & bit) !== 0) return slot;
    if (spi < 32) this.#ownLow |= bit;
    else this.#ownHigh |= bit;
    const copy = cloneSlot(slot);
    this.#takeList();
    this.#stack[spi] = copy;
    return copy;
  }

  peekSlot(spi: number): Readonly<StackSlot> | undefined {
    return this.#stack[spi];
  }

  /** The slot holds nothing any more. */
  forgetSlot(spi: number): void {
    if (this.#stack[spi] === NO_STACK) return;
    this.#takeList();
    this.#stack[spi] = NO_STACK;
    if (!this.#sharesStack) {
      this.#sharesStack = true;
      this.#ownLow = -1;
      this.#ownHigh = -1;
    }
    if (spi < 32) this.#ownLow &= ~(1 << spi);
    else this.#ownHigh &= ~(1 << (spi - 32));
  }

  get slotCount(): number {
    return this.#stack.length;
  }

  growStack(slots: number): void {
    this.#takeList();
    for (let spi = this.#stack.length; spi < slots; spi++) {
      this.#stack.push(new StackSlot());
      if (spi < 32) this.#ownLow |= 1 << spi;
      else this.#ownHigh |= 1 << (spi - 32);
    }
  }

  #takeList(): void {
    if (this.#sharesList) this.#stack = this.#stack.slice();
    this.#sharesList = false;
  }

  /** Bytes. */
  get allocatedStack(): number {
    return this.#stack.length * REG_SIZE;
  }

  /** A frame like this one; they share all registers and slots. */
  share(): FuncState {
    const dst = this.#like(this.#regs.slice(), this.#stack);
    dst.#sharesAll();
    this.#sharesAll();
    return dst;
  }

  #sharesAll(): void {
    this.#sharesStack = true;
    this.#sharesList = true;
    this.#ownRegs = 0;
    this.#ownLow = 0;
    this.#ownHigh = 0;
  }

  /** A frame like this one, nothing shared: what was obtained from this one to be changed stays good. */
  clone(): FuncState {
    const dst = this.#like(this.#regs.map(cloneReg), this.#stack.map(cloneSlot));
    dst.#ownRegs = ALL_REGS;
    return dst;
  }

  #like(regs: Reg[], stack: StackSlot[]): FuncState {
    const dst = new FuncState(regs, stack);
    dst.callsite = this.callsite;
    dst.frameno = this.frameno;
    dst.subprog = this.subprog;
    dst.asyncEntryCount = this.asyncEntryCount;
    dst.inCallback = this.inCallback;
    dst.inAsyncCallback = this.inAsyncCallback;
    dst.inExceptionCallback = this.inExceptionCallback;
    dst.retMin = this.retMin;
    dst.retMax = this.retMax;
    dst.callbackDepth = this.callbackDepth;
    return dst;
  }
}

export function newFuncState(callsite: number, frameno: number, subprog: number): FuncState {
  const frame = new FuncState(new Array<Reg>(MAX_BPF_REG).fill(NO_REG), []);
  frame.callsite = callsite;
  frame.frameno = frameno;
  frame.subprog = subprog;
  const fp = frame.reg(BPF_REG_FP);
  fp.type = PTR_TO_STACK;
  markKnownZero(fp);
  fp.frameno = frameno;
  return frame;
}

/** Stores a copy of `reg` as the slot's spilled register. */
export function setSpilledReg(slot: StackSlot, reg: Reg): Reg {
  const target = slot.reg ?? new Reg();
  copyReg(target, reg);
  slot.reg = target;
  return target;
}

export const REF_PTR = 1 << 1;
export const REF_IRQ = 1 << 2;
export const REF_LOCK = 1 << 3;
export const REF_RES_LOCK = 1 << 4;
export const REF_RES_LOCK_IRQ = 1 << 5;
/** Locks of any kind. */
export const REF_ANY_LOCK = REF_LOCK | REF_RES_LOCK | REF_RES_LOCK_IRQ;

/** A reference or lock that is held. Never changed once made: copies of a state share it. */
export interface RefState {
  readonly type: number;
  readonly id: number;
  readonly insnIdx: number;
  /** What a lock lies in: a map or a BTF. */
  readonly ptr: object | null;
}

/** A register or stack slot among those that share an id. */
export interface LinkedReg {
  readonly frameno: number;
  /** Register number, or slot index. */
  readonly index: number;
  readonly isReg: boolean;
}

export const HIST_STACK_ACCESS = 1 << 9;
export const HIST_SRC_REG_STACK = 1 << 10;
export const HIST_DST_REG_STACK = 1 << 11;
const HIST_SPI_SHIFT = 3;
const HIST_SPI_MASK = 0x3f;

/** Flags of a history entry for a register stored to or loaded from the stack. */
export const stackAccessFlags = (frameno: number, spi: number): number =>
  HIST_STACK_ACCESS | (spi << HIST_SPI_SHIFT) | frameno;
export const flagsSpi = (flags: number): number => (flags >> HIST_SPI_SHIFT) & HIST_SPI_MASK;
export const flagsFrame = (flags: number): number => flags & 7;

/** One jump, or one instruction that back-tracking has to know more about; the last one leads to those before it. */
export interface HistoryEntry {
  readonly before: HistoryEntry | null;
  /** Entries up to this one. */
  readonly count: number;
  readonly idx: number;
  readonly prevIdx: number;
  flags: number;
  linked: readonly LinkedReg[] | null;
}

/** One way into a loop: the calls that lead to it, and what is collected until it is left. */
export interface SccVisit {
  entryState: VerifierState | null;
  /** Paths that ended in a state equal to one that is not finished. */
  backedges: VerifierState[];
}

/** In `differsAt`. */
export const SLOTS = 16;

export class VerifierState {
  frames: FuncState[] = [];
  refs: readonly RefState[] = [];
  activeLocks = 0;
  activePreemptLocks = 0;
  activeRcuLock = false;
  activeIrqId = 0;
  activeLockId = 0;
  activeLockPtr: object | null = null;
  speculative = false;
  inSleepable = false;
  cleaned = false;
  /** Where the last state compared with this one differed in the innermost frame: a register, or `SLOTS` plus a slot; -1. */
  differsAt = -1;
  /** What this one holds there, if it is a register: it is always at least as strict now. */
  differing: Readonly<Reg> | null = null;
  /** The register by which a loop was last seen to have moved on from here. */
  changedReg = 0;
  /** Paths from here that are not finished. */
  branches = 1;
  parent: VerifierState | null = null;
  firstInsnIdx = 0;
  lastInsnIdx = -1;
  insnIdx = 0;
  dfsDepth = 0;
  callbackUnrollDepth = 0;
  mayGotoDepth = 0;
  /** For a path that ended in a loop: the state it was found equal to. */
  equalState: VerifierState | null = null;
  history: HistoryEntry | null = null;
  /** Among those that paths are compared with, or was. */
  remembered = false;
  /** Comparisons that ended no path, and that did. */
  missCount = 0;
  hitCount = 0;
  /** Is compared no more, but something may still come from it; nothing does. */
  evicted = false;
  freed = false;
  /** The way into the loop that a remembered state lies in. */
  sccVisit: SccVisit | null = null;

  get curframe(): number {
    return this.frames.length - 1;
  }

  get frame(): FuncState {
    return this.frames[this.frames.length - 1]!;
  }
}

/** `copy_verifier_state` into a fresh state. Registers and slots of `src` that were obtained to be changed stay good. */
export function cloneState(src: VerifierState): VerifierState {
  return copyState(
    src,
    src.frames.map((frame) => frame.clone()),
  );
}

/**
 * The same at next to no cost: both share registers and slots until one changes them. What was obtained from `src` before has
 * to be obtained anew.
 */
export function shareState(src: VerifierState): VerifierState {
  return copyState(
    src,
    src.frames.map((frame) => frame.share()),
  );
}

function copyState(src: VerifierState, frames: FuncState[]): VerifierState {
  const dst = new VerifierState();
  dst.frames = frames;
  dst.refs = src.refs;
  dst.activeLocks = src.activeLocks;
  dst.activePreemptLocks = src.activePreemptLocks;
  dst.activeRcuLock = src.activeRcuLock;
  dst.activeIrqId = src.activeIrqId;
  dst.activeLockId = src.activeLockId;
  dst.activeLockPtr = src.activeLockPtr;
  dst.speculative = src.speculative;
  dst.inSleepable = src.inSleepable;
  dst.cleaned = src.cleaned;
  dst.branches = src.branches;
  dst.parent = src.parent;
  dst.firstInsnIdx = src.firstInsnIdx;
  dst.lastInsnIdx = src.lastInsnIdx;
  dst.insnIdx = src.insnIdx;
  dst.dfsDepth = src.dfsDepth;
  dst.callbackUnrollDepth = src.callbackUnrollDepth;
  dst.mayGotoDepth = src.mayGotoDepth;
  dst.equalState = src.equalState;
  dst.history = src.history;
  return dst;
}

/** `frame_insn_idx`: where a frame stands, or which call it waits in. */
export function frameInsnIdx(state: VerifierState, frameno: number): number {
  return frameno === state.curframe ? state.insnIdx : state.frames[frameno + 1]!.callsite;
}

export function sameCallsites(a: VerifierState, b: VerifierState): boolean {
  if (a.frames.length !== b.frames.length) return false;
  for (let i = a.frames.length - 1; i >= 0; i--) {
    if (a.frames[i]!.callsite !== b.frames[i]!.callsite) return false;
  }
  return true;
}

/** Every register and spilled register of every frame (`bpf_for_each_reg_in_vstate`), to be changed. */
export function forEachReg(state: VerifierState, visit: (reg: Reg) => void): void {
  updateRegs(state, () => true, visit);
}

/** Changes those registers and spilled registers of all frames that are `wanted`. */
export function updateRegs(
  state: VerifierState,
  wanted: (reg: Readonly<Reg>) => boolean,
  change: (reg: Reg) => void,
): void {
  for (const frame of state.frames) {
    for (let i = 0; i < MAX_BPF_REG; i++) if (wanted(frame.peek(i))) change(frame.reg(i));
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const { reg, isSpilled } = frame.peekSlot(spi)!;
      if (reg !== null && isSpilled && wanted(reg)) change(frame.slot(spi).reg!);
    }
  }
}
