/**
 * `bpf_spin_lock`: a word in a map's value or in an object, held with interrupts off. Models `__bpf_spin_lock_irqsave` in
 * kernel/bpf/helpers.c of Linux 6.18. Within one run nothing else can have it, since whoever holds it runs to the unlock;
 * a second lock by the same run, which a verifier refuses, is a fault.
 */
import { HelperFault } from '../../vm/index.js';
import type { Machine } from '../machine.js';

const PLACE = 'bpf_spin_lock';

interface Held {
  readonly at: number;
  readonly irqsBefore: boolean;
}

const heldBy = new WeakMap<Machine, Held[]>();

export function acquireLock(kernel: Machine, at: number): void {
  const { i32 } = kernel.memory;
  if (i32[at >> 2] !== 0) throw new HelperFault(`the lock at 0x${at.toString(16)} is held already`);
  const held = heldBy.get(kernel) ?? [];
  heldBy.set(kernel, held);
  const irqsBefore = kernel.sched.irqSave(PLACE);
  kernel.sched.preemptDisable(PLACE);
  i32[at >> 2] = 1;
  held.push({ at, irqsBefore });
}

export function releaseLock(kernel: Machine, at: number): void {
  const held = heldBy.get(kernel) ?? [];
  const found = held.findLastIndex((lock) => lock.at === at);
  if (found < 0) throw new HelperFault(`the lock at 0x${at.toString(16)} is not held`);
  const [lock] = held.splice(found, 1);
  kernel.memory.i32[at >> 2] = 0;
  kernel.sched.preemptEnable();
  kernel.sched.irqRestore(lock!.irqsBefore);
}

/** Gives back what a run that was stopped still holds. */
export function releaseAllLocks(kernel: Machine): void {
  const held = heldBy.get(kernel) ?? [];
  while (held.length > 0) releaseLock(kernel, held.at(-1)!.at);
}
