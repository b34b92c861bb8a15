/**
 * `npm run bench [-- --json] [--runs N] [--filter REGEX]`: runs the suites and prints a table of
 * min / median / max over the runs. Add a suite to `SUITES`.
 */
import { parseArgs } from 'node:util';
import { ENTRY } from './entry.js';
import { EXPLORE } from './explore.js';
import { geometricMean, type Measurement, measure, type Suite, table } from './framework.js';
import { MAP_SUITES } from './maps.js';
import { MICRO } from './micro.js';
import { PROGRAM_SUITES } from './programs.js';

const SUITES: readonly Suite[] = [...MICRO, ENTRY, ...MAP_SUITES, ...PROGRAM_SUITES, EXPLORE];
const WARM_UP = 1;

function runSuite(suite: Suite, filter: RegExp, runs: number): Measurement[] {
  const wanted = suite.benchmarks.filter(({ name }) => filter.test(`${suite.name}: ${name}`));
  return wanted.map((benchmark) => measure(suite, benchmark, { runs, warmUp: WARM_UP }));
}

function main(): void {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      runs: { type: 'string', default: '5' },
      filter: { type: 'string', default: '' },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1');
  const filter = new RegExp(values.filter);
  const results: Measurement[] = [];
  for (const suite of SUITES) {
    const rows = runSuite(suite, filter, runs);
    if (rows.length === 0) continue;
    results.push(...rows);
    if (!values.json) console.log(`${suite.name}\n${table(rows)}\n`);
  }
  if (!values.json) return;
  const means = SUITES.map(({ name }) => ({
    suite: name,
    geometricMean: geometricMean(results.filter((row) => row.suite === name)),
  }));
  console.log(JSON.stringify({ node: process.version, results, means }, undefined, 2));
}

main();
