/**
 * Programs on two scalars with the log that Linux 6.18.44 prints for them at level 2 (`recorded.jsonl`, made by
 * test/oracle/scalar-sweep.ts): states split before `&`, contradictions and pruned paths among them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { decodeInsns } from '../../../src/isa/index.js';
import { logDifference, statesPrinted } from './kernel-log.js';
import { walk } from './walk.js';

interface Recorded {
  readonly insns: string;
  readonly log: readonly string[];
}

const ROWS = readFileSync(join('test', 'verifier', 'scalar', 'recorded.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

describe('registers as Linux 6.18 prints them', () => {
  test.each(ROWS.map((row, i) => ({ i, ...row })))('program $i', ({ insns, log }) => {
    const ours = walk(decodeInsns(Buffer.from(insns, 'hex')));
    expect(logDifference(log.join('\n'), ours)).toBeUndefined();
  });

  test('the recording says enough', () => {
    const all = ROWS.map((row) => row.log.join('\n'));
    expect(all.reduce((sum, log) => sum + statesPrinted(log), 0)).toBeGreaterThan(400);
    expect(all.filter((log) => log.includes('REG INVARIANTS VIOLATION')).length).toBeGreaterThan(5);
  });

  test('a register that differs is noticed', () => {
    const row = ROWS.find((r) => r.log.some((line) => /R6=scalar\(smin=/.test(line)))!;
    const log = row.log.join('\n').replace('R6=scalar(smin=', 'R6=scalar(smin=1');
    expect(logDifference(log, walk(decodeInsns(Buffer.from(row.insns, 'hex'))))).toMatch(/R6/);
  });
});
