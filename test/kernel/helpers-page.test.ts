/** The page about helpers says what the tables say. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { helpersPage, PAGE } from './helpers-page.js';

test('docs/helpers.md is up to date (npx tsx test/kernel/helpers-page.ts --write)', () => {
  expect(readFileSync(PAGE, 'utf8')).toBe(helpersPage());
});
