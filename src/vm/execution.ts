/**
 * One run of a program: its registers, frames, position and fuel, in a block of engine memory. Many may be
 * under way at once: the one that last ran has its block in the core's hot block, where the core and plain
 * helpers find it; `Engine.switchTo` exchanges them. Runs stop and go on: for fuel, for flow helpers, and
 * when a helper asks for it.
 */
import {
  CELL,
  FRAME_FROM_HOST,
  HOT,
  HOT_BUDGET,
  HOT_CALLEE,
  HOT_FAULT_ADDRESS,
  HOT_FAULT_SIZE,
  HOT_FAULT_STORE,
  HOT_PACKET,
  HOT_PACKET_LEN,
  HOT_PACKET_NET,
  HOT_PC,
  HOT_REGS,
  MAX_FRAMES,
  STACK_SIZE,
  STOP_ACCESS,
  STOP_CALL,
  STOP_DEPTH,
  STOP_END,
  STOP_EXIT,
  STOP_FLOW,
  STOP_FUEL,
  STOP_HELPER,
  STOP_RETURN,
} from './core/layout.js';
import type { Core } from './core.js';
import { HelperExit, HelperFault, VmStateError } from './errors.js';
import { type HelperCall, setHalves } from './helper-call.js';
import type { FlowResult, HelperDef, LoopHelper } from './helpers.js';
import type { EngineMemory } from './memory.js';
import { cellOfFunction, cellOfHalves, type Program } from './program.js';
import type { Caller, Fault, FaultKind, Region, RegValue, RunResult, StartOptions } from './types.js';

/** Instructions that a run may execute where nothing else is said. */
export const DEFAULT_FUEL = 1_000_000_000;
/** Instructions between returns to the host, so that code that the JavaScript engine has optimised meanwhile is entered. */
const SLICE = 1 << 20;

/**
 * Why `resume` returned. `exit` and `fault` end the run. `yield`: a plain helper asked for it. `slice`: the
 * fuel given to this `resume` is spent, not yet the run's. `flow`: a flow helper waits to be carried out.
 * `return`: a function that `beginCall` started has returned.
 */
export type Stop = 'exit' | 'fault' | 'yield' | 'slice' | 'flow' | 'return';

/** Why the core returns after a plain helper: the host asked for it, or the engine has accounts to settle. */
export type StopReason = 'none' | 'yield' | 'reslice';

/** What an execution needs of its engine. */
export interface ExecutionHost {
  readonly core: Core;
  readonly memory: EngineMemory;
  readonly call: HelperCall;
  /** The execution whose state is in the hot block. */
  readonly current: Execution | undefined;
  /** The execution that is in the core; helpers run on its behalf. */
  running: Execution | undefined;
  switchTo(execution: Execution): void;
  programAt(cell: number): Program | undefined;
  helperAt(index: number): HelperDef;
  helperIndex(helper: HelperDef): number;
  askReslice(): void;
  takeStop(): StopReason;
  release(execution: Execution): void;
}

/** Thrown through a helper whose callback was stopped; `fault` says why. Never leaves the engine. */
class RunStopped extends VmStateError {}

export class Execution implements Caller {
  /** The program that runs now; tail calls change it. */
  program!: Program;
  /** What stopped the run, once it has been stopped. */
  fault: Fault | undefined;
  /** r0 of a run that a helper has ended. */
  private ended: bigint | undefined;
  private fuel = 0;
  /** Instructions executed before the current slice. */
  private executed = 0;
  /** Instructions that the current slice may execute; means nothing outside the core. */
  private slice = 0;
  private inCore = false;
  /** Started and neither exited nor stopped. */
  private live = false;
  /** Nested activations of the core by this execution. */
  private active = 0;
  private quantum: number | undefined;
  /** The function that a helper called last, and its program. */
  private functionAt = 0;
  private functionIn: Program | undefined;
  /** Its address, where a helper gave it as one. */
  private lastAddress: bigint | undefined;
  private flow: Extract<HelperDef, { kind: 'flow' }> | undefined;

