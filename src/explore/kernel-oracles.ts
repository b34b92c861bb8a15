/**
 * What has to hold at the end of every run in a kernel, whatever the scenario: counters back at zero, no lock held, no
 * memory and no object of a program's left behind by what has been released, maps as a sequential reference has them.
 */

import { HashMap } from '../kernel/bpf/hashtab.js';
import { stateOf } from '../kernel/bpf/helpers/state.js';
import type { Kernel } from '../kernel/kernel.js';
import { MapOracle } from './map-oracle.js';
import type { Verdict } from './types.js';

/** Bytes in use, by cache; what a kernel that has done nothing has is not in it. */
export type MemoryBaseline = ReadonlyMap<string, number>;

export class KernelOracles {
  private readonly maps: MapOracle;

  /** @param baseline gives what is in use of a kernel in which nothing has happened, its maps released */
  constructor(
    private readonly kernel: Kernel,
    private readonly baseline: () => MemoryBaseline,
  ) {
    this.maps = new MapOracle(kernel);
  }

  /** What is wrong, or undefined; `unmet` are the scenario's own expectations. The kernel's maps are gone afterwards. */
  verdict(unmet: () => readonly string[]): Verdict | undefined {
    const counters = wrongCounters(this.kernel);
    if (counters.length > 0) return { kind: 'counters', message: counters.join('; ') };
    const locks = heldLocks(this.kernel);
    if (locks.length > 0) return { kind: 'locks', message: locks.join('; ') };
    const history = this.maps.verdict();
    if (history !== undefined) return { kind: 'history', message: history };
    const expected = unmet();
    if (expected.length > 0) return { kind: 'assertion', message: expected.join('; ') };
    const leaks = this.leaks();
    return leaks.length === 0 ? undefined : { kind: 'leak', message: leaks.join('; ') };
  }

  private leaks(): string[] {
    const { kernel } = this;
    const waiting = kernel.rcu.backlog + kernel.rcuTasksTrace.backlog;
    if (waiting > 0) return [`${waiting} callbacks of RCU never ran`];
    const used = usageWithoutMaps(kernel);
    const baseline = this.baseline();
    const found: string[] = [];
    for (const [cache, objects] of used) {
      const more = objects - (baseline.get(cache) ?? 0);
      if (more > 0) found.push(`${more} objects of ${cache} are left`);
    }
    const { size } = stateOf(kernel).objects;
    if (size > 0) found.push(`${size} objects of bpf_obj_new are left`);
    return found;
  }
}

/** Objects in use, by cache, once the maps have given back theirs. */
export function usageWithoutMaps(kernel: Kernel): Map<string, number> {
  for (const map of kernel.allMaps()) map.release();
  kernel.executor.settle();
  const { caches, percpu } = kernel.mm.usage();
  return new Map([
    ...caches.map(({ name, objects }) => [name, objects] as const),
    ['per-CPU memory', percpu.count],
  ]);
}

function wrongCounters(kernel: Kernel): string[] {
  const wrong: string[] = [];
  for (const [cpu, active] of kernel.instrumentation.progActive.entries()) {
    if (active !== 0) wrong.push(`bpf_prog_active of CPU ${cpu} is ${active}`);
  }
  for (const { name, active } of kernel.progs) {
    const cpu = active.findIndex((count) => count !== 0);
    if (cpu >= 0) wrong.push(`active of program ${name} on CPU ${cpu} is ${active[cpu]}`);
  }
  for (const { label, softirqDisableCount } of kernel.sched.tasks.values()) {
    if (softirqDisableCount !== 0) wrong.push(`softirqs are still off in ${label}`);
  }
  for (const map of kernel.allMaps()) {
    if (map instanceof HashMap && map.mapLocked !== 0)
      wrong.push(`map_locked of ${map.name} is ${map.mapLocked}`);
  }
  return wrong;
}

function heldLocks({ sched, lockdep }: Kernel): string[] {
  return [...sched.tasks.values()].flatMap((task) =>
    lockdep.held(task).map(({ map, place }) => `${task.label} still holds ${map.name}, taken at ${place}`),
  );
}
