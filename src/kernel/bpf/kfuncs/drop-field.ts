/**
 * What a special field of a value takes with it when the value goes: a timer is cancelled, objects in lists and trees and
 * behind kernel pointers are given back. Models `bpf_obj_free_fields` (kernel/bpf/syscall.c) of Linux 6.18.
 */
import { FIELD } from '../../../verifier/special-fields.js';
import type { Machine } from '../../machine.js';
import { stateOf } from '../helpers/state.js';
import { listNodes } from './list.js';
import { rbNodes } from './rbtree.js';

const TIMERS = FIELD.TIMER | FIELD.WORKQUEUE | FIELD.TASK_WORK;

/** `kind` is a `FIELD` bit, `at` the field's memory offset. */
export function dropField(kernel: Machine, kind: number, at: number): void {
  const state = stateOf(kernel);
  if ((kind & TIMERS) !== 0) state.timers.drop(at);
  if (kind === FIELD.LIST_HEAD) for (const node of listNodes(kernel, at)) dropHolding(kernel, node);
  if (kind === FIELD.RB_ROOT) for (const node of rbNodes(kernel, at)) dropHolding(kernel, node);
  if (kind === FIELD.KPTR_REF || kind === FIELD.KPTR_PERCPU) {
    const pointer = kernel.memory.view.getUint32(at, true);
    if (pointer !== 0) dropHolding(kernel, pointer);
  }
}

/** Gives back the object that an offset lies in; what is no such object belongs to the kernel and stays. */
export function dropHolding(kernel: Machine, offset: number): void {
  const { objects } = stateOf(kernel);
  const object = objects.holding(offset);
  if (object === undefined) return;
  objects.put(object, (kind, at) => dropField(kernel, kind, at));
}