  /** @internal Made by `Engine.execution`. */
  constructor(
    readonly engine: ExecutionHost,
    /** Stack of all frames; the entry's frame is the last. */
    readonly stack: Region,
    /** Memory offset of the state when another execution has the hot block. */
    readonly block: number,
  ) {}

  /** Gives memory back; the execution cannot be used again. */
  release(): void {
    this.engine.release(this);
  }

  /** Puts the execution at the start of a program. */
  start(program: Program, options: StartOptions = {}): void {
    const fuel = options.fuel ?? DEFAULT_FUEL;
    if (this.active > 0 || !program.loaded || !(fuel >= 0)) this.cannotStart(program, fuel);
    const { engine } = this;
    engine.switchTo(this);
    // The frames of a run that was left half-way.
    if (this.live) this.closeFrames();
    this.live = true;
    this.program = program;
    this.fault = undefined;
    this.ended = undefined;
    this.flow = undefined;
    this.fuel = fuel;
    this.executed = 0;
    engine.core.begin(program.start, this.stack.address32 + STACK_SIZE, program.checked ? 1 : 0);
    const { args, packet } = options;
    if (args !== undefined) for (let i = 0; i < args.length && i < 5; i++) this.setReg(i + 1, args[i]!);
    if (packet !== undefined) {
      const { i32 } = engine.memory;
      i32[HOT_PACKET >> 2] = packet.region.address32;
      i32[HOT_PACKET_LEN >> 2] = packet.length ?? packet.region.size;
      i32[HOT_PACKET_NET >> 2] = packet.networkOffset ?? 0;
    }
    // A helper may prepare another run without losing its caller's registers.
    if (engine.running !== undefined) engine.switchTo(engine.running);
  }

  private cannotStart(program: Program, fuel: number): never {
    const why =
      this.active > 0
        ? 'the execution is running'
        : program.loaded
          ? `${fuel} is no number of instructions`
          : 'the program was unloaded';
    throw new VmStateError('VM_STATE', why, { symbol: program.name });
  }

  get instructions(): number {
    return this.executed + (this.inCore ? this.slice - this.left() : 0);
  }

  /** Instruction slot that is executed next, and its program. */
  get position(): { readonly program: Program | undefined; readonly insn: number } {
    return this.locate(this.word(HOT_PC));
  }

  reg(n: number): bigint {
    const at = (this.base() + HOT_REGS - HOT) / 8 + n;
    return BigInt.asUintN(64, this.engine.memory.i64[at]!);
  }

  setReg(n: number, value: RegValue): void {
    const { memory } = this.engine;
    setHalves(memory.i32, memory.i64, (this.base() + HOT_REGS - HOT) / 8 + n, value);
  }

  /**
   * Runs until something stops it; at most `quantum` instructions where that is given (looked at where fuel
   * is). The host must deal with the stop before it resumes: `flow` with `takeFlow`.
   */
  resume(quantum = Number.POSITIVE_INFINITY): Stop {
    if (this.fault !== undefined) return 'fault';
    if (this.ended !== undefined) return 'exit';
    if (!this.live || this.flow !== undefined || !(quantum >= 1)) this.cannotResume(quantum);
    const { engine } = this;
    const outer = engine.running;
    engine.running = this;
    engine.switchTo(this);
    const suspended = this.suspendSlice();
    this.active++;
    try {
      return this.runSlices(quantum);
    } catch (error) {
      this.suspendSlice();
      return this.helperStopped(error);
    } finally {
      this.active--;
      this.resumeSlice(suspended);
      engine.running = outer;
      if (outer !== undefined) engine.switchTo(outer);
    }
  }

  private cannotResume(quantum: number): never {
    const why = !this.live
      ? 'there is no run to go on with'
      : this.flow !== undefined
        ? `helper ${this.flow.name} has not been carried out`
        : `${quantum} is no number of instructions`;
    throw new VmStateError('VM_STATE', why);
  }

  private runSlices(quantum: number): Stop {
    const until = this.executed + quantum;
    if (this.executed >= this.fuel) return this.spent();
    for (;;) {
      const stop = this.enterCore(Math.min(until - this.executed, SLICE, this.fuel - this.executed));
      if (stop === STOP_FUEL || (stop === STOP_HELPER && this.engine.takeStop() === 'reslice')) {
        if (this.executed >= this.fuel) return this.spent();
        if (this.executed >= until) return 'slice';
        continue;
      }
      const result = stop === STOP_CALL ? this.callRegister() : this.classify(stop);
      if (result !== 'call') return result;
    }
  }

