/** The explorer: schedules a second of two tasks of ten steps each, without a kernel around them, by strategy. */
import { exhaustive, explore, pct, randomWalk, type Scenario, type Strategy } from '../src/explore/index.js';
import { kernelProfile } from '../src/kernel/profile.js';
import { Executor } from '../src/kernel/sched/executor.js';
import { point } from '../src/kernel/sched/flow.js';
import { Sched } from '../src/kernel/sched/sched.js';
import type { Benchmark, Suite } from './framework.js';

const SCHEDULES = 20_000;
const STEPS = 10;
const STEP = point('step');
const PROFILE = kernelProfile('6.18');

const scenario: Scenario = {
  name: 'two tasks of ten steps',
  build() {
    const clock = { nanos: 0, publish() {} };
    const sched = new Sched({ cpus: 2, profile: PROFILE, clock, interleaved: true });
    const executor = new Executor(sched);
    for (const [cpu, pid] of [1, 2].entries()) {
      const attr = { pid, tgid: pid, comm: `t${pid}`, uid: 0, gid: 0, affinity: [cpu] };
      sched.spawn(attr, function* () {
        for (let step = 1; step < STEPS; step++) yield STEP;
      });
    }
    return { sched, executor };
  },
};

function benchmark(name: string, strategy: () => Strategy): Benchmark {
  const prepare = () => () =>
    explore({ scenario, strategy: strategy(), schedules: SCHEDULES, keepGoing: true }).schedules;
  return { name, unit: 'run', prepare };
}

export const EXPLORE: Suite = {
  name: 'explore: schedules of two tasks of ten steps',
  benchmarks: [
    benchmark('explore random', () => randomWalk()),
    benchmark('explore pct', () => pct({ depth: 3 })),
    benchmark('explore exhaustive', () => exhaustive()),
  ],
};
