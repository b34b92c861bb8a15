/** A random program from its parts: the main function, then those that it calls, BTF where functions need it, changes. */
import { type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { Rng } from '../verdicts-rng.js';
import { Builder, encodeSlots, Size } from './builder.js';
import {
  absolute,
  callback,
  callOwn,
  directValue,
  epilogue,
  innerLookup,
  lookup,
  packet,
  queue,
  ringbuf,
  simpleHelper,
  sizedHelper,
  tailCallOrEvent,
  update,
} from './calls.js';
import { CTX, Gen, type MapSpec, NONE, type ProgTypeName, SCALAR, type Shared, type Sub } from './gen.js';
import { cpumask, currentTask, dynptr, iterator, section, socket, task, throwOut } from './kernel-objects.js';
import { spinLock, timer } from './locks.js';
import {
  atomicStack,
  copyContext,
  loadStack,
  movePointer,
  spillNumber,
  spillPointer,
  storeStack,
  useContext,
  useMemory,
  variableStack,
} from './memory.js';
import { mutate } from './mutate.js';
import { alu, branch, constant, guard, linked, loop, move, swapOrNegate, unknown } from './scalars.js';

export interface RandomRequest {
  readonly prog_type: ProgTypeName;
  readonly expected_attach_type: number;
  readonly insns: string;
  readonly maps: readonly MapSpec[];
  readonly license: string;
  readonly prog_flags?: number;
  readonly btf?: string;
  readonly func_info?: string;
}

type Statement = (g: Gen) => void;

const MAX_NESTING = 3;
const MAX_SLOTS = 400;

function nested(statement: (g: Gen, body: typeof block) => void): Statement {
  return (g) => {
    if (g.nesting >= MAX_NESTING) {
      alu(g);
      return;
    }
    g.nesting++;
    statement(g, block);
    g.nesting--;
  };
}

const STATEMENTS: readonly (readonly [weight: number, statement: Statement])[] = [
  [14, alu],
  [4, move],
  [2, swapOrNegate],
  [3, constant],
  [5, unknown],
  [8, nested(branch)],
  [4, guard],
  [4, linked],
  [2, nested(loop)],
  [5, storeStack],
  [5, loadStack],
  [4, spillNumber],
  [2, spillPointer],
  [3, variableStack],
  [8, useMemory],
  [5, movePointer],
  [3, atomicStack],
  [4, useContext],
  [1, copyContext],
  [5, nested(lookup)],
  [2, update],
  [2, directValue],
  [1, nested(ringbuf)],
  [1, queue],
  [2, simpleHelper],
  [3, sizedHelper],
  [6, nested(packet)],
  [1, absolute],
  [3, callOwn],
  [1, callback],
];
/** Of programs that use objects of the kernel, besides. */
const OBJECT_STATEMENTS: readonly (readonly [weight: number, statement: Statement])[] = [
  ...STATEMENTS,
  [8, nested(iterator)],
  [10, nested(dynptr)],
  [4, nested(socket)],
  [3, nested(cpumask)],
  [3, nested(task)],
  [2, currentTask],
  [5, nested(section)],
  [1, throwOut],
  [4, nested(spinLock)],
  [3, timer],
  [3, nested(innerLookup)],
  [2, tailCallOrEvent],
];
const totalOf = (statements: typeof STATEMENTS): number =>
  statements.reduce((sum, [weight]) => sum + weight, 0);
const TOTAL = totalOf(STATEMENTS);
const OBJECT_TOTAL = totalOf(OBJECT_STATEMENTS);

function statement(g: Gen): void {
  const { withObjects } = g.shared;
  let left = g.rng.range(0, (withObjects ? OBJECT_TOTAL : TOTAL) - 1);
  for (const [weight, run] of withObjects ? OBJECT_STATEMENTS : STATEMENTS) {
    left -= weight;
    if (left < 0) {
      run(g);
      return;
    }
  }
}

function block(g: Gen, count: number): void {
  for (let i = 0; i < count && g.b.here < MAX_SLOTS; i++) statement(g);
}

function mainBody(g: Gen): void {
  const { rng, b } = g;
  g.set(1, CTX);
  if (rng.chance(0.95)) {
    b.copy(6, 1);
    g.set(6, CTX);
    if (rng.chance(0.9)) g.held.add(6);
  }
  if (rng.chance(0.6)) {
    for (let slot = 1; slot <= 8; slot++) b.storeImm(Size.dw, 10, -8 * slot, rng.chance(0.5) ? 0 : g.imm());
    g.stack.fill(1);
  }
  for (let i = rng.range(0, 3); i > 0; i--) unknown(g);
  block(g, rng.range(3, 22));
  epilogue(g, false);
  if (g.progType === 'cgroup_skb' && !g.slips()) {
    b.slots.pop();
    b.emit(0x57, 0, 0, 0, 1);
    b.emit(0x95);
  }
}

function subBody(g: Gen, sub: Sub): void {
  const { b } = g;
  sub.params.forEach((param, i) => {
    g.set(i + 1, param === 'scalar' ? SCALAR : param === 'ctx' ? CTX : { kind: 'mem', room: 16 });
  });
  if (sub.kind === 'elem_callback') {
    g.set(1, NONE);
    g.set(2, { kind: 'mem', room: 4, readOnly: true });
    g.set(3, { kind: 'mem', room: 64 });
    g.set(4, { kind: 'mem', room: 16 });
  }
  if (sub.kind === 'timer_callback') {
    g.set(1, NONE);
    g.set(2, { kind: 'mem', room: 4, readOnly: true });
    g.set(3, NONE);
  }
  const ctx = g.ctx();
  if (ctx !== undefined) {
    b.copy(6, ctx);
    g.set(6, CTX);
  }
  const memory = g.pointer('mem');
  if (memory !== undefined && g.rng.chance(0.5)) {
    b.copy(7, memory);
    g.set(7, g.regs[memory]!);
  }
  block(g, g.rng.range(1, 7));
  epilogue(g, sub.kind === 'callback' || sub.kind === 'elem_callback');
  if (sub.kind !== 'timer_callback' || g.slips()) return;
  b.slots.pop();
  b.mov(0, 0);
  b.emit(0x95);
}

const INT: BtfType = {
  kind: 'int',
  name: 'int',
  size: 4,
  encoding: 1,
  signed: true,
  char: false,
  bool: false,
  bits: 32,
  bitOffset: 0,
};
const FIRST_FUNC = 5;

/** int; void *; int (void *ctx); int (int, int); then `main` and the functions. */
function btfOf(subs: readonly Sub[]): string {
  const types: BtfType[] = [
    INT,
    { kind: 'ptr', name: '', type: 0 },
    { kind: 'func_proto', name: '', type: 1, params: [{ name: 'ctx', type: 2 }] },
    {
      kind: 'func_proto',
      name: '',
      type: 1,
      params: [
        { name: 'a', type: 1 },
        { name: 'b', type: 1 },
      ],
    },
    { kind: 'func', name: 'main', type: 3, linkage: 0 },
    ...subs.map(
      ({ kind }, i): BtfType => ({
        kind: 'func',
        name: `f${i}`,
        type: kind === 'global' ? 4 : 3,
        linkage: kind === 'global' ? 1 : 0,
      }),
    ),
  ];
  return Buffer.from(encodeBtf(types)).toString('hex');
}

function funcInfo(starts: readonly number[]): string {
  const words = starts.flatMap((start, i) => [start, FIRST_FUNC + i]);
  return Buffer.from(new Uint32Array(words).buffer).toString('hex');
}

const TYPES: readonly ProgTypeName[] = [
  'socket_filter',
  'socket_filter',
  'sched_cls',
  'sched_cls',
  'sched_cls',
  'xdp',
  'xdp',
  'xdp',
  'raw_tracepoint',
  'raw_tracepoint',
  'cgroup_skb',
  'tracepoint',
  'kprobe',
  'perf_event',
];
/** Of programs that use objects of the kernel. */
const OBJECT_TYPES: readonly ProgTypeName[] = [...TYPES, 'syscall', 'syscall', 'syscall'];
const BPF_F_SLEEPABLE = 16;

/** What the generator knows of the kernel's types. */
export interface KernelTypes {
  kfunc(name: string): number | undefined;
  /** Offsets of 32-bit fields of a task. */
  readonly taskFields: readonly number[];
}

/** `types`: without them no program uses kernel functions. */
export function structuredProgram(seed: number, types?: KernelTypes): RandomRequest {
  const rng = new Rng(seed);
  const withObjects = rng.chance(0.4);
  const progType = rng.pick(withObjects ? OBJECT_TYPES : TYPES);
  const slip = rng.pick([0, 0, 0, 0.005, 0.02]);
  const builder = new Builder();
  const shared: Shared = {
    rng,
    progType,
    builder,
    maps: [],
    subs: [],
    hasBtf: rng.chance(0.3),
    slip,
    withObjects,
    kfunc: types?.kfunc,
    taskFields: types?.taskFields ?? [],
  };
  mainBody(new Gen(shared, 0));
  const starts = [0];
  // functions add functions while they are written
  for (let i = 0; i < shared.subs.length; i++) {
    const sub = shared.subs[i]!;
    starts.push(builder.here);
    subBody(new Gen(shared, sub.depth), sub);
  }
  shared.subs.forEach((sub, i) => {
    for (const at of sub.callers) builder.slots[at]!.imm = starts[i + 1]! - at - 1;
  });
  if (rng.chance(0.35)) mutate(rng, builder.slots);
  return {
    prog_type: progType,
    expected_attach_type: 0,
    insns: encodeSlots(builder.slots),
    maps: shared.maps,
    license: 'GPL',
    ...(progType === 'syscall' && { prog_flags: BPF_F_SLEEPABLE }),
    ...(shared.hasBtf && { btf: btfOf(shared.subs), func_info: funcInfo(starts) }),
  };
}