  /** Runs to the end; flow helpers may not wait. */
  finish(): RunResult {
    this.complete();
    return this.result();
  }

  /** The same without making a result: false when the run was stopped (`fault`). */
  complete(): boolean {
    for (;;) {
      const stop = this.resume();
      if (stop === 'exit') return true;
      if (stop === 'fault') return false;
      if (stop === 'flow') this.completeFlow();
    }
  }

  /**
   * Runs to the end as a generator: yields what flow helpers yield. With `quantum`, also yields `undefined`
   * after every so many instructions.
   */
  *drive(quantum?: number): Generator<unknown, RunResult, unknown> {
    this.quantum = quantum;
    for (;;) {
      const stop = this.resume(quantum);
      if (stop === 'exit' || stop === 'fault') return this.result();
      if (stop === 'flow') yield* this.driveFlow();
      else yield undefined;
    }
  }

  callFunction(address: bigint, args: readonly RegValue[]): bigint {
    this.beginCall(address, args);
    for (;;) {
      const stop = this.resume();
      if (stop === 'return') return this.endCall();
      if (stop === 'flow') this.completeFlow();
      else if (stop !== 'yield' && stop !== 'slice')
        throw new RunStopped('VM_STATE', 'the callback was stopped');
    }
  }

  *driveFunction(address: bigint, args: readonly RegValue[]): Generator<unknown, bigint, unknown> {
    this.beginCall(address, args);
    for (;;) {
      const stop = this.resume(this.quantum);
      if (stop === 'return') return this.endCall();
      if (stop === 'flow') yield* this.driveFlow();
      else if (stop === 'yield' || stop === 'slice') yield undefined;
      else throw new RunStopped('VM_STATE', 'the callback was stopped');
    }
  }

  private beginCall(address: bigint, args: readonly RegValue[]): void {
    const { engine } = this;
    engine.switchTo(this);
    const cell = this.functionCell(address);
    const { i32, i64 } = engine.memory;
    const back = i32[HOT_PC >> 2]!;
    const stop = engine.core.push(this.program.checked ? 1 : 0, cell, back, FRAME_FROM_HOST);
    if (stop >= 0) {
      this.classify(stop);
      throw new RunStopped('VM_STATE', 'the callback was stopped');
    }
    i32[HOT_BUDGET >> 2]! += cell - back;
    for (let i = 0; i < args.length && i < 5; i++) setHalves(i32, i64, HOT_REGS / 8 + 1 + i, args[i]!);
  }

  private endCall(): bigint {
    const { engine } = this;
    engine.switchTo(this);
    // The activation that called the helper has to count what the callback executed.
    if (this.active > 0) engine.askReslice();
    return engine.call.arg(0);
  }

  /** Cell of the function at an address; helpers call the same one many times. */
  private functionCell(address: bigint): number {
    if (address === this.lastAddress && this.functionIn?.loaded === true) return this.functionAt;
    const cell = this.checkFunction(cellOfFunction(address), address);
    this.lastAddress = address;
    return cell;
  }

  private checkFunction(cell: number, address?: bigint): number {
    if (cell === this.functionAt && this.functionIn?.loaded === true) return cell;
    if (cell < 0 || !this.isFunction(cell)) {
      const text = BigInt.asUintN(64, address ?? this.engine.call.arg(2)).toString(16);
      throw new HelperFault(`0x${text} is not a function of the program`);
    }
    this.lastAddress = undefined;
    this.functionAt = cell;
    this.functionIn = this.engine.programAt(cell);
    return cell;
  }

  /** @internal What the core asks before a loop: cell of the function in r2, or 0 once r0 is what the helper gives. */
  loopFunction({ limit, tooMany, badFlags }: LoopHelper): number {
    const { call } = this.engine;
    const count = call.argU32(1);
    if ((call.i32[8]! | call.i32[9]!) !== 0) call.setR0(badFlags);
    else if (count > limit) call.setR0(tooMany);
    else if (count === 0) call.setR0(0);
    else return this.checkFunction(cellOfHalves(call.i32[4]!, call.i32[5]!));
    return 0;
  }

