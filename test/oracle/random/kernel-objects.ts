/**
 * Statements on objects of the kernel: number iterators, dynptrs of all sources, references to sockets, tasks and CPU masks,
 * sections. What needs a kernel function is left out where the generator knows no ids of them.
 */
import { AND64_IMM, CALL, JA, JEQ_IMM, JNE_IMM, Size } from './builder.js';
import { RINGBUF } from './calls.js';
import { BUFFER_OFF, type Gen, NONE, type ProgTypeName, SCALAR, SKBS, VALUE_OFF } from './gen.js';
import { type Body, bounded, condition } from './scalars.js';

/** Stack of iterators, one a nesting level, and of two dynptrs: below what other statements use. */
const ITERATOR_OFF = -216;
const DYNPTR_OFF = -272;
const MAX_NESTING = 3;

const PSEUDO_KFUNC = 2;

/** A call of a kernel function; false where it is not known. */
function kcall(g: Gen, name: string): boolean {
  const id = g.shared.kfunc?.(name);
  if (id === undefined) return false;
  g.b.emit(CALL, 0, PSEUDO_KFUNC, 0, id);
  g.afterCall();
  return true;
}

/** Mostly only where the program type allows it. */
const allowed = (g: Gen, types: readonly ProgTypeName[]): boolean =>
  types.includes(g.progType) || g.rng.chance(0.03);

const TASK_TYPES: readonly ProgTypeName[] = ['tracepoint', 'perf_event', 'syscall'];

const knows = (g: Gen, ...names: string[]): boolean =>
  names.every((name) => g.shared.kfunc?.(name) !== undefined);

function pointStack(g: Gen, reg: number, off: number): void {
  g.b.copy(reg, 10);
  g.b.add(reg, off + (g.slips() ? g.rng.pick([8, -8, 1]) : 0));
}

/** A loop over numbers, which may end early. */
export function iterator(g: Gen, body: Body): void {
  const { rng, b } = g;
  if (!knows(g, 'bpf_iter_num_new') || g.nesting > MAX_NESTING) return;
  const off = ITERATOR_OFF - 8 * g.nesting;
  const end = rng.chance(0.6) ? undefined : bounded(g, 15);
  if (end === undefined) b.mov(3, rng.pick([0, 1, 4, 10, 100]));
  else b.copy(3, end);
  pointStack(g, 1, off);
  b.mov(2, rng.pick([0, 0, -3, 2, 12]));
  kcall(g, 'bpf_iter_num_new');
  g.noExit++;
  const before = g.snapshot();
  const start = b.here;
  pointStack(g, 1, off);
  kcall(g, 'bpf_iter_num_next');
  const leave = [g.slips() ? b.emit(JNE_IMM, 0) : b.emit(JEQ_IMM, 0)];
  const number = g.saved();
  if (rng.chance(0.7) && !g.held.has(number)) {
    b.load(Size.w, number, 0, 0);
    g.set(number, SCALAR);
  }
  g.set(0, { kind: 'mem', room: 4, readOnly: true });
  body(g, rng.range(1, 3));
  if (rng.chance(0.3)) leave.push(condition(g, g.scalar()));
  const back = b.emit(JA);
  b.slots[back]!.off = start - back - 1;
  for (const jump of leave) b.land(jump);
  g.join(before);
  g.noExit--;
  g.afterCall();
  if (g.slips()) return;
  pointStack(g, 1, off);
  kcall(g, 'bpf_iter_num_destroy');
}

interface Dynptr {
  readonly off: number;
  readonly size: number;
  /** Of a record that has to be given back. */
  readonly record: boolean;
}

/** Makes a dynptr of what is at hand. */
function makeDynptr(g: Gen): Dynptr | undefined {
  const { rng, b } = g;
  const off = DYNPTR_OFF + (rng.chance(0.8) ? 0 : 16);
  const memory = g.pointer('mem');
  const ctx = g.ctx();
  const from = { xdp: 'bpf_dynptr_from_xdp' }[g.progType as string] ?? 'bpf_dynptr_from_skb';
  if (memory !== undefined && g.regs[memory]!.readOnly !== true && rng.chance(0.4)) {
    const size = rng.range(1, g.regs[memory]!.room);
    if (memory !== 1) b.copy(1, memory);
    b.mov(2, g.slips() ? size + 8 : size);
    b.mov(3, 0);
    pointStack(g, 4, off);
    b.call(197);
    g.afterCall();
    g.set(0, SCALAR);
    return { off, size, record: false };
  }
  if (ctx !== undefined && knows(g, from) && allowed(g, ['xdp', ...SKBS]) && rng.chance(0.6)) {
    if (ctx !== 1) b.copy(1, ctx);
    b.mov(2, 0);
    pointStack(g, 3, off);
    kcall(g, from);
    g.set(0, SCALAR);
    return { off, size: 40, record: false };
  }
  const size = rng.pick([8, 16, 32]);
  b.wide(1, 1, g.map(RINGBUF));
  b.mov(2, size);
  b.mov(3, 0);
  pointStack(g, 4, off);
  b.call(198);
  g.afterCall();
  g.set(0, SCALAR);
  return { off, size, record: true };
}

