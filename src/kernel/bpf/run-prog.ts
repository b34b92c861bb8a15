/**
 * Runs a program to its end on a context, in the context of the current CPU, and turns a fault into an error that names
 * the source line. Models `bpf_prog_run` (include/linux/filter.h). What belongs to the run while it is under way, its
 * packet and the stacks below it, is put in place each time that the program goes on.
 */
import type { Execution, Fault, RunResult, StartOptions } from '../../vm/index.js';
import { ProgramFaultError } from '../errors.js';
import type { CallchainInput } from '../events/callchain.js';
import type { Machine } from '../machine.js';
import type { NetState, Redirect } from '../net/net-state.js';
import type { SkBuff } from '../net/skb.js';
import type { XdpBuff } from '../net/xdp.js';
import { cantMigrate, cantSleep } from '../sched/debug.js';
import { type Flow, type Pause, point } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { ProgArrayMap } from './fd-array.js';
import { stateOf } from './helpers/state.js';
import type { BpfMap } from './map.js';
import { type BpfProg, sourcePlace } from './prog.js';
import { pin, unpin } from './recursion.js';
import type { RunContext } from './run-context.js';

/** Instructions that a run may execute where nothing else is said. */
export const DEFAULT_RUN_FUEL = 100_000_000;

/** Callbacks of RCU that may wait while a run is repeated. */
const MAX_BACKLOG = 1000;
/** Where `__BPF_PROG_RUN` checks its context (Linux 6.12). */
const CHECKED_AT = 'include/linux/filter.h:687';
const AFTER_INSNS = point('between instructions of a program');

/** Tells when the repeated part of a test run begins and ends; for whoever measures. */
export interface RunTimer {
  enter(): void;
  leave(): void;
}

export interface RunOptions {
  readonly repeat?: number;
  /** Instructions that a single run may execute. */
  readonly fuel?: number;
  readonly timer?: RunTimer;
  /** Return addresses that `bpf_get_stackid` and `bpf_get_stack` find, innermost first. */
  readonly callchain?: CallchainInput;
  /** What helpers ask about the run; changed by it. */
  readonly run?: RunContext;
}

/**
 * A test run: what came of the last of `repeat` runs, with the instructions of all, the task pinned meanwhile
 * (`bpf_test_run`, net/bpf/test_run.c). Throws `ProgramFaultError`.
 */
export function runProg(kernel: Machine, prog: BpfProg, start: StartOptions, options: RunOptions): RunResult {
  const { sched } = kernel;
  const task = sched.current;
  options.timer?.enter();
  task.rcuDepth++;
  pin(sched, 'pinTestRun', 'bpf_test_run');
  try {
    return sched.quiet
      ? repeatNow(kernel, prog, start, options)
      : kernel.executor.drive(repeatFlow(kernel, prog, start, options));
  } finally {
    unpin(sched, 'pinTestRun');
    task.rcuDepth--;
    if (kernel.rcu.backlog > 0) kernel.rcu.runQuiet();
    options.timer?.leave();
  }
}

function repeatNow(kernel: Machine, prog: BpfProg, start: StartOptions, options: RunOptions): RunResult {
  const { repeat = 1, fuel = DEFAULT_RUN_FUEL, callchain } = options;
  const { engine, net } = kernel;
  kernel.callchain.set(callchain);
  const startOptions = { ...start, fuel };
  let instructions = 0;
  const execution = engine.borrow();
  try {
    for (let i = 0; i < Math.max(1, repeat); i++) {
      net.redirect = undefined;
      if (kernel.rcu.backlog > MAX_BACKLOG) reclaim(kernel);
      execution.start(prog.program, startOptions);
      const exited = execution.complete();
      instructions += execution.instructions;
      if (!exited) throw faultOf(kernel, prog, execution.fault!);
    }
    return { r0: execution.reg(0), instructions };
  } finally {
    engine.giveBack(execution);
  }
}

/** Between two of many runs: what earlier ones have freed can go (`bpf_test_timer_continue` leaves its section, too). */
function reclaim({ sched, rcu }: Machine): void {
  unpin(sched, 'pinTestRun');
  sched.current.rcuDepth--;
  rcu.runQuiet();
  sched.current.rcuDepth++;
  pin(sched, 'pinTestRun', 'bpf_test_run');
}

