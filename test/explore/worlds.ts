/** Small concurrent programs with known bugs, without a kernel around them. */
import type { Scenario, World } from '../../src/explore/index.js';
import { kernelProfile } from '../../src/kernel/profile.js';
import { Executor } from '../../src/kernel/sched/executor.js';
import { type Flow, point } from '../../src/kernel/sched/flow.js';
import { Sched } from '../../src/kernel/sched/sched.js';
import type { TaskAttr } from '../../src/kernel/sched/task.js';

export const STEP = point('step');

const PROFILES = { rt: kernelProfile('6.18-rt'), plain: kernelProfile('6.18') };

export function bareWorld(cpus: number, kind: 'rt' | 'plain' = 'plain'): World {
  const clock = { nanos: 0, publish() {} };
  const sched = new Sched({ cpus, profile: PROFILES[kind], clock, interleaved: true });
  return { sched, executor: new Executor(sched) };
}

export function attr(pid: number, affinity: readonly number[]): TaskAttr {
  return { pid, tgid: pid, comm: `t${pid}`, uid: 0, gid: 0, affinity };
}

/** A lock that spins, as plain as can be; `name` shows in deadlocks. */
export class TinyLock {
  owner: string | undefined;

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {}

  holder(): string | undefined {
    return this.owner;
  }

  *lock(): Flow<void> {
    yield STEP;
    this.world.sched.touch(this, true);
    while (this.owner !== undefined) {
      yield { kind: 'spin', until: () => this.owner === undefined, on: this };
      this.world.sched.touch(this, true);
    }
    this.owner = this.world.sched.current.label;
  }

  unlock(): void {
    this.world.sched.touch(this, true);
    this.owner = undefined;
  }
}

/** Two tasks on two CPUs, each doing `steps` steps of nothing. */
export function idleSteps(steps: number, tasks = 2): Scenario {
  return {
    name: `idle ${steps}`,
    build() {
      const world = bareWorld(tasks);
      for (let i = 0; i < tasks; i++) {
        world.sched.spawn(attr(i + 1, [i]), function* () {
          for (let n = 1; n < steps; n++) yield STEP;
        });
      }
      return world;
    },
    footprints: true,
  };
}

/** Two locks taken in both orders. */
export function twoLocks(): Scenario {
  return {
    name: 'two locks',
    build() {
      const world = bareWorld(2);
      const [a, b] = [new TinyLock(world, 'A'), new TinyLock(world, 'B')];
      const take = (first: TinyLock, second: TinyLock) =>
        function* (): Flow<void> {
          yield* first.lock();
          yield* second.lock();
          second.unlock();
          first.unlock();
        };
      world.sched.spawn(attr(1, [0]), take(a, b));
      world.sched.spawn(attr(2, [1]), take(b, a));
      return world;
    },
    footprints: true,
  };
}

/** A counter that is loaded, then stored. */
export function lostUpdate(cpus: number): Scenario<World & { counter: number }> {
  return {
    name: 'lost update',
    build() {
      const world = { ...bareWorld(cpus), counter: 0 };
      const increment = function* (): Flow<void> {
        yield STEP;
        world.sched.touch('counter', false);
        const value = world.counter;
        yield STEP;
        world.sched.touch('counter', true);
        world.counter = value + 1;
      };
      world.sched.spawn(attr(1, [0]), increment);
      world.sched.spawn(attr(2, [cpus - 1]), increment);
      return world;
    },
    check: ({ counter }) => (counter === 2 ? undefined : `counter is ${counter} after two increments`),
    footprints: true,
  };
}