  /** What came of the run. */
  result(): RunResult {
    const { fault } = this;
    const result = { r0: this.reg(0), instructions: this.instructions };
    return fault === undefined ? result : { ...result, fault };
  }

  /** Starts the flow helper that the last `flow` stop was for; the caller puts its result into r0. */
  takeFlow(): FlowResult {
    const { flow } = this;
    if (flow === undefined)
      throw new VmStateError('VM_STATE', 'no helper waits', { symbol: this.program.name });
    this.flow = undefined;
    return flow.run(this);
  }

  private *driveFlow(): Generator<unknown, void, unknown> {
    try {
      const result = this.takeFlow();
      this.setReg(0, isGenerator(result) ? yield* result : result);
    } catch (error) {
      this.helperStopped(error);
    }
  }

  private completeFlow(): void {
    try {
      let result = this.takeFlow();
      if (isGenerator(result)) {
        const step = result.next();
        if (!step.done) {
          result.return(0);
          const place = { symbol: this.program.name };
          throw new VmStateError(
            'VM_WOULD_WAIT',
            'a helper has to wait, and nothing else can run here',
            place,
          );
        }
        result = step.value;
      }
      this.setReg(0, result);
    } catch (error) {
      this.helperStopped(error);
    }
  }

  /** A helper threw: the fault that it stands for, or, where it is none of ours, the error again. */
  private helperStopped(error: unknown): Stop {
    if (error instanceof RunStopped && this.fault !== undefined) return 'fault';
    if (error instanceof HelperExit) this.ended = error.r0;
    // A callback that ends the run ends the helper that called it, too.
    const thrown = error instanceof HelperExit || error instanceof RunStopped;
    if (thrown && this.ended !== undefined) {
      this.closeFrames();
      this.setReg(0, this.ended);
      return 'exit';
    }
    if (!(error instanceof HelperFault)) throw error;
    const kind = error.address === undefined ? 'helper-fault' : 'bad-access';
    return this.stopped(kind, error.detail, this.word(HOT_PC) - CELL, error.address, error.size);
  }

  private enterCore(slice: number): number {
    const { core, memory } = this.engine;
    const { i32 } = memory;
    i32[HOT_BUDGET >> 2] = i32[HOT_PC >> 2]! + slice * CELL;
    this.slice = slice;
    this.inCore = true;
    const { checked, exactFuel } = this.program;
    let stop: number;
    if (checked) stop = exactFuel ? core.stepChecked() : core.runChecked();
    else stop = exactFuel ? core.step() : core.run();
    // Not the locals: a callback from within may have charged a part of the slice already, memory may have grown.
    const after = memory.i32;
    this.executed += this.slice - (after[HOT_BUDGET >> 2]! - after[HOT_PC >> 2]!) / CELL;
    this.inCore = false;
    return stop;
  }

  /** Charges what the activation under way has executed so far; gives what it has left. */
  private suspendSlice(): number | undefined {
    if (!this.inCore) return undefined;
    const left = this.left();
    this.executed += this.slice - left;
    this.inCore = false;
    return left;
  }

  private resumeSlice(left: number | undefined): void {
    if (left === undefined) return;
    const { i32 } = this.engine.memory;
    this.slice = left;
    this.inCore = true;
    i32[HOT_BUDGET >> 2] = i32[HOT_PC >> 2]! + left * CELL;
  }

  /** Instructions left of the current slice. */
  private left(): number {
    return (this.word(HOT_BUDGET) - this.word(HOT_PC)) / CELL;
  }

  private classify(stop: number): Stop {
    switch (stop) {
      case STOP_EXIT:
        // The position is past the exit already.
        if (this.executed > this.fuel) return this.spent(this.word(HOT_PC) - CELL);
        this.live = false;
        return 'exit';
      case STOP_RETURN:
        return 'return';
      case STOP_FLOW:
        this.flow = this.engine.helperAt(this.word(HOT_CALLEE)) as Extract<HelperDef, { kind: 'flow' }>;
        return 'flow';
      case STOP_ACCESS:
        return this.badAccess();
      case STOP_DEPTH:
        return this.stopped('stack-overflow', `call depth exceeds ${MAX_FRAMES} frames`);
      case STOP_END:
        return this.stopped('bad-instruction', 'execution runs past the last instruction');
      default:
        return 'yield';
    }
  }