function* repeatFlow(
  kernel: Machine,
  prog: BpfProg,
  start: StartOptions,
  options: RunOptions,
): Flow<RunResult> {
  const { repeat = 1, fuel = DEFAULT_RUN_FUEL, callchain = {}, run = {} } = options;
  const { sched, net } = kernel;
  let instructions = 0;
  for (let i = 1; ; i++) {
    const packet: RunPacket = { xdp: net.xdp, skb: net.skb };
    const result = yield* runFlow(kernel, prog, { ...start, fuel, callchain, run, net: packet });
    instructions += result.instructions;
    net.redirect = packet.redirect;
    if (result.fault !== undefined) throw faultOf(kernel, prog, result.fault);
    if (i >= repeat) return { r0: result.r0, instructions };
    // The task may move only here.
    unpin(sched, 'pinTestRun');
    yield* sched.resched();
    pin(sched, 'pinTestRun', 'bpf_test_run');
  }
}

/** The packet of a run, and where the program asked to send it. */
export interface RunPacket {
  xdp?: XdpBuff | undefined;
  skb?: SkBuff | undefined;
  redirect?: Redirect | undefined;
}

/** What a run that an event causes is given. */
export interface EventStart extends StartOptions {
  readonly callchain?: CallchainInput;
  /** Changed by the run. */
  readonly net?: RunPacket;
  /** What helpers ask about the event; changed by the run. */
  readonly run?: RunContext;
}

/**
 * One run that an event causes, where the CPU is. Charges simulated time for its instructions. A fault, which no
 * verified program comes to, is the kernel's oops: it is reported on the console, and the run gives 0.
 */
export function* runProgFlow(kernel: Machine, prog: BpfProg, start: EventStart): Flow<RunResult> {
  const result = yield* runFlow(kernel, prog, start);
  const { stats } = prog;
  stats.runs++;
  stats.instructions += result.instructions;
  if (result.fault === undefined) return result;
  oops(kernel, prog, result.fault);
  return { ...result, r0: 0n };
}

function* runFlow(kernel: Machine, prog: BpfProg, start: EventStart): Flow<RunResult> {
  const { sched, engine } = kernel;
  const { calls } = sched.here;
  calls.push(symbolOf(prog));
  const execution = engine.borrow();
  if (sched.trace !== undefined) note(sched, prog, 'start');
  kernel.onRun?.('start', prog, execution);
  try {
    checkContext(sched);
    return yield* new ProgRun(kernel, start, execution).drive(prog);
  } finally {
    kernel.onRun?.('end', prog, execution);
    if (sched.trace !== undefined) note(sched, prog, 'end');
    engine.giveBack(execution);
    calls.pop();
  }
}

function note(sched: Sched, { name }: BpfProg, phase: 'start' | 'end'): void {
  const { preemptCount, current } = sched.here;
  sched.note({ kind: 'prog', phase, name, pid: current.pid, preemptCount });
}

/** As stack traces name a program's code. */
function symbolOf(prog: BpfProg): string {
  return `bpf_prog_${prog.name}`;
}

function checkContext(sched: Sched): void {
  if (sched.profile.progRunCheck === 'cantSleep') cantSleep(sched, CHECKED_AT);
  else cantMigrate(sched, CHECKED_AT);
}

/** The same at a place where nothing waits, interleaves or is probed: no generator, no pause. */
export function runProgNow(kernel: Machine, prog: BpfProg, start: EventStart): bigint {
  const { sched, engine } = kernel;
  if (!sched.quiet) return kernel.executor.drive(runProgFlow(kernel, prog, start)).r0;
  const { calls } = sched.here;
  calls.push(symbolOf(prog));
  const execution = engine.borrow();
  if (sched.trace !== undefined) note(sched, prog, 'start');
  try {
    checkContext(sched);
    kernel.clock.publish();
    kernel.callchain.set(start.callchain);
    const packet = start.net ?? {};
    const outer = swapPacket(kernel.net, packet);
    const state = stateOf(kernel);
    const outerRun = state.run;
    state.run = start.run ?? {};
    execution.start(prog.program, start);
    const exited = execution.complete();
    state.run = outerRun;
    Object.assign(packet, swapPacket(kernel.net, outer));
    const { instructions } = execution;
    prog.stats.runs++;
    prog.stats.instructions += instructions;
    sched.charge(instructions * sched.costs.insn);
    if (exited) return execution.reg(0);
    oops(kernel, prog, execution.fault!);
    return 0n;
  } finally {
    if (sched.trace !== undefined) note(sched, prog, 'end');
    engine.giveBack(execution);
    calls.pop();
  }
}

