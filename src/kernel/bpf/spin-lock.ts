/**
 * `bpf_spin_lock` and `bpf_res_spin_lock`: a word in a map's value or in an object, held with interrupts and preemption off.
 * Models `__bpf_spin_lock_irqsave` (kernel/bpf/helpers.c) and, of kernel/bpf/rqspinlock.c, its verdict on deadlocks: Linux
 * 6.18. Where nothing interleaves, whoever holds a lock runs to the unlock, so that nobody else ever finds it taken.
 */
import { Errno } from '../../abi/errno.js';
import { HelperFault } from '../../vm/index.js';
import type { Agent, Contended } from '../locking/wait-graph.js';
import type { Machine } from '../machine.js';
import { type Flow, point } from '../sched/flow.js';
import { waitable } from '../sched/sched.js';

const PLACE = 'bpf_spin_lock';
const BEFORE = point(PLACE);

interface Held {
  readonly at: number;
  readonly cpu: number;
  readonly who: string;
  readonly agent: Agent;
  readonly irqsBefore: boolean;
}

class ValueLocks {
  readonly held: Held[] = [];
  /** Lock that each CPU waits for. */
  readonly waiting = new Map<number, number>();

  holderOf(at: number): Held | undefined {
    return this.held.find((lock) => lock.at === at);
  }

  /** Whether the wait of a CPU for a lock could never end: it holds it, or what its holder waits for. */
  wouldDeadlock(at: number, cpu: number): boolean {
    let lock: number | undefined = at;
    for (let steps = 0; lock !== undefined && steps <= this.held.length; steps++) {
      const holder = this.holderOf(lock);
      if (holder === undefined) return false;
      if (holder.cpu === cpu) return true;
      lock = this.waiting.get(holder.cpu);
    }
    return false;
  }
}

const locksOf = new WeakMap<Machine, ValueLocks>();

function locks(kernel: Machine): ValueLocks {
  let known = locksOf.get(kernel);
  if (known === undefined) {
    known = new ValueLocks();
    locksOf.set(kernel, known);
  }
  return known;
}

function enter(kernel: Machine): boolean {
  const irqsBefore = kernel.sched.irqSave(PLACE);
  kernel.sched.preemptDisable(PLACE);
  return irqsBefore;
}

function leave(kernel: Machine, irqsBefore: boolean): void {
  kernel.sched.preemptEnable();
  kernel.sched.irqRestore(irqsBefore);
}

function take(kernel: Machine, at: number, irqsBefore: boolean): void {
  const { here, current } = kernel.sched;
  const who = `${current.label} on CPU ${here.id}`;
  kernel.memory.i32[at >> 2] = 1;
  locks(kernel).held.push({ at, cpu: here.id, who, agent: here.top ?? current, irqsBefore });
}

function nameOf(at: number): string {
  return `bpf_spin_lock at 0x${at.toString(16)}`;
}

/** The lock as the graph of waiters sees it. */
function contended(state: ValueLocks, at: number): Contended {
  const holders = (): Agent[] => state.held.flatMap((lock) => (lock.at === at ? [lock.agent] : []));
  return { name: nameOf(at), place: PLACE, spins: true, holders, blockers: holders };
}

/** Takes a lock where nothing interleaves. */
export function acquireLock(kernel: Machine, at: number): void {
  if (kernel.memory.i32[at >> 2] !== 0) {
    const who = locks(kernel).holderOf(at)?.who ?? 'nobody who could give it back';
    throw new HelperFault(`waits for ever for the ${nameOf(at)}, held by ${who}`);
  }
  take(kernel, at, enter(kernel));
}

/** The same where others may have it. Throws `SimulationError` `SIM_DEADLOCK` where the wait closes a circle: Linux would spin. */
export function* acquireLockFlow(kernel: Machine, at: number): Flow<void> {
  const { sched, locks: made } = kernel;
  const irqsBefore = enter(kernel);
  const taken = (): boolean => kernel.memory.i32[at >> 2] !== 0;
  const state = locks(kernel);
  const on = waitable(nameOf(at), () => state.holderOf(at)?.who);
  if (sched.interleaved) yield BEFORE;
  while (taken()) {
    const agent = sched.here.top ?? sched.current;
    made.graph.begin(agent, contended(state, at));
    yield { kind: 'spin', until: () => !taken(), on };
    made.graph.end(agent);
  }
  take(kernel, at, irqsBefore);
}

/** bpf_res_spin_lock: 0, or -EDEADLK where the wait could not end. */
export function* acquireResilientLock(kernel: Machine, at: number): Flow<number> {
  const irqsBefore = enter(kernel);
  const result = yield* waitFor(kernel, at);
  if (result === 0) take(kernel, at, irqsBefore);
  else leave(kernel, irqsBefore);
  return result;
}

function* waitFor(kernel: Machine, at: number): Flow<number> {
  const { sched } = kernel;
  const state = locks(kernel);
  const cpu = sched.here.id;
  if (sched.interleaved) yield BEFORE;
  const taken = (): boolean => kernel.memory.i32[at >> 2] !== 0;
  const on = waitable(nameOf(at), () => state.holderOf(at)?.who);
  while (taken()) {
    if (state.wouldDeadlock(at, cpu)) return -Errno.EDEADLK;
    state.waiting.set(cpu, at);
    yield { kind: 'spin', until: () => !taken() || state.wouldDeadlock(at, cpu), on };
    state.waiting.delete(cpu);
  }
  return 0;
}

export function releaseLock(kernel: Machine, at: number): void {
  const { held } = locks(kernel);
  const found = held.findLastIndex((lock) => lock.at === at);
  if (found < 0) throw new HelperFault(`the lock at 0x${at.toString(16)} is not held`);
  const [lock] = held.splice(found, 1);
  kernel.memory.i32[at >> 2] = 0;
  leave(kernel, lock!.irqsBefore);
}

/** Gives back what a run that was stopped still holds. */
export function releaseAllLocks(kernel: Machine): void {
  const { held } = locks(kernel);
  while (held.length > 0) releaseLock(kernel, held.at(-1)!.at);
}
