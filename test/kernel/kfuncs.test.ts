/** Kernel functions whose results depend on the simulated kernel: objects, lists, trees, tasks, groups. */
import { describe, expect, test } from '@jest/globals';
import { allKfuncs } from '../../src/abi/kfuncs.js';
import { stateOf } from '../../src/kernel/bpf/helpers/state.js';
import { kfuncTable } from '../../src/kernel/bpf/kfuncs/index.js';
import { RbTree } from '../../src/kernel/bpf/kfuncs/rbtree.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { Id, kernelWith, load, makeMap } from './helpers-support.js';

const PACKET = Uint8Array.from({ length: 64 }, (_, i) => i);
const NAMES = [
  'bpf_obj_new_impl',
  'bpf_obj_drop_impl',
  'bpf_refcount_acquire_impl',
  'bpf_list_push_front_impl',
  'bpf_list_push_back_impl',
  'bpf_list_pop_front',
  'bpf_list_pop_back',
  'bpf_list_front',
  'bpf_rbtree_add_impl',
  'bpf_rbtree_first',
  'bpf_rbtree_remove',
  'bpf_rbtree_root',
  'bpf_task_from_pid',
  'bpf_task_release',
  'bpf_iter_task_new',
  'bpf_iter_task_next',
  'bpf_iter_task_destroy',
  'bpf_cgroup_from_id',
  'bpf_cgroup_ancestor',
];

const lookup =
  'r1 = 0\n*(u32 *)(r10 - 4) = r1\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr6 = r0\n';

function setUp() {
  const { kernel, kfunc } = kernelWith(NAMES);
  const map = makeMap(kernel, 'array', { valueSize: 24 });
  const run = (body: string): number => {
    const prog = load(kernel, 'sched_cls', `${lookup}${body}`, { maps: [map] });
    return Number(BigInt.asIntN(64, testRun(kernel, prog, { dataIn: PACKET }).r0));
  };
  const create = (key: number): string =>
    `r1 = ${Id.NODE}\nr2 = 0\n${kfunc('bpf_obj_new_impl')}\nr7 = r0\nr1 = ${key}\n*(u64 *)(r7 + 0) = r1\n`;
  return { kernel, kfunc, run, create };
}

describe('lists', () => {
  const push = (kfunc: (name: string) => string, end: string): string =>
    `r1 = r6\nr2 = r7\nr2 += 8\nr3 = 0\nr4 = 8\n${kfunc(`bpf_list_push_${end}_impl`)}\n`;
  const pop = (kfunc: (name: string) => string, end: string): string =>
    `r1 = r6\n${kfunc(`bpf_list_pop_${end}`)}\nif r0 == 0 goto empty\nr1 = *(u64 *)(r0 - 8)\nr9 *= 10\nr9 += r1\n`;
  const done = 'r0 = r9\nexit\nempty:\nr0 = -1\nexit';

  test.each<[string, string, number]>([
    ['back', 'front', 123],
    ['back', 'back', 321],
    ['front', 'front', 321],
    ['front', 'back', 123],
  ])('pushed at the %s, popped at the %s', (to, from, order) => {
    const { kernel, kfunc, run, create } = setUp();
    const fill = [1, 2, 3].map((key) => create(key) + push(kfunc, to)).join('');
    expect(run(`r9 = 0\n${fill}${pop(kfunc, from).repeat(3)}${done}`)).toBe(order);
    expect(stateOf(kernel).objects.size).toBe(3);
  });

  test('an empty list gives nothing', () => {
    const { kfunc, run } = setUp();
    expect(run(`r9 = 0\n${pop(kfunc, 'front')}${done}`)).toBe(-1);
  });

  test('a node that is in a list already is given back', () => {
    const { kernel, kfunc, run, create } = setUp();
    expect(run(`${create(1)}${push(kfunc, 'back')}${push(kfunc, 'back')}exit`)).toBe(-22);
    expect(stateOf(kernel).objects.size).toBe(0);
  });

  test('objects end with their last holder', () => {
    const { kernel, kfunc, run } = setUp();
    const body = `r1 = ${Id.COUNTED}\nr2 = 0\n${kfunc('bpf_obj_new_impl')}\nr7 = r0\nr1 = r7\nr2 = 0\n${kfunc('bpf_refcount_acquire_impl')}\nr8 = *(u32 *)(r7 + 8)\nr1 = r7\nr2 = 0\n${kfunc('bpf_obj_drop_impl')}\nr0 = r8\nexit`;
    expect(run(body)).toBe(2);
    expect(stateOf(kernel).objects.size).toBe(1);
  });
});

