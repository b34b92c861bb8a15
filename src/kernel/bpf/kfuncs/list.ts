/**
 * Doubly linked lists of a program's objects: heads and nodes lie in values and objects, their words are the kernel's.
 * Models `struct bpf_list_head`, `struct bpf_list_node_kern` (include/linux/bpf.h) and `__bpf_list_add`, `__bpf_list_del`
 * (kernel/bpf/helpers.c) of Linux 6.18. All places are memory offsets.
 */
import type { Machine } from '../../machine.js';

/** next, prev, owner. */
export const LIST_NODE_BYTES = 24;
const NEXT = 0;
const PREV = 8;
const OWNER = 16;

/** Words that hold pointers, as memory offsets; 0 is null. */
export class Links {
  private readonly high: number;

  constructor(readonly kernel: Machine) {
    this.high = Number(kernel.memory.addressOf(0) >> 32n) | 0;
  }

  get(at: number): number {
    return this.kernel.memory.i32[at >> 2]! >>> 0;
  }

  set(at: number, to: number): void {
    const { i32 } = this.kernel.memory;
    i32[at >> 2] = to;
    i32[(at >> 2) + 1] = to === 0 ? 0 : this.high;
  }
}

/** A zeroed head is an empty list. */
function init(links: Links, head: number): void {
  if (links.get(head + NEXT) !== 0) return;
  links.set(head + NEXT, head);
  links.set(head + PREV, head);
}

/** Puts a node at an end; false when it is in a list already. */
export function listAdd(links: Links, head: number, node: number, atTail: boolean): boolean {
  init(links, head);
  if (links.get(node + OWNER) !== 0) return false;
  const before = atTail ? links.get(head + PREV) : head;
  const after = atTail ? head : links.get(head + NEXT);
  links.set(node + NEXT, after);
  links.set(node + PREV, before);
  links.set(before + NEXT, node);
  links.set(after + PREV, node);
  links.set(node + OWNER, head);
  return true;
}

/** Takes the node at an end; 0 when the list is empty. */
export function listTake(links: Links, head: number, atTail: boolean): number {
  init(links, head);
  const node = links.get(head + (atTail ? PREV : NEXT));
  if (node === head || links.get(node + OWNER) !== head) return 0;
  const [before, after] = [links.get(node + PREV), links.get(node + NEXT)];
  links.set(before + NEXT, after);
  links.set(after + PREV, before);
  links.set(node + NEXT, node);
  links.set(node + PREV, node);
  links.set(node + OWNER, 0);
  return node;
}

/** The node at an end, left where it is. */
export function listPeek(links: Links, head: number, atTail: boolean): number {
  const node = links.get(head + (atTail ? PREV : NEXT));
  return node === 0 || node === head ? 0 : node;
}

/** Takes all nodes out, first to last. */
export function listNodes(kernel: Machine, head: number): number[] {
  const links = new Links(kernel);
  const nodes: number[] = [];
  for (let node = listTake(links, head, false); node !== 0; node = listTake(links, head, false))
    nodes.push(node);
  return nodes;
}
