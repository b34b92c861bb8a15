/**
 * Explanations of rejections: for each case the message, the rule, and the whole text against golden files beside this
 * one. `UPDATE_GOLDEN=1` writes the files anew; read the difference before committing it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { explain, explanationText } from '../../../src/verifier/explain/index.js';
import { verify } from '../../../src/verifier/index.js';
import { FAMILIES } from './cases/index.js';
import { type Case, requestOf } from './program.js';

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

function textOf(item: Case): string {
  const request = requestOf(item);
  const result = verify(request);
  const explanation = explain(request, result);
  return `${result.message}\n\n${explanation === undefined ? '' : explanationText(explanation)}\n`;
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
      expect(text.split('\n').length).toBeLessThanOrEqual(45);
      expect(text).not.toMatch(/NaN|\bundefined (?!behaviour)|\[object/);
      if (UPDATE) written.push(`=== ${name}\n${textOf(item)}`);
      else expect(textOf(item)).toBe(golden.get(name));
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