describe('trees', () => {
  test('nodes come out in the order that the program gives them', () => {
    const { kernel, kfunc, run, create } = setUp();
    const add = `r1 = r6\nr2 = r7\nr2 += 32\nr3 = subprog[less]\nr4 = 0\nr5 = 32\n${kfunc('bpf_rbtree_add_impl')}\n`;
    const take = `r1 = r6\n${kfunc('bpf_rbtree_first')}\nif r0 == 0 goto done\nr1 = r6\nr2 = r0\n${kfunc('bpf_rbtree_remove')}\nr1 = *(u64 *)(r0 - 32)\nr9 *= 10\nr9 += r1\n`;
    const fill = [5, 1, 4, 2, 3].map((key) => create(key) + add).join('');
    const less =
      'less:\nr3 = *(u64 *)(r1 - 32)\nr4 = *(u64 *)(r2 - 32)\nr0 = 1\nif r3 < r4 goto yes\nr0 = 0\nyes:\nexit';
    expect(run(`r9 = 0\n${fill}${take.repeat(6)}done:\nr0 = r9\nexit\n${less}`)).toBe(12345);
    expect(stateOf(kernel).objects.size).toBe(5);
  });

  /** Checks the colours and the depth of black nodes; the depth. */
  function blackDepth(kernel: Kernel, tree: RbTree, node: number): number {
    if (node === 0) return 1;
    const { i32 } = kernel.memory;
    const black = (at: number): boolean => at === 0 || (i32[at >> 2]! & 1) === 1;
    if (!black(node)) expect(black(tree.left(node)) && black(tree.right(node))).toBe(true);
    const depth = blackDepth(kernel, tree, tree.left(node));
    expect(blackDepth(kernel, tree, tree.right(node))).toBe(depth);
    return depth + (black(node) ? 1 : 0);
  }

  test('they stay balanced while nodes come and go', () => {
    const kernel = new Kernel();
    const root = kernel.memory.alloc(16, 'none').address32;
    const nodes = Array.from({ length: 60 }, () => kernel.memory.alloc(32, 'none').address32);
    const key = new Map(nodes.map((node, i) => [node, (i * 37) % 60]));
    const tree = new RbTree(kernel, root);
    const less = (a: number, b: number): boolean => key.get(a)! < key.get(b)!;
    for (const node of nodes) {
      expect(tree.add(node, less)).toBe(true);
      blackDepth(kernel, tree, tree.top);
    }
    expect(tree.add(nodes[0]!, less)).toBe(false);
    const order = [...nodes].sort((a, b) => ((key.get(a)! * 11) % 60) - ((key.get(b)! * 11) % 60));
    for (const [i, node] of order.entries()) {
      expect(tree.remove(node)).toBe(true);
      blackDepth(kernel, tree, tree.top);
      const left = order.slice(i + 1).map((other) => key.get(other)!);
      expect(key.get(tree.leftmost) ?? Number.POSITIVE_INFINITY).toBe(Math.min(...left));
    }
    expect(tree.top).toBe(0);
  });
});

describe('tasks and groups', () => {
  test('the current task is found by its pid, another is not', () => {
    const { kernel, kfunc, run } = setUp();
    const body = (pid: number): string =>
      `r1 = ${pid}\n${kfunc('bpf_task_from_pid')}\nif r0 == 0 goto none\nr0 = 1\nnone:\nexit`;
    expect(run(body(kernel.current.pid))).toBe(1);
    expect(run(body(4_000_000))).toBe(0);
  });

  test('a walk over the threads of the process', () => {
    const { kfunc, run } = setUp();
    const at = (reg: number): string => `r${reg} = r10\nr${reg} += -32\n`;
    const body = `r9 = 0\n${at(1)}r2 = 0\nr3 = 1\n${kfunc('bpf_iter_task_new')}\nagain:\n${at(1)}${kfunc('bpf_iter_task_next')}\nif r0 == 0 goto done\nr9 += 1\ngoto again\ndone:\n${at(1)}${kfunc('bpf_iter_task_destroy')}\nr0 = r9\nexit`;
    expect(run(body)).toBeGreaterThanOrEqual(1);
  });

  test('groups by number, and the one above', () => {
    const { kernel, kfunc, run } = setUp();
    const state = stateOf(kernel);
    const parent = state.makeCgroup(500n);
    state.makeCgroup(501n, parent);
    const above = (level: number): string =>
      `r1 = 501\n${kfunc('bpf_cgroup_from_id')}\nif r0 == 0 goto none\nr1 = r0\nr2 = ${level}\n${kfunc('bpf_cgroup_ancestor')}\nnone:\nexit`;
    expect(BigInt.asUintN(64, BigInt(run(above(1)))) & 0xffffffffn).toBe(parent.address & 0xffffffffn);
    expect(run(above(3))).toBe(0);
  });
});

test('every kernel function that is there is one that Linux has', () => {
  const known = new Set([...allKfuncs()].map(({ name }) => name));
  expect(Object.keys(kfuncTable(new Kernel())).filter((name) => !known.has(name))).toEqual([]);
});
