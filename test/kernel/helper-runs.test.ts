/**
 * Programs that call helpers and kernel functions, as Linux 6.18 ran them: `test/oracle/helper-cases.ts` with the results
 * that `test/oracle/helper-runs.ts --record` wrote down.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { allKfuncs } from '../../src/abi/kfuncs.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { type HelperCase, helperCases } from '../oracle/helper-cases.js';
import { outcomeOf, summaryOf } from '../oracle/helper-outcome.js';
import { kfuncCases } from '../oracle/kfunc-cases.js';
import { btfOfFunctions } from './helpers-support.js';

const recorded = readFileSync(new URL('./data/helper-runs.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as [name: string, summary?: string]);
/** One in so many is run here; the sweep runs all. */
const STEP = 3;

const btf = btfOfFunctions([...allKfuncs()].map(({ name }) => name));
const helpers = helperCases();
const kfuncs = kfuncCases(btf);

/** Differences of the cases from row `from` on. */
function differences(kernel: Kernel, cases: readonly HelperCase[], from: number): string[] {
  const found: string[] = [];
  for (let i = 0; i < cases.length; i += STEP) {
    const [, summary] = recorded[from + i]!;
    if (summary === undefined) continue;
    const one = cases[i]!;
    const { retval, data = '', refused } = outcomeOf(kernel, one);
    const comparable = one.type === 'syscall' || one.type === 'raw_tracepoint' ? '' : data;
    const mine = refused ?? summaryOf(retval!, comparable);
    if (mine !== summary) found.push(`${one.name}: Linux ${summary}, ours ${mine}`);
  }
  return found;
}

test('the recording is of these cases', () => {
  expect(recorded.map(([name]) => name)).toEqual([...helpers, ...kfuncs].map(({ name }) => name));
});

test('helpers give what Linux gives', () => {
  expect(differences(new Kernel(), helpers, 0)).toEqual([]);
});

test('kernel functions give what Linux gives', () => {
  // Their prototypes are not known here, so that a verifier could not judge the calls.
  expect(differences(new Kernel({ btf, verify: 'never' }), kfuncs, helpers.length)).toEqual([]);
});
