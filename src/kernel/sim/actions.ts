/** How the events of a scenario happen: each kind as a flow in the context that the current CPU is in. */
import { BpflabError } from '../../errors.js';
import type { BpfMap } from '../bpf/map.js';
import type { BpfProg } from '../bpf/prog.js';
import { ScenarioError, SimulationError } from '../errors.js';
import type { PerfEvent, PerfSample } from '../events/perf-event.js';
import type { ArrivalOptions, Kernel } from '../kernel.js';
import { bytesOf, type LoadedObject } from '../loaded-object.js';
import { checkFrame, type PacketResult } from '../net/attach-device.js';
import { setAffinityFlow } from '../sched/affinity.js';
import type { Flow } from '../sched/flow.js';
import { waitable } from '../sched/sched.js';
import type { Task } from '../sched/task.js';
import type { ProbeArg } from '../trace/probes.js';
import type { ActionSpec } from './action-spec.js';

const SAMPLE = waitable('a perf sample');

/** What came of an action. */
export type ActionResult = string | number;

/** Said of an event that no program is attached to: its name may be misspelt. */
const UNSEEN = ', nobody watches';

export class Actions {
  /** Tasks of the scenario by name. */
  readonly tasks = new Map<string, Task>();

  constructor(
    private readonly kernel: Kernel,
    private readonly loaded: LoadedObject<Kernel>,
  ) {}

  /** A name in the scenario that the object has to have. Throws `ScenarioError`. */
  prog(name: string, path: string): BpfProg {
    const there = this.loaded.object.programs.some((program) => program.name === name);
    if (there) return this.loaded.prog(name);
    const names = this.loaded.object.programs.map((program) => program.name).join(', ');
    throw new ScenarioError(
      'SCENARIO_NAME',
      `${path}: the object has no program "${name}"; it has: ${names}`,
    );
  }

  map(name: string, path: string): BpfMap {
    const there = this.loaded.object.maps.some((map) => map.name === name);
    if (there) return this.loaded.map(name);
    const names = this.loaded.object.maps.map((map) => map.name).join(', ');
    throw new ScenarioError('SCENARIO_NAME', `${path}: the object has no map "${name}"; it has: ${names}`);
  }

  /** A task of the scenario. */
  private task(name: string, path: string): Task {
    const task = this.tasks.get(name);
    if (task !== undefined) return task;
    throw new ScenarioError('SCENARIO_NAME', `${path}: there is no task "${name}" that does anything`);
  }

  /** Looks at what names there are before anything happens. */
  check(action: ActionSpec, path: string): void {
    if (action.kind === 'trigger' || action.kind === 'testRun') this.prog(action.prog, path);
    if (action.kind.startsWith('map')) this.map((action as { map: string }).map, path);
    if (action.kind === 'packet')
      for (const [i, { frame }] of action.frames.entries()) frameAt(path, i, frame);
    if (action.kind === 'transmit') frameAt(path, 0, action.frame);
    if ('during' in action) for (const inner of action.during) this.check(inner, path);
  }

  /** Happens; `cpu` is the one that the event names. What Linux refuses is the result. */
  *perform(action: ActionSpec, path: string, cpu: number | undefined): Flow<ActionResult> {
    try {
      return yield* this.act(action, path, cpu);
    } catch (error) {
      if (!(error instanceof BpflabError) || /^SIM_|^SCENARIO_/.test(error.code)) throw error;
      throw new ScenarioError('SCENARIO_VALUE', `${path}: ${error.detail}`);
    }
  }

  private *act(action: ActionSpec, path: string, cpu: number | undefined): Flow<ActionResult> {
    const { events, sched } = this.kernel;
    switch (action.kind) {
      case 'transmit':
        return packetText(yield* events.transmit(this.kernel.netDevices.get(action.device), action.frame));
      case 'perf':
        return yield* this.perf(action, path, cpu ?? sched.here.id);
      case 'syscall': {
        const body = this.body(action, path);
        const { value, seccomp } = yield* events.syscall(action.name, action.args, body);
        return seccomp === undefined ? value : `${value} (seccomp ${seccomp.action})`;
      }
      case 'connect':
      case 'bind': {
        const { value, address } = yield* events.address(action.kind, action);
        return `${value} ${address.ip}:${address.port}`;
      }
      case 'tracepoint':
        return (yield* events.tracepoint(action.name, action.fields)) ? 'passed' : `passed${UNSEEN}`;
      case 'call':
        return argText(yield* events.callFunction(action.fn, action.args, this.body(action, path)));
      case 'uprobe':
        return (yield* events.uprobe(action.place, action.args, action.result))
          ? 'called'
          : `called${UNSEEN}`;
      case 'lsm':
        return yield* events.lsm(action.hook, action.args);
      default:
        return yield* this.more(action, path, cpu);
    }
  }

