/** Inputs that the fuzzer broke something with, each in its smallest form: they must be refused properly for ever. */

import { expect, test } from '@jest/globals';
import { MapType } from '../../src/abi/map-types.js';
import { BpflabError } from '../../src/errors.js';
import { assemble } from '../../src/isa/index.js';
import { loadLab } from '../../src/kernel/lab.js';
import { Btf, encodeBtf } from '../../src/object/btf/index.js';
import type { MapDef } from '../../src/object/index.js';
import { Engine, type HelperDef } from '../../src/vm/index.js';
import { intType } from '../support/btf-types.js';

interface Regression {
  readonly what: string;
  readonly run: () => unknown;
  readonly code: string;
}

const ROWS: readonly Regression[] = [
  {
    what: 'names with control characters did not stay within one line of a message',
    run: () =>
      Btf.parse(
        encodeBtf([intType(), { kind: 'var', name: 'a\r\n\u001b[31m', type: 1, linkage: 1 }]),
      ).validate(),
    code: 'BTF_INVALID',
  },
];

test.each(ROWS.map((row) => [row.what, row] as const))('%s', (_, { run, code }) => {
  let error: unknown;
  try {
    run();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(BpflabError);
  const refusal = error as BpflabError;
  expect(refusal.code).toBe(code);
  expect(refusal.message).toMatch(/^[^\p{Cc}]+$/u);
});

test('plain helpers did not run with exact fuel', () => {
  const engine = new Engine({ memoryLimitBytes: 1 << 20 });
  const insns = assemble('r1 = 1\nr2 = 2\ncall 1\nr0 += 1\nexit');
  const add: HelperDef = { kind: 'plain', name: 'add', run: (call) => call.arg(1) + call.arg(2) };
  for (const exactFuel of [true, false]) {
    for (const checked of [true, false]) {
      const program = engine.load({ name: 'helper', insns }, { exactFuel, checked, helpers: () => add });
      expect(engine.run(program)).toEqual({ r0: 4n, instructions: 5 });
    }
  }
});

/** Elements of every size that a definition can name: what does not fit the simulated kernel's memory is refused. */
test.each(Object.entries(MapType))('a map of type %s and 2^32 − 1 elements took all memory', (name, type) => {
  const def: MapDef = {
    name,
    section: '.maps',
    type,
    keySize: 4,
    valueSize: 4,
    maxEntries: 0xffff_ffff,
    mapFlags: 0,
    mapExtra: 0n,
    numaNode: 0,
    btfKeyTypeId: 0,
    btfValueTypeId: 0,
    pinning: 'none',
    frozen: false,
  };
  const object = {
    file: 'x.o',
    endian: 'little',
    license: 'GPL',
    kernVersion: 0,
    maps: [def],
    programs: [],
  } as const;
  const before = process.memoryUsage.rss();
  try {
    loadLab(object, { memoryLimitBytes: 16 << 20 });
  } catch (error) {
    expect(error).toBeInstanceOf(BpflabError);
  }
  expect(process.memoryUsage.rss() - before).toBeLessThan(128 << 20);
});