/** A run under way: what the machine shows of its packet and stacks is the run's own whenever it goes on. */
class ProgRun {
  private readonly packet: RunPacket;
  private readonly run: RunContext;
  private charged = 0;
  /** Maps whose values the program may reach, where somebody asks what a step uses. */
  private shared: readonly BpfMap[] = [];

  constructor(
    private readonly kernel: Machine,
    private readonly start: EventStart,
    private readonly execution: Execution,
  ) {
    this.packet = start.net ?? {};
    this.run = start.run ?? {};
  }

  *drive(prog: BpfProg): Flow<RunResult> {
    const { kernel, start, execution } = this;
    if (kernel.sched.onTouch !== undefined) this.shared = sharedMaps(prog);
    execution.start(prog.program, { fuel: DEFAULT_RUN_FUEL, ...start });
    const steps = execution.drive(kernel.sched.interleaved ? kernel.insnQuantum : undefined);
    kernel.executor.begun();
    for (;;) {
      const before = execution.instructions;
      const step = this.step(steps);
      kernel.executor.executed(execution.instructions - before);
      if (step.done === true) return step.value;
      yield step.value === undefined ? AFTER_INSNS : (step.value as Pause);
    }
  }

  /** Goes on to the next pause, with the run's own state in place meanwhile. */
  private step(steps: Generator<unknown, RunResult, unknown>): IteratorResult<unknown, RunResult> {
    const { kernel, execution } = this;
    const { net, callchain, sched, clock } = kernel;
    for (const map of this.shared) sched.touch(map, true);
    const outer = swapPacket(net, this.packet);
    const stacks = { kernel: callchain.kernel, user: callchain.user };
    callchain.set(this.start.callchain);
    const state = stateOf(kernel);
    const outerRun = state.run;
    state.run = this.run;
    clock.publish();
    try {
      return steps.next();
    } finally {
      Object.assign(this.packet, swapPacket(net, outer));
      Object.assign(callchain, stacks);
      state.run = outerRun;
      const { instructions } = execution;
      sched.charge((instructions - this.charged) * sched.costs.insn);
      this.charged = instructions;
    }
  }
}

/** Maps that a program, and those that it may call, write or read by pointer; constants are nobody's business. */
function sharedMaps(prog: BpfProg): BpfMap[] {
  const progs = [prog];
  const maps = new Set<BpfMap>();
  for (const each of progs) {
    for (const map of each.maps) {
      if (!map.frozen) maps.add(map);
      if (!(map instanceof ProgArrayMap)) continue;
      for (const target of map.slots) if (target !== undefined && !progs.includes(target)) progs.push(target);
    }
  }
  return [...maps];
}

/** Puts another packet in place, and gives the one that was there. */
function swapPacket(net: NetState, { xdp, skb, redirect }: RunPacket): RunPacket {
  const before = { xdp: net.xdp, skb: net.skb, redirect: net.redirect };
  net.xdp = xdp;
  net.skb = skb;
  net.redirect = redirect;
  return before;
}

/** The error for a fault; `source` is the source line it lies in, where that is known. */
export function faultError(fault: Fault, source?: string): ProgramFaultError {
  const code = `FAULT_${fault.kind.toUpperCase().replaceAll('-', '_')}`;
  const detail = source === undefined ? fault.detail : `${fault.detail} (${source})`;
  return new ProgramFaultError(code, detail, { symbol: fault.program, insn: fault.insn });
}

/** The fault may lie in a program that a tail call led to. */
function faultOf(kernel: Machine, prog: BpfProg, fault: Fault): ProgramFaultError {
  const stopped =
    fault.program === prog.name
      ? prog
      : (kernel.progs.findLast(({ name }) => name === fault.program) ?? prog);
  return faultError(fault, sourcePlace(stopped.lineInfo, fault.insn));
}

function oops(kernel: Machine, prog: BpfProg, fault: Fault): void {
  const title =
    fault.address === undefined
      ? `BUG: bpflab: program ${fault.program} was stopped`
      : `BUG: unable to handle page fault for address: ${fault.address.toString(16).padStart(16, '0')}`;
  kernel.sched.console.splat('bug', [title, faultOf(kernel, prog, fault).message]);
}
