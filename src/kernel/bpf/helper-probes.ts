/**
 * Helpers and kernel functions that programs call can be probed themselves (`fentry/bpf_ktime_get_ns`): while a probe is
 * on one, programs that call it run a version of theirs in which the call goes through the probe point. Where nothing is
 * probed nothing is asked. Calls that the core carries out as control flow (`bpf_tail_call`, `bpf_loop`) have no point.
 */
import { type Caller, Execution, type HelperDef, type RegValue } from '../../vm/index.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import type { BpfProg } from './prog.js';

const ARGUMENTS = [1, 2, 3, 4, 5];

export class HelperProbes {
  /** Points that something is attached to, by name. */
  private readonly armed = new Map<string, ProbePoint>();

  constructor(private readonly kernel: Machine) {
    const { probes } = kernel.sched;
    for (const name of probes.names()) this.note(probes.point(name));
    probes.onChange = (point) => this.changed(point);
  }

  /** A program has been loaded. */
  loaded(prog: BpfProg): void {
    if (this.armed.size > 0) this.apply(prog);
  }

  private note(point: ProbePoint): void {
    if (point.armed) this.armed.set(point.name, point);
    else this.armed.delete(point.name);
  }

  private changed(point: ProbePoint): void {
    const before = this.armed.has(point.name);
    this.note(point);
    if (before === point.armed || !point.name.startsWith('bpf_')) return;
    for (const prog of this.kernel.progs) if (prog.text?.helpers().has(point.name) === true) this.apply(prog);
  }

  private apply(prog: BpfProg): void {
    const { text } = prog;
    if (text === undefined) return;
    const any = [...text.helpers()].some((name) => this.armed.has(name));
    text.wrapHelpers(any ? (helper) => this.wrap(helper) : undefined);
    prog.program = text.current;
  }

  private wrap(helper: HelperDef): HelperDef | undefined {
    const point = this.armed.get(helper.name);
    if (point === undefined || helper.kind === 'tail' || helper.kind === 'loop') return undefined;
    const { kernel } = this;
    return {
      kind: 'flow',
      name: helper.name,
      *run(caller) {
        const { calls } = kernel.sched.here;
        const args = ARGUMENTS.map((n) => caller.reg(n));
        const result = yield* inFunction(
          calls,
          point,
          args,
          () => body(kernel, helper, caller) as Flow<bigint>,
        );
        return BigInt(result);
      },
    };
  }
}

/** What the helper does when its entry probes have run. */
function* body(kernel: Machine, helper: HelperDef, caller: Caller): Generator<unknown, bigint, unknown> {
  const { engine, memory } = kernel;
  if (caller instanceof Execution) engine.switchTo(caller);
  let result: RegValue | undefined;
  switch (helper.kind) {
    case 'flow': {
      const flow = helper.run(caller);
      result = typeof flow === 'object' ? yield* flow : flow;
      break;
    }
    case 'const':
      result = helper.value;
      break;
    case 'slot':
      result =
        helper.size === 8
          ? memory.view.getBigUint64(helper.offset, true)
          : memory.view.getUint32(helper.offset, true);
      break;
    case 'plain':
    case 'indexed':
      result = helper.run(engine.call) ?? engine.call.arg(0);
      break;
    default:
      result = 0;
  }
  return BigInt.asUintN(64, BigInt(result));
}

const known = new WeakMap<Machine, HelperProbes>();

/** Those of a kernel; made when its first program is loaded. */
export function helperProbesOf(kernel: Machine): HelperProbes {
  let probes = known.get(kernel);
  if (probes === undefined) {
    probes = new HelperProbes(kernel);
    known.set(kernel, probes);
  }
  return probes;
}
