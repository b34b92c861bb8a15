/** Every patch of the series and every hazard, without and with it; what the series says of itself. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { kernelProfile } from '../../src/kernel/profile.js';
import { DIFFSTAT, HAZARDS, judgeHazard, judgePatch, PATCHES } from '../../src/rfc/index.js';
import { LIBRARY } from './library.js';

const CASES = [...PATCHES, ...HAZARDS].flatMap(({ cases }) => cases);

describe('patches of "bpf: Make BPF and PREEMPT_RT co-exist"', () => {
  test.each(PATCHES.map((spec) => [spec.number, spec.title, spec] as const))('%i %s', (_n, _title, spec) => {
    const { cases, changesWithoutRt } = judgePatch(LIBRARY, spec);
    for (const { name, sides, sameTrace } of cases) {
      for (const { label, seen, expected, ok } of sides)
        expect({ name, label, seen, expected, ok }).toMatchObject({ ok: true });
      expect(sameTrace ?? true).toBe(true);
    }
    expect(changesWithoutRt).toEqual([]);
  });
});

describe('hazards that it left', () => {
  test.each(HAZARDS.map((spec) => [spec.id, spec.title, spec] as const))('%s %s', (_id, _title, spec) => {
    const { cases, changesWithoutRt } = judgeHazard(LIBRARY, spec);
    for (const { name, sides } of cases) {
      for (const { label, seen, expected, ok } of sides)
        expect({ name, label, seen, expected, ok }).toMatchObject({ ok: true });
    }
    expect(changesWithoutRt).toEqual([]);
  });
});

describe('the tables', () => {
  test('patches are numbered, hazards too', () => {
    expect(PATCHES.map(({ number }) => number)).toEqual(Array.from({ length: 19 }, (_, i) => i + 1));
    expect(HAZARDS.map(({ id }) => id)).toEqual(Array.from({ length: 9 }, (_, i) => `H${i + 1}`));
  });

  test('all 18 files of the diffstat are touched by some patch, and no others', () => {
    const touched = new Set(PATCHES.flatMap(({ files }) => files));
    expect([...touched].sort()).toEqual(DIFFSTAT.map(([file]) => file).sort());
    expect(DIFFSTAT).toHaveLength(18);
    expect(DIFFSTAT.reduce((sum, [, lines]) => sum + lines, 0)).toBe(248 + 109);
  });

  test.each(PATCHES.filter(({ kind }) => kind === 'behaviour').map((spec) => [spec.number, spec] as const))(
    'patch %i: its knobs make another kernel of rfc-rt, and that is what its first case runs',
    (_number, { knobs, cases }) => {
      const series = kernelProfile('rfc-rt');
      expect(kernelProfile('rfc-rt', knobs)).not.toEqual(series);
      expect({ ...cases[0]!.sides[0].knobs, ...knobs }).toEqual(knobs);
      expect(cases[0]!.sides[0].seen).not.toEqual(cases[0]!.sides[1].seen);
      expect(cases[0]!.sides[1].knobs ?? {}).toEqual({});
    },
  );

  test('the knobs of all patches together are what lies between 5.6 and the series', () => {
    const before = kernelProfile('5.6-rt');
    const series = kernelProfile('rfc-rt');
    const all = Object.assign(
      {},
      ...PATCHES.filter(({ kind }) => kind === 'behaviour').map(({ knobs }) => knobs),
    );
    const turned = Object.keys(series).filter(
      (knob) => series[knob as keyof typeof series] !== before[knob as keyof typeof before],
    );
    expect(Object.keys(all)).toEqual(expect.arrayContaining(turned.filter((knob) => knob !== 'name')));
  });

  test('every scenario of the series has a case', () => {
    const files = readdirSync('programs/scenarios').filter((file) => file.startsWith('rfc-'));
    const used = new Set(CASES.map(({ scenario }) => `${scenario}.json`));
    expect(files.sort()).toEqual([...used].sort());
  });
});
