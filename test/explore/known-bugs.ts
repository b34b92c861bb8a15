/** Small concurrent programs, each with one known bug and the fewest preemptions that show it. */
import type { Scenario, World } from '../../src/explore/index.js';
import type { Flow } from '../../src/kernel/sched/flow.js';
import { waitable } from '../../src/kernel/sched/sched.js';
import type { Task } from '../../src/kernel/sched/task.js';
import { attr, bareWorld, STEP } from './worlds.js';

/** A list of free elements whose head is compared and exchanged, without a count of changes. */
export function abaOnFreelist(): Scenario<World & { twice: boolean }> {
  return {
    name: 'ABA on a free list',
    build() {
      const world = { ...bareWorld(2), twice: false };
      const next = new Map<string, string | undefined>([
        ['A', 'B'],
        ['B', 'C'],
        ['C', undefined],
      ]);
      const taken = new Set<string>();
      let head: string | undefined = 'A';
      const pop = function* (): Flow<string> {
        for (;;) {
          yield STEP;
          const [first, second] = [head!, next.get(head!)];
          yield STEP;
          if (head !== first) continue;
          head = second;
          if (taken.has(first)) world.twice = true;
          taken.add(first);
          return first;
        }
      };
      const push = function* (elem: string): Flow<void> {
        for (;;) {
          yield STEP;
          const first = head;
          yield STEP;
          if (head !== first) continue;
          next.set(elem, first);
          taken.delete(elem);
          head = elem;
          return;
        }
      };
      world.sched.spawn(attr(1, [0]), function* () {
        yield* pop();
        if (head !== undefined && taken.has(head)) world.twice = true;
      });
      world.sched.spawn(attr(2, [1]), function* () {
        const first = yield* pop();
        yield* pop();
        yield* push(first);
      });
      return world;
    },
    check: ({ twice }) => (twice ? 'an element in use is on the free list' : undefined),
  };
}

/** A per-CPU counter that is loaded on one CPU and, the task not being pinned, may be stored on another. */
export function migration(): Scenario<World & { counters: number[] }> {
  return {
    name: 'per-CPU migration',
    build() {
      const world = { ...bareWorld(2), counters: [10, 20] };
      const { sched, counters } = world;
      sched.spawn(attr(1, [0, 1]), function* () {
        yield STEP;
        const value = counters[sched.here.id]!;
        yield STEP;
        counters[sched.here.id] = value + 1;
      });
      sched.spawn(attr(2, [0]), function* () {
        yield STEP;
      });
      return world;
    },
    check({ counters: [first = 0, second = 0] }) {
      return first + second === 31 ? undefined : `counters are ${first} and ${second}`;
    },
  };
}

/** Two words written one after the other, and read together. */
export function tornValue(): Scenario<World & { read: string }> {
  return {
    name: 'torn value',
    build() {
      const world = { ...bareWorld(2), read: '00' };
      const words = [0, 0];
      world.sched.spawn(attr(1, [0]), function* () {
        yield STEP;
        words[0] = 1;
        yield STEP;
        words[1] = 1;
      });
      world.sched.spawn(attr(2, [1]), function* () {
        yield STEP;
        world.read = words.join('');
      });
      return world;
    },
    check: ({ read }) => (read[0] === read[1] ? undefined : `read ${read}`),
  };
}

/** Looks whether to sleep, and sleeps a step later. */
export function missedWakeUp(): Scenario {
  const on = waitable('an event');
  return {
    name: 'missed wake-up',
    build() {
      const world = bareWorld(2);
      const { sched } = world;
      let happened = false;
      const waiter: Task = sched.spawn(attr(1, [0]), function* () {
        yield STEP;
        if (happened) return;
        yield STEP;
        waiter.state = 'sleeping';
        waiter.sleepsOn = on;
        yield { kind: 'schedule', on };
        waiter.sleepsOn = undefined;
      });
      sched.spawn(attr(2, [1]), function* () {
        yield STEP;
        happened = true;
        sched.wake(waiter);
      });
      return world;
    },
  };
}

/** Somebody sees a flag set, and, looking again, unset: two preemptions. */
export function flickeringFlag(): Scenario<World & { seen: boolean }> {
  return {
    name: 'flickering flag',
    build() {
      const world = { ...bareWorld(2), seen: false };
      let flag = false;
      world.sched.spawn(attr(1, [0]), function* () {
        yield STEP;
        flag = true;
        yield STEP;
        flag = false;
      });
      world.sched.spawn(attr(2, [1]), function* () {
        yield STEP;
        if (!flag) return;
        yield STEP;
        world.seen = !flag;
      });
      return world;
    },
    check: ({ seen }) => (seen ? 'the flag went away in between' : undefined),
  };
}
