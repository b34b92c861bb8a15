/** What the judge of the series does not let pass. */
import { describe, expect, test } from '@jest/globals';
import {
  type CaseSpec,
  judgeCase,
  judgePatch,
  PATCHES,
  type RfcLibrary,
  runCase,
  runSide,
} from '../../src/rfc/index.js';
import { LIBRARY } from './library.js';

const PATCH = PATCHES[9]!;
const SPEC = PATCH.cases.find(({ profile }) => profile === '5.7')!;
const [BROKEN, MENDED] = SPEC.sides;
const QUIET: CaseSpec = { ...SPEC, wanted: /nothing is wanted/, sides: [{ seen: [] }, { seen: [] }] };

const first = (seen: readonly string[]): boolean =>
  runSide(LIBRARY, { ...SPEC, sides: [{ ...BROKEN, seen }, MENDED] }, 0).report.ok;

describe('one side', () => {
  test('shows what is expected, all of it, and nothing else', () => {
    expect(BROKEN.seen.length).toBeGreaterThan(0);
    expect(first(BROKEN.seen)).toBe(true);
    expect(first([...BROKEN.seen, 'another line'])).toBe(false);
    expect(first([])).toBe(false);
    expect(first(['*'])).toBe(true);
  });
});

test('traces that have to be the same', () => {
  const sides = runCase(LIBRARY, SPEC);
  expect(judgeCase(sides, SPEC).ok).toBe(true);
  expect(judgeCase(sides, { ...SPEC, sameTrace: true })).toMatchObject({ sameTrace: false, ok: false });
  expect(judgeCase([sides[0], sides[0]], { ...QUIET, sameTrace: true })).toMatchObject({ sameTrace: true });
});

test('a kernel that is not RT, and behaves differently', () => {
  let asked = 0;
  const unsteady: RfcLibrary = {
    ...LIBRARY,
    scenario(name) {
      const text = LIBRARY.scenario(name);
      return asked++ % 2 === 0 ? text : JSON.stringify({ ...JSON.parse(text), events: [] });
    },
  };
  const patch = { ...PATCH, cases: [QUIET] };
  expect(judgePatch(LIBRARY, patch)).toMatchObject({ ok: true, changesWithoutRt: [] });
  const report = judgePatch(unsteady, patch);
  expect(report.cases.every(({ ok }) => ok)).toBe(true);
  expect(report.changesWithoutRt).toContain(`${SPEC.scenario}: order`);
  expect(report.ok).toBe(false);
});

test('a scenario that reads a file', () => {
  const reads: RfcLibrary = {
    ...LIBRARY,
    scenario: () => JSON.stringify({ events: [{ at: 0, packet: { pcap: 'frames.pcap' } }] }),
  };
  expect(() => runSide(reads, SPEC, 0)).toThrow(/frames\.pcap/);
});
