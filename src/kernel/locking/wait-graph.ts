/**
 * Who waits for whom. A waiter is entered when it begins to wait for a lock; if its wait closes a circle, nobody in the
 * circle can ever go on, and that is reported at once, whatever other CPUs could still do. Linux would hang here.
 */
import { SimulationError } from '../errors.js';
import type { Context, Cpu } from '../sched/cpu.js';
import { preemptible } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { Task } from '../sched/task.js';

/** Who can hold or wait: a task, or an interrupt on top of one. */
export type Agent = Task | Context;

/** What the graph needs of a lock. */
export interface Contended {
  readonly name: string;
  /** Where it was taken last. */
  readonly place: string;
  /** Its waiters keep their CPUs busy. */
  readonly spins: boolean;
  holders(): Agent[];
  /** Whom a waiter needs to get out of the way. */
  blockers(waiter: Agent): Agent[];
}

/** Who waits for whom, as data: names as `label` gives them. */
export interface WaitEdge {
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

/** One step of a circle: who cannot go on, and why. */
interface Link {
  readonly agent: Agent;
  readonly why: string;
}

export class WaitGraph {
  private readonly waits = new Map<Agent, Contended>();
  /** As it was when a circle was reported; whoever closed it is no longer under way afterwards. */
  private reported: readonly WaitEdge[] | undefined;

  constructor(private readonly sched: Sched) {}

  /**
   * Notes that `agent` waits for `lock` from now on.
   * @throws SimulationError `SIM_DEADLOCK` where the wait closes a circle.
   */
  begin(agent: Agent, lock: Contended): void {
    this.waits.set(agent, lock);
    const circle = this.circleFrom(agent);
    if (circle !== undefined) this.report(circle, lock);
  }

  end(agent: Agent): void {
    this.waits.delete(agent);
  }

  /** Everybody who waits, and whom that needs; after a deadlock, as it was then: the circle and who hangs on it. */
  snapshot(): readonly WaitEdge[] {
    if (this.reported !== undefined) return this.reported;
    const agents = new Set<Agent>(this.waits.keys());
    const found: WaitEdge[] = [];
    for (const agent of agents) {
      for (const [next, why] of this.edges(agent)) {
        found.push({ from: this.label(agent), to: this.label(next), why });
        agents.add(next);
      }
    }
    return found;
  }

  /** E.g. `bpflab/1001 on CPU 0`, `nmi perf on CPU 0`. */
  label(agent: Agent): string {
    if (agent instanceof Task) return `${agent.label} on CPU ${agent.cpu}`;
    return `${agent.kind} ${agent.name} on CPU ${this.cpuOf(agent)?.id ?? '?'}`;
  }

  private circleFrom(start: Agent): Link[] | undefined {
    const seen = new Set<Agent>();
    const path: Link[] = [];
    const visit = (agent: Agent): boolean => {
      if (seen.has(agent)) return false;
      seen.add(agent);
      for (const [next, why] of this.edges(agent)) {
        path.push({ agent, why });
        if (next === start || visit(next)) return true;
        path.pop();
      }
      return false;
    };
    return visit(start) ? path : undefined;
  }

  /** Whom an agent needs before it can go on, each with the reason. */
  private edges(agent: Agent): (readonly [Agent, string])[] {
    const found: (readonly [Agent, string])[] = [];
    const lock = this.waits.get(agent);
    if (lock !== undefined) {
      for (const holder of lock.blockers(agent)) {
        found.push([
          holder,
          `waits for ${lock.name}, which ${this.label(holder)} ${lock.holders().includes(holder) ? `took at ${lock.place}` : 'waits for, too, and goes first'}`,
        ]);
      }
    }
    const on = this.above(agent);
    if (on !== undefined) found.push(on);
    return found;
  }

  /** What keeps an agent from its CPU and will not make room by itself. */
  private above(agent: Agent): readonly [Agent, string] | undefined {
    const cpu = this.cpuOf(agent);
    if (cpu === undefined) return undefined;
    const top = cpu.top ?? cpu.current;
    if (top === agent) return undefined;
    if (!(agent instanceof Task) || agent.onCpu) return [top, `is interrupted by ${this.label(top)}`];
    if (agent.state !== 'running' || agent.migrationDisabled === 0 || preemptible(cpu)) return undefined;
    // Whoever goes to sleep leaves its CPU even in atomic context, after the complaint.
    if (top instanceof Task && this.waits.get(top)?.spins === false) return undefined;
    return [top, `cannot run before ${this.label(top)} leaves the CPU`];
  }

  private cpuOf(agent: Agent): Cpu | undefined {
    if (agent instanceof Task) return this.sched.cpus[agent.cpu];
    return this.sched.cpus.find((cpu) => cpu.interrupts.includes(agent as Context));
  }

  private report(circle: readonly Link[], lock: Contended): never {
    this.reported = this.snapshot();
    const { here, console } = this.sched;
    const steps = circle.map(({ agent, why }) => `${this.label(agent)} ${why}`);
    const title = recursionTitle(circle, lock, here);
    const head = ['bpflab: deadlock: a circle of waiters', ...steps];
    console.splat('deadlock', title === undefined ? head : [title, ...head]);
    throw new SimulationError('SIM_DEADLOCK', `nobody in a circle can go on: ${steps.join('; ')}`);
  }
}

/** What a kernel with CONFIG_DEBUG_SPINLOCK prints where somebody spins on a spinlock that it holds itself. */
function recursionTitle(circle: readonly Link[], lock: Contended, here: Cpu): string | undefined {
  if (circle.length !== 1 || !lock.spins) return undefined;
  return `BUG: spinlock recursion on CPU#${here.id}, ${here.current.comm}/${here.current.pid}`;
}
