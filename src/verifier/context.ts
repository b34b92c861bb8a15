/**
 * Everything one verification carries along: the program, what was found out about each instruction and
 * subprogram, the current state, the paths still to explore, counters, the log. The other files hold the rules and
 * work on one of these. Models `struct bpf_verifier_env` of Linux 6.18.
 */
import { ProgFlag } from '../abi/prog-flags.js';
import type { Insn } from '../isa/insn.js';
import type { Btf } from '../object/btf/btf.js';
import { Backtrack } from './backtrack-state.js';
import type { AttachInfo } from './btf/attach-info.js';
import { capabilitiesOf } from './capabilities.js';
import { type CtxField, fixupAttachType, type ProgEnv, RECORDED_CONFIG, RT_CONFIG } from './env/index.js';
import { ERRNO } from './errno.js';
import { InsnFacts } from './insn-facts.js';
import type { Kfunc } from './kfunc/types.js';
import type { StackLiveness } from './live-stack.js';
import { VerifierLog } from './log.js';
import { MapView } from './map-view.js';
import { Reg } from './reg.js';
import { type FuncState, type HistoryEntry, type LinkedReg, type SccVisit, VerifierState } from './state.js';
import type { Successors } from './successors.js';
import type { VerifyRequest } from './types.js';
import { Rejection, Unsupported } from './verdict.js';

/** An argument of a function as its BTF describes it. */
export interface FuncArg {
  readonly kind: 'scalar' | 'ctx' | 'mem' | 'btf' | 'dynptr' | 'arena';
  /** Flags of the pointer's type. */
  readonly flags: number;
  readonly memSize: number;
  /** Structure of the kernel that a `btf` argument points to. */
  readonly btfId?: number;
}

export class Subprog {
  start: number;
  name = '';
  stackDepth = 0;
  hasTailCall = false;
  hasLdAbs = false;
  isCallback = false;
  isAsyncCallback = false;
  changesPktData = false;
  mightSleep = false;
  postorderStart = 0;
  fastcallStackOff = 0;
  keepFastcallStack = false;
  privateStack = 0;
  /** Linkage by BTF. */
  isGlobal = false;
  /** BTF does not describe what the function is called with. */
  unreliable = false;
  called = false;
  verified = false;
  /** Set once the BTF was found good. */
  args: readonly FuncArg[] | null = null;

  constructor(start: number) {
    this.start = start;
  }
}

/** A path to take later. */
export interface PendingPath {
  readonly state: VerifierState;
  readonly insnIdx: number;
  readonly prevInsnIdx: number;
  readonly logPosition: number;
}

const MAX_PENDING = 8192;

export class Verifier {
  readonly request: VerifyRequest;
  readonly insns: readonly Insn[];
  readonly progType: number;
  readonly attachType: number;
  readonly progFlags: number;
  readonly sleepable: boolean;
  readonly gplCompatible: boolean;
  /** CAP_BPF: loops, functions, what is known of spilled numbers, a million instructions. */
  readonly capable: boolean;
  /** CAP_PERFMON: pointers and stale stack may be seen, and nobody minds wrong turns of the processor. */
  readonly perfmon: boolean;
  readonly strictAlignment: boolean;
  readonly testStateFreq: boolean;
  readonly btf: Btf | undefined;
  readonly log: VerifierLog;
  readonly allMaps: readonly MapView[];
  /** Maps that the program names, in order of their first use. */
  readonly usedMaps: MapView[] = [];
  readonly aux: InsnFacts;
  subprogs: Subprog[] = [];
  /** Kernel functions that the program calls, by BTF id. */
  readonly kfuncs = new Map<number, Kfunc>();
  hasKfuncCalls = false;
  /** First instruction of the function that handles exceptions, 0 for none. */
  exceptionStart = 0;
  /** Some path throws. */
  seenException = false;
  /** Instructions of each subprogram in postorder, one subprogram after the other. */
  postorder = new Int32Array(0);
  postorderCount = 0;
  /** Set once control flow is known to be good. */
  successors!: Successors;
  /** Stack depths after the kernel's rewriting, once there is one. */
  finalDepths: readonly number[] | undefined;
  hasFuncInfo = false;
  /** Some pointer moves by a number that is not known: states are equal only if all their numbers are. */
  exploreAluLimits = false;

