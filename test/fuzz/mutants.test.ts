/** The fuzzer's own promises: mutants depend on seed and number alone, and its reader finds the fields of real objects. */
import { describe, expect, test } from '@jest/globals';
import { findFields } from './fields.js';
import { MUTANT_KINDS, makeMutant, readCorpus } from './mutants.js';
import { judge, warmUp } from './pipeline.js';
import { Rng } from './rng.js';

const corpus = readCorpus(['programs']);

describe('mutants', () => {
  test('are the same for the same seed and number, and differ between numbers', () => {
    const bytes = (seed: number, number: number): string => {
      const mutant = makeMutant(corpus, seed, number);
      return `${mutant.kind} ${Buffer.from(mutant.bytes).toString('hex')}`;
    };
    const first = Array.from({ length: 40 }, (_, n) => bytes(3, n));
    expect(Array.from({ length: 40 }, (_, n) => bytes(3, n))).toEqual(first);
    expect(new Set(first).size).toBe(40);
    expect(bytes(4, 0)).not.toBe(first[0]);
  });

  test('come in every kind', () => {
    const kinds = new Set(Array.from({ length: 200 }, (_, n) => makeMutant(corpus, 1, n).kind));
    expect([...kinds].sort()).toEqual([...MUTANT_KINDS].sort());
  });

  test('never change the seeds they are made from', () => {
    const before = corpus.map(({ bytes }) => Buffer.from(bytes).toString('base64'));
    for (let n = 0; n < 300; n++) makeMutant(corpus, 2, n);
    expect(corpus.map(({ bytes }) => Buffer.from(bytes).toString('base64'))).toEqual(before);
  });

  test('of a fixed seed all end in a refusal or a load', () => {
    warmUp(corpus.slice(0, 3));
    const verdicts = Array.from({ length: 250 }, (_, n) => judge(makeMutant(corpus, 99, n)));
    expect(verdicts.some((verdict) => verdict === undefined)).toBe(true);
    expect(new Set(verdicts).size).toBeGreaterThan(10);
  });
});

describe('fields of a real object', () => {
  const { groups, limits } = findFields(corpus[0]!.bytes);

  test.each([
    'ehdr',
    'shdr',
    'sym',
    'rel',
    'insn',
    'btfHeader',
    'btfType',
    'extHeader',
    'extSection',
    'extRecord',
  ])('include %s', (group) => {
    expect(groups.get(group)?.length ?? 0).toBeGreaterThan(0);
  });

  test('come with the ranges of ids and indices', () => {
    expect(limits.types).toBeGreaterThan(5);
    expect(limits.symbols).toBeGreaterThan(1);
    expect(limits.sections).toBeGreaterThan(5);
  });
});

test('the generator is uniform enough to reach every value', () => {
  const rng = new Rng(1, 1);
  const seen = new Set(Array.from({ length: 400 }, () => rng.below(16)));
  expect(seen.size).toBe(16);
});