/** Of a `bool` that a kernel function returns, only the lowest byte is defined. */
const keepBool = (g: Gen): void => void g.b.emit(AND64_IMM, 0, 0, 0, 0xff);

/** A read, a write, a look inside. */
function useDynptr(g: Gen, { off, size }: Dynptr, body: Body): void {
  const { rng, b } = g;
  const at = rng.range(0, size);
  const length = rng.range(1, Math.min(16, size));
  const way = rng.range(0, 5);
  if (way === 0) {
    pointStack(g, 1, BUFFER_OFF);
    b.mov(2, length);
    pointStack(g, 3, off);
    b.mov(4, at);
    b.mov(5, 0);
    b.call(201);
  } else if (way === 1) {
    for (const slot of [0, 8]) b.storeImm(Size.dw, 10, VALUE_OFF + slot, rng.range(0, 99));
    pointStack(g, 1, off);
    b.mov(2, at);
    pointStack(g, 3, VALUE_OFF);
    b.mov(4, length);
    b.mov(5, 0);
    b.call(202);
  } else if (way === 2 && knows(g, 'bpf_dynptr_size')) {
    pointStack(g, 1, off);
    const asks = rng.pick(['bpf_dynptr_size', 'bpf_dynptr_is_null', 'bpf_dynptr_is_rdonly']);
    kcall(g, asks);
    if (asks !== 'bpf_dynptr_size') keepBool(g);
  } else if (way === 3 && knows(g, 'bpf_dynptr_adjust')) {
    pointStack(g, 1, off);
    b.mov(2, rng.range(0, size));
    b.mov(3, size);
    kcall(g, 'bpf_dynptr_adjust');
  } else {
    const slice = way === 4 && kcallSlice(g, off, at, length);
    if (!slice) {
      pointStack(g, 1, off);
      b.mov(2, at);
      b.mov(3, length);
      b.call(203);
      g.afterCall();
    }
    const jump = g.slips() ? b.emit(JNE_IMM, 0) : b.emit(JEQ_IMM, 0);
    const before = g.snapshot();
    const keep = rng.chance(0.5) ? g.saved() : 0;
    if (keep !== 0 && !g.held.has(keep)) {
      b.copy(keep, 0);
      g.set(keep, { kind: 'mem', room: length, readOnly: slice });
    }
    g.set(0, { kind: 'mem', room: length, readOnly: slice });
    body(g, rng.range(1, 3));
    b.land(jump);
    g.join(before);
    return;
  }
  g.afterCall();
  g.set(0, SCALAR);
}

function kcallSlice(g: Gen, off: number, at: number, length: number): boolean {
  if (!knows(g, 'bpf_dynptr_slice')) return false;
  pointStack(g, 1, off);
  g.b.mov(2, at);
  if (g.rng.chance(0.8)) pointStack(g, 3, BUFFER_OFF);
  else g.b.mov(3, 0);
  g.b.mov(4, length);
  return kcall(g, 'bpf_dynptr_slice');
}

export function dynptr(g: Gen, body: Body): void {
  const { rng, b } = g;
  const made = makeDynptr(g);
  if (made === undefined) return;
  if (made.record) g.noExit++;
  for (let i = rng.range(1, 3); i > 0; i--) useDynptr(g, made, body);
  if (!made.record) return;
  g.noExit--;
  if (g.slips()) return;
  pointStack(g, 1, made.off);
  b.mov(2, 0);
  b.call(rng.pick([199, 200]));
  g.afterCall();
  g.regs = g.regs.map((reg) => (reg.kind === 'mem' ? NONE : reg));
}