  state: VerifierState = new VerifierState();
  insnIdx = 0;
  prevInsnIdx = -1;
  curHistory: HistoryEntry | null = null;
  readonly bt = new Backtrack();
  /** Set before the first path is simulated. */
  liveness!: StackLiveness;
  /** `attach` is filled in once the target is found. */
  env: ProgEnv;
  /** The target of programs attached by BTF id. */
  attach: AttachInfo | null = null;
  /** The program that this one traces or replaces, verified. */
  target: Verifier | null = null;
  /** Answers about the context, by kind of access; null: refused. */
  readonly ctxFields = new Map<number, CtxField | null>();
  readonly pending: PendingPath[] = [];
  idGen = 0;

  insnProcessed = 0;
  jmpsProcessed = 0;
  prevInsnProcessed = 0;
  prevJmpsProcessed = 0;
  totalStates = 0;
  peakStates = 0;
  maxStatesPerInsn = 0;
  exploredSize = 0;
  freeListSize = 0;
  backedgeCount = 0;

  /** Remembered states by `(insn ^ callsite) % length`, most recent last. */
  readonly explored = new Map<number, VerifierState[]>();
  readonly sccVisits = new Map<string, SccVisit>();

  /** Registers and stack slots changed since the last state line of the log, a bit each. */
  scratchedRegs = 0;
  scratchedSlotsLo = 0;
  scratchedSlotsHi = 0;
  prevLine = -1;
  prevLogPosition = 0;
  prevInsnTextLength = 0;

  firstError: string | undefined;
  /** Stand-ins for the immediate of a comparison. */
  readonly fakeReg0 = new Reg();
  readonly fakeReg1 = new Reg();

  /** `quiet`: see `VerifierLog`. */
  /** The kernel appends a function that returns what was thrown, where the program has no handler of its own. */
  get appendsHandler(): boolean {
    return this.seenException && this.exceptionStart === 0;
  }

  constructor(request: VerifyRequest, quiet = false) {
    this.request = request;
    this.insns = request.insns;
    this.progType = request.progType;
    this.attachType = fixupAttachType(request.progType, request.expectedAttachType ?? 0);
    this.progFlags = request.progFlags ?? 0;
    this.sleepable = (this.progFlags & ProgFlag.BPF_F_SLEEPABLE) !== 0;
    this.strictAlignment =
      (this.progFlags & ProgFlag.BPF_F_STRICT_ALIGNMENT) !== 0 &&
      (this.progFlags & ProgFlag.BPF_F_ANY_ALIGNMENT) === 0;
    const capabilities = capabilitiesOf(request);
    this.capable = capabilities.bpf;
    this.perfmon = capabilities.perfmon;
    this.testStateFreq = this.capable && (this.progFlags & ProgFlag.BPF_F_TEST_STATE_FREQ) !== 0;
    this.gplCompatible = isGplCompatible(request.license ?? '');
    this.env = {
      type: this.progType,
      expectedAttachType: this.attachType,
      sleepable: this.sleepable,
      gpl: this.gplCompatible,
      capabilities,
      config: request.policy?.preemptRt === true ? RT_CONFIG : RECORDED_CONFIG,
    };
    this.btf = request.btf;
    this.log = new VerifierLog(request.logLevel ?? 0, quiet);
    this.allMaps = (request.maps ?? []).map((map) => new MapView(map));
    this.aux = new InsnFacts(request.insns.length);
  }

  get frame(): FuncState {
    const { frames } = this.state;
    return frames[frames.length - 1]!;
  }

  get regs(): readonly Reg[] {
    return this.frame.regs;
  }

  reg(regno: number): Reg {
    return this.frame.reg(regno);
  }

