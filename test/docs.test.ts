/**
 * The documentation's examples run: every `ts` block of the README and of the pages named here is executed as it stands,
 * with `bpflab` meaning the sources. Tests in them are run, too.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

import * as bpflab from '../src/index.js';
import * as verifier from '../src/verifier/index.js';

interface Block {
  readonly name: string;
  readonly code: string;
}

function blocks(file: string): Block[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map((match, index) => ({
    name: `${file}, block ${index + 1}`,
    code: match[1]!,
  }));
}

/** Runs a block's statements with its imports as parameters; returns what it printed. */
async function run(code: string): Promise<string[]> {
  const modules: Record<string, Record<string, unknown>> = {
    bpflab: bpflab as Record<string, unknown>,
    'bpflab/verifier': verifier as Record<string, unknown>,
    '@jest/globals': { test: runTest, expect },
    'node:assert/strict': await import('node:assert/strict'),
    'node:fs': await import('node:fs'),
  };
  const printed: string[] = [];
  function runTest(name: string, body: () => void): void {
    body();
    printed.push(name);
  }
  const names: string[] = [];
  const values: unknown[] = [];
  const body = code.replace(/^import \{([^}]*)\} from '([^']+)';$/gm, (_, list: string, from: string) => {
    for (const name of list.split(',').map((part) => part.trim())) {
      const value = modules[from]?.[name];
      if (value === undefined) throw new Error(`${from} does not export ${name}`);
      names.push(name);
      values.push(value);
    }
    return '';
  });
  const log = { log: (...args: unknown[]) => printed.push(args.map(String).join(' ')) };
  new Function('console', ...names, body)(log, ...values);
  return printed;
}

describe('examples of the documentation', () => {
  const all = [
    'README.md',
    'docs/library.md',
    'docs/verify.md',
    'docs/unit-tests.md',
    'docs/attach.md',
  ].flatMap(blocks);

  test('there are some', () => {
    expect(all.length).toBeGreaterThanOrEqual(5);
  });

  test.each(all)('$name', async ({ code }) => {
    const printed = await run(code);
    expect(printed.length).toBeGreaterThan(0);
    // what a line promises in a trailing comment is what it prints
    for (const [, promise] of code.matchAll(/console\.log\([^\n]*\);\s+\/\/ (\d[^\n]*)$/gm)) {
      expect(printed.map((line) => line.replace(/(\d)n\b/g, '$1'))).toContain(
        promise!.replace(/(\d)n\b/g, '$1'),
      );
    }
  });
});