  private spent(cell = this.word(HOT_PC)): Stop {
    return this.stopped('out-of-fuel', `out of fuel, not finished after ${this.fuel} instructions`, cell);
  }

  private badAccess(): Stop {
    const address = BigInt.asUintN(64, this.engine.memory.i64[HOT_FAULT_ADDRESS / 8]!);
    const size = this.word(HOT_FAULT_SIZE);
    const what = this.word(HOT_FAULT_STORE) !== 0 ? 'store' : 'load';
    const detail = `invalid ${what} of ${size} bytes at 0x${address.toString(16)}`;
    return this.stopped('bad-access', detail, this.word(HOT_PC), address, size);
  }

  private stopped(
    kind: FaultKind,
    detail: string,
    cell = this.word(HOT_PC),
    address?: bigint,
    size?: number,
  ): Stop {
    const { program, insn } = this.locate(cell);
    const where = address === undefined ? {} : { address, ...(size === undefined ? {} : { size }) };
    this.fault = { kind, detail, insn, program: program?.name ?? this.program.name, ...where };
    this.closeFrames();
    return 'fault';
  }

  private locate(cell: number): { program: Program | undefined; insn: number } {
    const program = this.engine.programAt(cell);
    return { program, insn: program?.slotOf(cell) ?? -1 };
  }

  /** `callx`: a helper's number or a function's address in a register. `call`: done, go on. */
  private callRegister(): Stop | 'call' {
    const value = this.reg(this.word(HOT_CALLEE));
    const cell = cellOfFunction(value);
    const back = this.word(HOT_PC);
    if (cell >= 0 && this.isFunction(cell)) {
      const stop = this.engine.core.push(this.program.checked ? 1 : 0, cell, back, 0);
      if (stop >= 0) return this.classify(stop);
      this.engine.memory.i32[HOT_BUDGET >> 2]! += cell - back;
      return 'call';
    }
    const helper = value <= 0x7fffffffn ? this.program.helpers?.('helper', Number(value), 0) : undefined;
    if (helper?.kind === 'flow') {
      this.flow = helper;
      return 'flow';
    }
    if (helper?.kind === 'plain' || helper?.kind === 'indexed') {
      const result = helper.run(this.engine.call);
      if (result !== undefined) this.setReg(0, result);
      return 'call';
    }
    if (helper?.kind === 'const') {
      this.setReg(0, helper.value);
      return 'call';
    }
    if (helper?.kind === 'slot') {
      const { view } = this.engine.memory;
      const { offset, size } = helper;
      this.setReg(0, size === 8 ? view.getBigUint64(offset, true) : view.getUint32(offset, true));
      return 'call';
    }
    if (helper?.kind === 'loop') {
      const { core } = this.engine;
      const stop = core.beginLoop(this.program.checked ? 1 : 0, this.engine.helperIndex(helper));
      return stop === STOP_DEPTH ? this.classify(stop) : 'call';
    }
    return this.stopped('bad-call', `no helper or function 0x${value.toString(16)} to call`, back - CELL);
  }

  private isFunction(cell: number): boolean {
    const program = this.engine.programAt(cell);
    return program?.functions.includes(program.slotOf(cell)) ?? false;
  }

  /** Takes all frames away from checked programs: nothing of this run's stack can be touched any more. */
  private closeFrames(): void {
    this.live = false;
    this.engine.memory.protect(this.stack.address32, STACK_SIZE, 'none');
  }

  private base(): number {
    return this.engine.current === this ? HOT : this.block;
  }

  /** A 32-bit word of the state, wherever it is now. */
  private word(at: number): number {
    return this.engine.memory.i32[(this.base() + at - HOT) >> 2]!;
  }
}

function isGenerator(value: FlowResult): value is Generator<unknown, RegValue, unknown> {
  return typeof value === 'object';
}