  /** To look at only. */
  peek(regno: number): Readonly<Reg> {
    return this.frame.peek(regno);
  }

  /** The frame that a stack pointer points into (`func`). */
  frameOf(reg: Reg): FuncState {
    return this.state.frames[reg.frameno]!;
  }

  /** A timer's callback cannot sleep, whatever the program; a work queue's can. */
  get inSleepable(): boolean {
    return this.state.inSleepable;
  }

  newId(): number {
    return ++this.idGen;
  }

  /** A line of the log that says what is wrong, when the program may yet pass or more is to be said. */
  error(line: string): void {
    this.firstError ??= line;
    this.log.write(`${line}\n`);
  }

  reject(errno: number, line?: string): never {
    if (line !== undefined) this.error(line);
    throw new Rejection(errno);
  }

  /** EACCES and EINVAL, the two that nearly every rule ends in. */
  denied(line: string): never {
    return this.reject(ERRNO.EACCES, line);
  }

  invalid(line: string): never {
    return this.reject(ERRNO.EINVAL, line);
  }

  unsupported(feature: string): never {
    throw new Unsupported(feature);
  }

  markRegScratched(regno: number): void {
    this.scratchedRegs |= 1 << regno;
  }

  markSlotScratched(spi: number): void {
    if (spi < 32) this.scratchedSlotsLo |= 1 << spi;
    else this.scratchedSlotsHi |= 1 << (spi - 32);
  }

  markClean(): void {
    this.scratchedRegs = 0;
    this.scratchedSlotsLo = 0;
    this.scratchedSlotsHi = 0;
  }

  markAllScratched(): void {
    this.scratchedRegs = -1;
    this.scratchedSlotsLo = -1;
    this.scratchedSlotsHi = -1;
  }

  /** `push_jmp_history`. */
  pushHistory(state: VerifierState, flags: number, linked: readonly LinkedReg[] | null): void {
    const current = this.curHistory;
    if (current !== null) {
      current.flags |= flags;
      current.linked = linked;
      return;
    }
    const before = state.history;
    const count = before === null ? 1 : before.count + 1;
    const entry = { before, count, idx: this.insnIdx, prevIdx: this.prevInsnIdx, flags, linked };
    state.history = entry;
    this.curHistory = entry;
  }

  /**
   * Queues a path (`push_stack`); the state has to be a copy of the current one, or fresh. `errno`: of too many, which each
   * caller in Linux turns into its own.
   */
  pushPath(
    state: VerifierState,
    insnIdx: number,
    prevInsnIdx: number,
    errno: number = ERRNO.EFAULT,
    kind = '',
  ): void {
    this.pending.push({ state, insnIdx, prevInsnIdx, logPosition: this.log.position });
    if (this.pending.length > MAX_PENDING) {
      this.reject(errno, `The sequence of ${this.pending.length} jumps is too complex${kind}.`);
    }
    if (state.parent !== null) state.parent.branches++;
  }

  /** Index of the subprogram that starts at `insn`, or -1 (`find_subprog`). */
  findSubprog(insn: number): number {
    const { subprogs } = this;
    let low = 0;
    let high = subprogs.length - 1;
    while (low <= high) {
      const mid = (low + high) >> 1;
      const { start } = subprogs[mid]!;
      if (start === insn) return mid;
      if (start < insn) low = mid + 1;
      else high = mid - 1;
    }
    return -1;
  }

  /** The subprogram that `insn` lies in. */
  subprogAt(insn: number): Subprog {
    const { subprogs } = this;
    let index = subprogs.length - 1;
    while (index > 0 && subprogs[index]!.start > insn) index--;
    return subprogs[index]!;
  }

  /** One past the last instruction of a subprogram. */
  subprogEnd(index: number): number {
    return this.subprogs[index + 1]?.start ?? this.insns.length;
  }
}

const GPL_LICENSES: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

/** `license_is_gpl_compatible`. */
function isGplCompatible(license: string): boolean {
  return GPL_LICENSES.has(license);
}