  private *more(action: ActionSpec, path: string, cpu: number | undefined): Flow<ActionResult> {
    const { events, sched, bpf } = this.kernel;
    switch (action.kind) {
      case 'trigger': {
        const { fields, data } = action;
        const input = { fields, ...(data !== undefined && { data }) };
        return (yield* events.trigger(this.prog(action.prog, path), input)).retval;
      }
      case 'cgroup': {
        const { hook, fields, data } = action;
        return (yield* events.cgroup(hook, fields, data === undefined ? {} : { data })).errno;
      }
      case 'testRun': {
        const { data, repeat } = action;
        return yield* events.testRun(
          this.prog(action.prog, path),
          data === undefined ? {} : { data },
          repeat,
        );
      }
      case 'mapUpdate': {
        const map = this.map(action.map, path);
        const key = bytesOf(action.key, map.keySize);
        const value = bytesOf(action.value, map.syscallValueSize);
        return yield* bpf.mapUpdateFlow(map, key, value, action.flags);
      }
      case 'mapDelete': {
        const map = this.map(action.map, path);
        return yield* bpf.mapDeleteFlow(map, bytesOf(action.key, map.keySize));
      }
      case 'mapLookup': {
        const map = this.map(action.map, path);
        const value = yield* bpf.mapLookupFlow(map, bytesOf(action.key, map.keySize));
        return typeof value === 'number' ? value : hexText(value);
      }
      case 'mapBatch': {
        const map = this.map(action.map, path);
        const read = action.remove
          ? bpf.mapLookupAndDeleteBatchFlow(map, undefined, action.count)
          : bpf.mapLookupBatchFlow(map, undefined, action.count);
        const { errno, count } = yield* read;
        return count > 0 ? `${count} elements` : errno;
      }
      case 'setAffinity':
        yield* setAffinityFlow(sched, this.task(action.task, path), action.cpus);
        return 'moved';
      case 'spend':
        this.inTime(action.ns);
        sched.charge(action.ns);
        return 'spent';
      case 'sleep':
        this.inTime(action.ns);
        yield* this.sleepUntil(sched.clock.nanos + action.ns);
        return 'slept';
      case 'packet':
        for (const { frame } of action.frames)
          this.arrive({ device: action.device, cpu: cpu ?? sched.here.id }, frame, () => {});
        return 'arrived';
      default:
        return '';
    }
  }

  /** A frame reaches a device, now or at a simulated time. */
  arrive(where: Omit<ArrivalOptions, 'done'>, frame: Uint8Array, done: (result: string) => void): void {
    this.kernel.packetArrives(frame, { ...where, done: (result) => done(packetText(result)) });
  }

  /** The perf events that an action means. Throws `ScenarioError` where there are none. */
  perfEvents({ event }: Extract<ActionSpec, { kind: 'perf' }>, cpu: number, path: string): PerfEvent[] {
    const open = this.kernel.perf.on(cpu, event);
    if (open.length > 0) return open;
    throw new ScenarioError('SCENARIO_NAME', `${path}: no ${event ?? 'perf event'} is open on CPU ${cpu}`);
  }

  /** Simulated time has an end: up to there, nanoseconds are exact. */
  private inTime(ns: number): void {
    if (this.kernel.sched.clock.nanos + ns <= Number.MAX_SAFE_INTEGER) return;
    throw new SimulationError('SIM_TIME', `the simulation took more than ${Number.MAX_SAFE_INTEGER} ns`);
  }

  /** The current task sleeps until a simulated time. */
  *sleepUntil(timeNs: number): Flow<void> {
    const { sched, executor } = this.kernel;
    const task = sched.current;
    let due = sched.clock.nanos >= timeNs;
    const wake = function* (): Flow<void> {
      due = true;
      sched.wake(task);
    };
    if (due) return;
    executor.at(timeNs, sched.here, this.kernel.irq.interrupt('hrtimer_wakeup', wake));
    const on = waitable(`time ${timeNs}`);
    while (!due) {
      task.state = 'sleeping';
      task.sleepsOn = on;
      yield { kind: 'schedule', on };
    }
    task.state = 'running';
    task.sleepsOn = undefined;
  }

  private body(
    { result, during }: { readonly result: bigint; readonly during: readonly ActionSpec[] },
    path: string,
  ) {
    const here = this;
    return function* (): Flow<number> {
      for (const inner of during) yield* here.perform(inner, path, undefined);
      return Number(result);
    };
  }

  private *perf(
    action: Extract<ActionSpec, { kind: 'perf' }>,
    path: string,
    cpu: number,
  ): Flow<ActionResult> {
    const { perf, sched } = this.kernel;
    const sample = sampleOf(action);
    const open = this.perfEvents(action, cpu, path);
    for (const event of open) {
      if (event.via === 'inline') {
        yield* perf.softwareEvent(event.attr.event, sample);
        continue;
      }
      let done = false;
      perf.raise(event, sample, () => {
        done = true;
      });
      if (!done && cpu === sched.here.id) yield { kind: 'spin', until: () => done, on: SAMPLE };
    }
    return `${open.length} overflowed`;
  }
}

/** Throws `ScenarioError` for what no device takes. */
function frameAt(path: string, index: number, frame: Uint8Array): void {
  try {
    checkFrame(frame);
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    throw new ScenarioError('SCENARIO_VALUE', `${path}: frame ${index}: ${error.detail}`);
  }
}

/** What a sample finds. */
export function sampleOf({ user, addr }: Extract<ActionSpec, { kind: 'perf' }>): PerfSample {
  return { ...(user !== undefined && { user }), ...(addr !== undefined && { addr }) };
}

function packetText({ verdict, hook, retval }: PacketResult): string {
  return retval === undefined ? verdict : `${verdict} (${hook} ${retval})`;
}

function argText(value: ProbeArg): ActionResult {
  return typeof value === 'bigint' ? Number(value) : value;
}

function hexText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