/** What is acquired: its null check, something done with it, its release. */
function reference(g: Gen, body: Body, release: () => void, use?: (reg: number) => void): void {
  const { rng, b } = g;
  const keep = g.saved();
  if (g.held.has(keep)) return;
  b.copy(keep, 0);
  g.set(keep, NONE);
  const jump = b.emit(JEQ_IMM, rng.pick([0, keep]));
  const before = g.snapshot();
  g.held.add(keep);
  g.noExit++;
  use?.(keep);
  body(g, rng.range(1, 2));
  g.noExit--;
  g.held.delete(keep);
  if (!g.slips()) {
    b.copy(1, keep);
    release();
  }
  g.set(keep, NONE);
  g.afterCall();
  if (g.slips()) useReleased(g, keep);
  b.land(jump);
  g.join(before);
}

function useReleased(g: Gen, reg: number): void {
  g.b.load(Size.w, 0, reg, 4);
}

/** A look-up of a socket that nobody has. */
export function socket(g: Gen, body: Body): void {
  const { rng, b } = g;
  const ctx = g.ctx();
  if (!allowed(g, ['xdp', 'sched_cls', 'cgroup_skb'])) return;
  if (ctx === undefined || g.regs.every((_, i) => i < 6 || g.held.has(i))) return;
  for (const off of [0, 8]) b.storeImm(Size.dw, 10, VALUE_OFF + off, 0);
  if (ctx !== 1) b.copy(1, ctx);
  pointStack(g, 2, VALUE_OFF);
  b.mov(3, 12);
  b.mov(4, -1);
  b.mov(5, 0);
  b.call(rng.pick([84, 85, 99]));
  g.afterCall();
  reference(
    g,
    body,
    () => b.call(86),
    (sock) => {
      const dst = g.dest([sock]);
      b.load(Size.w, dst, sock, rng.pick([0, 4, 8, 12, 24, 44, 60, 72]));
      g.set(dst, SCALAR);
    },
  );
}

export function cpumask(g: Gen, body: Body): void {
  const { rng, b } = g;
  if (!allowed(g, TASK_TYPES)) return;
  if (!knows(g, 'bpf_cpumask_create', 'bpf_cpumask_release') || g.held.size > 2) return;
  kcall(g, 'bpf_cpumask_create');
  reference(
    g,
    body,
    () => void kcall(g, 'bpf_cpumask_release'),
    (mask) => {
      const write = rng.chance(0.5);
      b.mov(1, rng.range(0, 3));
      b.copy(2, mask);
      kcall(g, write ? 'bpf_cpumask_set_cpu' : 'bpf_cpumask_test_cpu');
      if (write) return;
      keepBool(g);
      g.set(0, SCALAR);
    },
  );
}

export function task(g: Gen, body: Body): void {
  const { rng, b } = g;
  if (!allowed(g, TASK_TYPES)) return;
  if (!knows(g, 'bpf_task_from_pid', 'bpf_task_release') || g.held.size > 2) return;
  const fields = g.shared.taskFields;
  if (rng.chance(0.5)) b.mov(1, 99_999_999);
  else b.copy(1, g.scalar());
  kcall(g, 'bpf_task_from_pid');
  reference(
    g,
    body,
    () => void kcall(g, 'bpf_task_release'),
    (reg) => {
      const dst = g.dest([reg]);
      b.load(Size.w, dst, reg, rng.pick(fields));
      g.set(dst, SCALAR);
    },
  );
}

/** Fields of the task that runs. */
export function currentTask(g: Gen): void {
  const { rng, b } = g;
  const fields = g.shared.taskFields;
  if (fields.length === 0) return;
  b.call(158);
  g.afterCall();
  const dst = g.saved();
  if (g.held.has(dst)) return;
  b.load(Size.w, dst, 0, g.slips() ? rng.range(0, 9000) : rng.pick(fields));
  g.set(dst, SCALAR);
}

const SECTIONS = [
  ['bpf_rcu_read_lock', 'bpf_rcu_read_unlock'],
  ['bpf_preempt_disable', 'bpf_preempt_enable'],
] as const;

/** Statements under the RCU lock, or while nobody preempts. */
export function section(g: Gen, body: Body): void {
  const [enter, leave] = g.rng.pick(SECTIONS);
  if (!knows(g, enter, leave)) return;
  kcall(g, enter);
  g.noExit++;
  body(g, g.rng.range(1, 3));
  g.noExit--;
  if (!g.slips()) kcall(g, leave);
}

/** Ends the program with a value. */
export function throwOut(g: Gen): void {
  if (g.noExit > 0 || !knows(g, 'bpf_throw')) return;
  const jump = condition(g, g.scalar());
  g.b.mov(1, g.imm());
  const before = g.snapshot();
  kcall(g, 'bpf_throw');
  g.b.land(jump);
  g.restore(before);
  g.set(1, NONE);
}
