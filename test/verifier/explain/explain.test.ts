/**
 * Explanations of rejections: for each case the message, the rule, and the whole text against golden files beside this
 * one. `UPDATE_GOLDEN=1` writes the files anew; read the difference before committing it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { explain, explanationText } from '../../../src/verifier/explain/index.js';
import { GENERAL, RULES } from '../../../src/verifier/explain/rules/index.js';
import { verify } from '../../../src/verifier/index.js';
import { FAMILIES } from './cases/index.js';
import { requestOf } from './program.js';

const UPDATE = process.env.UPDATE_GOLDEN === '1';
const goldenFile = (family: string): string =>
  fileURLToPath(new URL(`./golden/${family}.txt`, import.meta.url));

/** Sections of a golden file, by the name in their `=== name` line. */
function sections(text: string): Map<string, string> {
  const parts = text.split(/^=== (.*)\n/m).slice(1);
  const found = new Map<string, string>();
  for (let i = 0; i < parts.length; i += 2) found.set(parts[i]!, parts[i + 1]!);
  return found;
}

for (const [family, cases] of FAMILIES) {
  describe(family, () => {
    const file = goldenFile(family);
    const golden = sections(existsSync(file) ? readFileSync(file, 'utf8') : '');
    const written: string[] = [];

    test.each(cases.map((item) => [item.name, item] as const))('%s', (name, item) => {
      const request = requestOf(item);
      const result = verify(request);
      expect([result.verdict, result.message]).toEqual(['reject', item.message]);
      const explanation = explain(request, result)!;
      expect(explanation.rule.id).toBe(item.rule);
      const text = explanationText(explanation);
      expect(text.split('\n').length).toBeLessThanOrEqual(42);
      expect(text).not.toMatch(/NaN|\bundefined (?!behaviour)|\[object/);
      const section = `${result.message}\n\n${text}\n`;
      if (UPDATE) written.push(`=== ${name}\n${section}`);
      else expect(section).toBe(golden.get(name));
    });

    test('the golden file has no other sections', () => {
      if (!UPDATE) expect([...golden.keys()]).toEqual(cases.map(({ name }) => name));
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    });

    afterAll(() => {
      if (UPDATE) writeFileSync(file, written.join(''));
    });
  });
}

test('at least sixty different messages are covered', () => {
  const shapes = FAMILIES.flatMap(([, cases]) => cases.map(({ message }) => message.replace(/-?\d+/g, 'N')));
  expect(new Set(shapes).size).toBeGreaterThanOrEqual(60);
});

test('the documentation lists every rule, in order, and no other', () => {
  const file = fileURLToPath(new URL('../../../docs/verify-explanations.md', import.meta.url));
  const listed = [...readFileSync(file, 'utf8').matchAll(/^\| `([\w-]+)` \| (.*) \|$/gm)];
  expect(listed.map(([, id, title]) => [id, title])).toEqual(
    [...RULES, GENERAL].map(({ id, title }) => [id, title]),
  );
  expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
});

test('the example in the documentation is the text of the first case', () => {
  const file = fileURLToPath(new URL('../../../docs/verify-explanations.md', import.meta.url));
  const request = requestOf(FAMILIES[0]![1][0]!);
  expect(readFileSync(file, 'utf8')).toContain(explanationText(explain(request, verify(request))!));
});

describe('whatever the program', () => {
  const cases = FAMILIES.flatMap(([, list]) => list).filter(({ rule }) => rule !== 'too-complex');

  /** A fixed sequence of pseudo-random numbers below `bound` (Park and Miller). */
  let seed = 20_260_418;
  const next = (bound: number): number => {
    seed = (seed * 48_271) % 0x7fffffff;
    return seed % bound;
  };

  test('broken programs are explained too', () => {
    let rejected = 0;
    for (let round = 0; round < 8; round++) {
      for (const item of cases) {
        const request = requestOf(item);
        const insn = request.insns[next(request.insns.length)]!;
        const field = (['code', 'dst', 'src', 'off', 'imm'] as const)[next(5)]!;
        insn[field] =
          field === 'code' ? next(256) : field === 'imm' || field === 'off' ? next(64) - 32 : next(12);
        const result = verify(request);
        const explanation = explain(request, result);
        expect(explanation === undefined).toBe(result.verdict !== 'reject');
        if (explanation === undefined) continue;
        rejected++;
        expect(explanationText(explanation)).not.toMatch(/NaN|\[object/);
        for (const step of explanation.chain) expect(step.insn).toBeLessThan(request.insns.length);
      }
    }
    expect(rejected).toBeGreaterThan(cases.length * 4);
  });

  test('the same request gives the same text, and is left as it was', () => {
    const request = requestOf(cases[0]!);
    const before = structuredClone(request.insns);
    const result = verify({ ...request, logLevel: 2 });
    const first = explanationText(explain({ ...request, logLevel: 2 }, result)!);
    expect(explanationText(explain(request, result)!)).toBe(first);
    expect(request.insns).toEqual(before);
  });

  test('a long chain keeps its ends', () => {
    const adds = Array.from({ length: 50 }, () => '      r1 += 1').join('\n');
    const program = `      r1 = r10\n${adds}\n      *(u8 *)(r1 + 0) = 0\n      r0 = 0\n      exit`;
    const request = requestOf({ name: '', rule: '', message: '', program });
    const explanation = explain(request, verify(request))!;
    expect(explanation.chain.length).toBe(40);
    expect([explanation.chain[0]!.insn, explanation.chain[39]!.insn]).toEqual([0, 51]);
    const text = explanationText(explanation);
    expect(text).toContain('     0: r1 = r10 ');
    expect(text).toMatch(/… \d+ more steps …/);
    expect(text.split('\n').length).toBeLessThanOrEqual(42);
  });

  test('accepted programs have no explanation', () => {
    const request = requestOf({ name: '', rule: '', message: '', program: 'r0 = 0\nexit' });
    expect(explain(request, verify(request))).toBeUndefined();
  });

  test('a message without a rule is still explained', () => {
    const request = requestOf({ name: '', rule: '', message: '', program: 'r0 = 0\nexit' });
    const result = { ...verify(request), verdict: 'reject' as const, message: 'something that Linux 9 says' };
    const unknown = explain(request, result)!;
    expect(unknown.rule.id).toBe('other');
    expect(unknown.what).toContain('something that Linux 9 says');
    expect(explanationText(unknown)).toContain('[other]');
  });
});
