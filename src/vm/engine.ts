/**
 * The engine: memory, programs, and the executions that share the core. Everything that BPF code can
 * observe comes from here or from the host's helpers; nothing depends on time or chance.
 */
import { BlockAllocator } from './allocator.js';
import { CELL, CODE_START, HOT, HOT_SIZE, HOT_STOP_ASKED, STACK_GAP, STACK_SIZE } from './core/layout.js';
import { type Core, instantiateCore } from './core.js';
import { SHADOW_BASE } from './core.wasm.js';
import { VmMemoryError, VmStateError } from './errors.js';
import { Execution, type ExecutionHost, type StopReason } from './execution.js';
import { fuse } from './fuse.js';
import { HelperCall } from './helper-call.js';
import type { HelperDef, LoadOptions, LoopHelper } from './helpers.js';
import { EngineMemory } from './memory.js';
import { Program } from './program.js';
import { countCells, translate, writeCells } from './translate.js';
import type { Access, ProgramSource, Region, RegValue, RunResult, StartOptions } from './types.js';

export interface EngineOptions {
  /** Most bytes of memory that programs can be given; default 256 MiB, at most 2 GiB. */
  readonly memoryLimitBytes?: number;
}

function notPlain(): never {
  throw new VmStateError('VM_STATE', 'the core called a helper that is not plain');
}

export class Engine implements ExecutionHost {
  readonly memory: EngineMemory;
  /** @internal */
  readonly core: Core;
  /** The view that helpers get. */
  readonly call: HelperCall;
  /** Why the core is to return once the current plain helper is done. */
  private stopAsked: StopReason = 'none';
  private readonly code: BlockAllocator;
  private readonly helpers: HelperDef[] = [];
  /** What plain helpers do, by the same index; others fail. */
  private readonly plainRuns: ((call: HelperCall) => RegValue | undefined)[] = [];
  private readonly helperIndices = new Map<HelperDef, number>();
  /** Loaded programs by first cell, ascending. */
  private readonly programs: Program[] = [];
  private owner: Execution | undefined;
  /** @internal */
  running: Execution | undefined;
  private readonly idle: Execution[] = [];

  constructor(options: EngineOptions = {}) {
    this.memory = new EngineMemory(options.memoryLimitBytes);
    this.code = new BlockAllocator(CODE_START, (end) => end <= SHADOW_BASE);
    this.call = new HelperCall(this.memory);
    this.memory.onGrow = () => this.call.refresh();
    this.core = instantiateCore(this.memory.wasm, {
      plain: this.plainEntry(),
      tail: (index) => this.tail(index),
      loop: (index) => this.owner!.loopFunction(this.helpers[index] as LoopHelper),
    });
  }

  /** Memory that programs can see; see `EngineMemory.alloc`. */
  alloc(size: number, access: Access = 'readwrite'): Region {
    return this.memory.alloc(size, access);
  }

  free(region: Region): void {
    this.memory.free(region);
  }

  /** Translates a program. Throws `VmProgramError` naming the instruction. */
  load(source: ProgramSource, options: LoadOptions = {}): Program {
    const size = countCells(source.insns) * CELL;
    const start = this.takePrivate(size);
    try {
      const { cells, functions } = translate(source, options, this, start);
      const { checked = true, exactFuel = false, helpers } = options;
      const ops = exactFuel ? Uint16Array.from(cells, (cell) => cell.op) : fuse(cells);
      writeCells(this.memory.view, start, cells, ops);
      const slots = Int32Array.from(cells, (cell) => cell.slot);
      const program = new Program(source.name, start, slots, functions, checked, exactFuel, helpers);
      const at = this.programs.findIndex((p) => p.start > start);
      this.programs.splice(at < 0 ? this.programs.length : at, 0, program);
      return program;
    } catch (error) {
      this.code.give(start);
      throw error;
    }
  }

  /** Forgets a program; no execution may be in it. */
  unload(program: Program): void {
    if (!program.loaded) return;
    program.loaded = false;
    this.programs.splice(this.programs.indexOf(program), 1);
    this.code.give(program.start);
  }

  /** Nobody will use the engine, its memory or its programs again; the next engine is made faster. */
  dispose(): void {
    this.memory.retire(this.code.end);
  }

