/**
 * Kernel functions on objects that programs allocate, and on lists and trees of them. Models kernel/bpf/helpers.c of Linux
 * 6.18. In a verified program the arguments that the kernel adds (type records, offsets) are implied by the object itself.
 */
import { type SpecialField, specialFieldsOf } from '../../../verifier/special-fields.js';
import { type HelperCall, HelperFault, VmMemoryError } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { stateOf } from '../helpers/state.js';
import { addressHigh, EINVAL, setPointer } from '../helpers/table.js';
import { dropField, dropHolding } from './drop-field.js';
import { LIST_NODE_BYTES, Links, listAdd, listPeek, listTake } from './list.js';
import type { BpfObject } from './object-store.js';
import { RB_NODE_BYTES, RbTree } from './rbtree.js';
import type { KfuncRun, KfuncTable } from './table.js';

/** Largest object (BPF_GLOBAL_PERCPU_MA_MAX_SIZE). */
const MAX_PERCPU = 512;

export function objectKfuncs(kernel: Machine): KfuncTable {
  const high = addressHigh(kernel);
  const { objects } = stateOf(kernel);
  const create =
    (perCpu: boolean): KfuncRun =>
    (call, { btf, name }) => {
      const id = call.argU32(1);
      if (btf?.has(id) !== true) throw new HelperFault(`${name}: r1: no type ${id} to make an object of`);
      const size = btf.sizeOf(id);
      if (perCpu && size > MAX_PERCPU) return 0;
      const object = tryCreate(kernel, size, specialFieldsOf(btf, id), perCpu);
      return object === undefined ? 0 : setPointer(call, object.region.address32, high);
    };
  const drop: KfuncRun = (call) => {
    objects.put(objectArg(kernel, call, 1), (kind, at) => dropField(kernel, kind, at));
    return 0;
  };
  return {
    bpf_obj_new_impl: create(false),
    bpf_percpu_obj_new_impl: create(true),
    bpf_obj_drop_impl: drop,
    bpf_percpu_obj_drop_impl: drop,
    bpf_refcount_acquire_impl(call) {
      objects.get(objectArg(kernel, call, 1));
      return setPointer(call, call.argU32(1), high);
    },
    ...listKfuncs(kernel, high),
    ...treeKfuncs(kernel, high),
  };
}

function tryCreate(
  kernel: Machine,
  size: number,
  fields: readonly SpecialField[],
  perCpu: boolean,
): BpfObject | undefined {
  try {
    return stateOf(kernel).objects.create(size, fields, perCpu);
  } catch (error) {
    if (error instanceof VmMemoryError) return undefined;
    throw error;
  }
}

function objectArg(kernel: Machine, call: HelperCall, n: number): BpfObject {
  const object = stateOf(kernel).objects.holding(call.argU32(n));
  if (object !== undefined) return object;
  throw new HelperFault(`r${n}: 0x${call.arg(n).toString(16)} is no object of the program`);
}

function listKfuncs(kernel: Machine, high: number): KfuncTable {
  const links = new Links(kernel);
  const push =
    (atTail: boolean): KfuncRun =>
    (call) => {
      const [head, node] = [call.pointer(1, 16, true), call.pointer(2, LIST_NODE_BYTES, true)];
      if (listAdd(links, head, node, atTail)) return 0;
      // It is in a list already: the program's hold of it goes.
      dropHolding(kernel, node);
      return -EINVAL;
    };
  const pop =
    (atTail: boolean): KfuncRun =>
    (call) =>
      setPointer(call, listTake(links, call.pointer(1, 16, true), atTail), high);
  const peek =
    (atTail: boolean): KfuncRun =>
    (call) =>
      setPointer(call, listPeek(links, call.pointer(1, 16, true), atTail), high);
  return {
    bpf_list_push_front_impl: push(false),
    bpf_list_push_back_impl: push(true),
    bpf_list_pop_front: pop(false),
    bpf_list_pop_back: pop(true),
    bpf_list_front: peek(false),
    bpf_list_back: peek(true),
  };
}

function treeKfuncs(kernel: Machine, high: number): KfuncTable {
  const { memory } = kernel;
  const treeArg = (call: HelperCall): RbTree => new RbTree(kernel, call.pointer(1, 16, true));
  const nodeArg = (call: HelperCall, n: number): number => call.pointer(n, RB_NODE_BYTES, true);
  return {
    bpf_rbtree_add_impl(call) {
      const [tree, node] = [treeArg(call), nodeArg(call, 2)];
      const less = call.arg(3);
      const { execution } = call;
      const isLess = (a: number, b: number): boolean =>
        (execution.callFunction(less, [memory.addressOf(a), memory.addressOf(b)]) & 0xffn) !== 0n;
      if (tree.add(node, isLess)) return 0;
      dropHolding(kernel, node);
      return -EINVAL;
    },
    bpf_rbtree_remove(call) {
      const [tree, node] = [treeArg(call), nodeArg(call, 2)];
      return tree.remove(node) ? setPointer(call, node, high) : 0;
    },
    bpf_rbtree_first: (call) => setPointer(call, treeArg(call).leftmost, high),
    bpf_rbtree_root: (call) => setPointer(call, treeArg(call).top, high),
    bpf_rbtree_left(call) {
      const [tree, node] = [treeArg(call), nodeArg(call, 2)];
      return tree.ownerOf(node) === tree.root ? setPointer(call, tree.left(node), high) : 0;
    },
    bpf_rbtree_right(call) {
      const [tree, node] = [treeArg(call), nodeArg(call, 2)];
      return tree.ownerOf(node) === tree.root ? setPointer(call, tree.right(node), high) : 0;
    },
  };
}
