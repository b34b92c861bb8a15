/** What happens under a schedule, as data to draw: events of the schedule trace, the order of locks, who waits. */
import type { LockOrderGraph } from '../kernel/locking/lockdep.js';
import type { WaitEdge } from '../kernel/locking/wait-graph.js';
import type { TraceEvent } from '../kernel/sched/trace.js';
import { replaying } from './replay.js';
import { runOnce } from './run.js';
import type { SimWorld } from './sim-scenario.js';
import type { Scenario, Schedule } from './types.js';

export interface Traced {
  readonly events: readonly TraceEvent[];
  readonly graph: LockOrderGraph;
  /** Who waited for whom at the end. */
  readonly waits: readonly WaitEdge[];
}

/** Runs a scenario under a schedule with its trace on. Throws `ExploreError` when the schedule does not fit. */
export function traceOf(scenario: Scenario<SimWorld>, schedule: Schedule): Traced {
  let traced: Traced | undefined;
  const watched: Scenario<SimWorld> = {
    ...scenario,
    build() {
      const world = scenario.build();
      world.sched.startTrace();
      return world;
    },
    dispose(world) {
      const { lockdep, graph } = world.kernel.locks;
      traced = { events: world.sched.trace?.events ?? [], graph: lockdep.graph(), waits: graph.snapshot() };
      scenario.dispose?.(world);
    },
  };
  runOnce(watched, replaying(schedule));
  return traced!;
}
