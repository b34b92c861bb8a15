/**
 * Whatever bytes come in, only typed errors come out: of opening, checking, asking, dumping and
 * relocating. (The long hunt is `npm run fuzz`; this is its short form.)
 */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BpflabError } from '../../../src/errors.js';
import { dumpC } from '../../../src/object/btf/dump/c.js';
import { rawText, rawType } from '../../../src/object/btf/dump/raw.js';
import { Btf, CORE_RELO_KINDS, encodeBtf } from '../../../src/object/btf/index.js';
import { CoreRelocator, CoreTarget } from '../../../src/object/core/index.js';
import { btfOf, EVERY_KIND } from './sample.js';

const GOOD = encodeBtf(EVERY_KIND);
const LOCAL = btfOf(EVERY_KIND);
const HEADER_SIZE = 24;
const TYPES_END = HEADER_SIZE + new DataView(GOOD.buffer).getUint32(12, true);

/** A few words of the header or of the types replaced, and perhaps the end cut off. */
const mutant = fc
  .record({
    words: fc.array(
      fc.record({
        at: fc.oneof(
          { weight: 9, arbitrary: fc.integer({ min: HEADER_SIZE / 4, max: TYPES_END / 4 - 1 }) },
          fc.nat({ max: 5 }),
        ),
        value: fc.oneof(
          fc.nat({ max: 30 }),
          fc.nat({ max: 0xffffffff }),
          fc.constantFrom(0xffffffff, 0x80000000),
        ),
        keepsLow: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    length: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, fc.nat({ max: GOOD.length })),
  })
  .map(({ words, length }) => {
    const bytes = GOOD.slice();
    const view = new DataView(bytes.buffer);
    for (const { at, value, keepsLow } of words) {
      const old = view.getUint32(at * 4, true);
      view.setUint32(at * 4, keepsLow ? ((old & 0xffffff) | ((value % 20) << 24)) >>> 0 : value, true);
    }
    return length === null ? bytes : bytes.subarray(0, length);
  });

/** Codes of the errors that the steps ended in; anything that is no `BpflabError` escapes. */
function codesOf(steps: readonly (() => void)[]): string[] {
  const codes: string[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      codes.push(error.code);
    }
  }
  return codes;
}

function askEverything(btf: Btf): string[] {
  const ids = Array.from({ length: btf.typeCount }, (_, id) => id);
  const relocator = new CoreRelocator(LOCAL, new CoreTarget(btf));
  return codesOf([
    () => btf.validate(),
    () => {
      for (const _ of dumpC(btf));
    },
    () => btf.findByName('s'),
    ...ids.flatMap((id) => [
      () => void rawText(rawType(btf, id)),
      () => void btf.sizeOf(id),
      () => void btf.alignOf(id),
      () => void btf.findMember(id, 'f'),
    ]),
    ...CORE_RELO_KINDS.map((kind) => () => {
      const accessStr = kind.startsWith('enumval') || kind.includes('type') ? '0' : '0:1:2';
      const insns = [{ code: 0xb7, dst: 0, src: 0, off: 0, imm: 0 }];
      relocator.apply(insns, 0, { insnOff: 0, typeId: kind.startsWith('enumval') ? 7 : 5, accessStr, kind });
    }),
  ]);
}

describe('mutated BTF', () => {
  it('ends in typed errors', () => {
    let opened = 0;
    fc.assert(
      fc.property(mutant, (bytes) => {
        const refused = codesOf([
          () => {
            askEverything(Btf.parse(bytes));
            opened++;
          },
        ]);
        expect(refused.every((code) => code.startsWith('BTF_'))).toBe(true);
      }),
      { numRuns: 600, seed: 6 },
    );
    expect(opened).toBeGreaterThan(200);
  });

  it('finds nothing wrong with what was not mutated but the relocations that expect other immediates', () => {
    expect(new Set(askEverything(LOCAL))).toEqual(
      new Set(['BTF_NO_SIZE', 'CORE_UNEXPECTED_INSN', 'CORE_UNSUPPORTED']),
    );
  });
});