  /** A new execution with a stack of its own. */
  execution(): Execution {
    const stack = this.memory.alloc(STACK_SIZE + STACK_GAP, 'none');
    return new Execution(this, stack, this.takePrivate(HOT_SIZE));
  }

  /** Runs a program to its end. Flow helpers that would wait are an error (`VM_WOULD_WAIT`). */
  run(program: Program, options: StartOptions = {}): RunResult {
    const execution = this.borrow();
    try {
      execution.start(program, options);
      return execution.finish();
    } finally {
      this.giveBack(execution);
    }
  }

  /** An execution for someone who starts many runs and gives it back afterwards. */
  borrow(): Execution {
    return this.idle.pop() ?? this.execution();
  }

  giveBack(execution: Execution): void {
    this.idle.push(execution);
  }

  /** Makes the core return to its host (stop `yield`) once the current plain helper is done. */
  requestStop(): void {
    this.stopAsked = 'yield';
    this.memory.i32[HOT_STOP_ASKED >> 2] = 1;
  }

  /** @internal Like `requestStop`, for the engine's own accounts. */
  askReslice(): void {
    if (this.stopAsked === 'none') this.stopAsked = 'reslice';
    this.memory.i32[HOT_STOP_ASKED >> 2] = 1;
  }

  /** @internal Why the core returned after a plain helper. */
  takeStop(): StopReason {
    const reason = this.stopAsked;
    this.stopAsked = 'none';
    this.memory.i32[HOT_STOP_ASKED >> 2] = 0;
    return reason;
  }

  /** The program whose code holds a cell. */
  programAt(cell: number): Program | undefined {
    let low = 0;
    let high = this.programs.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const program = this.programs[middle]!;
      if (cell < program.start) high = middle - 1;
      else if (cell >= program.end) low = middle + 1;
      else return program;
    }
    return undefined;
  }

  /** @internal Index by which the core names a helper. */
  helperIndex(helper: HelperDef): number {
    let index = this.helperIndices.get(helper);
    if (index === undefined) {
      index = this.helpers.push(helper) - 1;
      this.plainRuns.push(helper.kind === 'plain' || helper.kind === 'indexed' ? helper.run : notPlain);
      this.helperIndices.set(helper, index);
    }
    return index;
  }

  /** @internal */
  helperAt(index: number): HelperDef {
    return this.helpers[index]!;
  }

  /** The execution whose registers are in the hot block. */
  get current(): Execution | undefined {
    return this.owner;
  }

  /** @internal Gives the hot block to an execution, keeping what the one before had in it. */
  switchTo(execution: Execution): void {
    const { owner } = this;
    if (owner === execution) return;
    const { u8 } = this.memory;
    if (owner !== undefined) u8.copyWithin(owner.block, HOT, HOT + HOT_SIZE);
    u8.copyWithin(HOT, execution.block, execution.block + HOT_SIZE);
    this.owner = execution;
    this.call.execution = execution;
  }

  /** @internal Gives back what `execution()` took. */
  release(execution: Execution): void {
    if (execution === this.owner) this.owner = undefined;
    this.memory.free(execution.stack);
    this.code.give(execution.block);
  }

  private takePrivate(size: number): number {
    const offset = this.code.take(size);
    if (offset === undefined) {
      throw new VmMemoryError('VM_OUT_OF_CODE', `no room for ${size} bytes of translated code`);
    }
    return offset;
  }

  /**
   * What the core calls for a plain helper: a closure over what it needs, since this is the engine's most
   * expensive instruction. `undefined` becomes NaN on its way into the core.
   */
  private plainEntry(): (index: number) => number {
    const { call, plainRuns } = this;
    return (index) => {
      const result = plainRuns[index]!(call);
      if (typeof result !== 'bigint') return result as number;
      call.setR0(result);
      return Number.NaN;
    };
  }

  private tail(index: number): number {
    const helper = this.helpers[index] as Extract<HelperDef, { kind: 'tail' }>;
    const program = helper.run(this.call);
    if (program === undefined) return 0;
    const from = this.call.execution.program;
    if (!program.loaded || program.checked !== from.checked || program.exactFuel !== from.exactFuel) {
      throw new VmStateError('VM_STATE', 'a tail call leads to a program that was loaded in another way', {
        symbol: program.name,
      });
    }
    this.owner!.program = program as Program;
    return program.start;
  }
}
