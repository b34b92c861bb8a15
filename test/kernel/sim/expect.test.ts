/** What a scenario expects at its end: each form held and not held, and forms that are none. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parseScenario } from '../../../src/kernel/sim/scenario.js';
import { simulate } from '../../../src/kernel/sim/simulate.js';
import { openObject, relocateObject } from '../../../src/object/index.js';

const OBJECT = relocateObject(
  openObject(readFileSync('programs/rt_maps.bpf.o'), { file: 'rt_maps.bpf.o' }),
  {},
);

function scenario(expectations: readonly object[]) {
  const mapUpdate = { map: 'preallocated', key: 7, value: 5 };
  const json = JSON.stringify({ cpus: 2, attach: [], events: [{ mapUpdate }], expect: expectations });
  return parseScenario(json, () => new Uint8Array());
}

const unmet = (expectation: object): readonly string[] =>
  simulate(OBJECT, scenario([{ map: 'preallocated', ...expectation }])).result.unmet;

test.each([
  [{ key: 7, value: 5 }],
  [{ key: 7, value: 'hex:0500000000000000' }],
  [{ key: 7, sum: 5 }],
  [{ key: 8, absent: true }],
  [{ elements: 1 }],
])('%j holds', (expectation) => expect(unmet(expectation)).toEqual([]));

test.each([
  [{ key: 7, value: 6 }, 'expect[0]: preallocated[7] is 5, not 6'],
  [{ key: 8, value: 5 }, 'expect[0]: preallocated[8] is not there (-2)'],
  [{ key: 7, sum: 4 }, 'expect[0]: preallocated[7] adds up to 5, not 4'],
  [{ key: 7, absent: true }, 'expect[0]: preallocated[7] is there'],
  [{ elements: 2 }, 'expect[0]: preallocated has 1 elements, not 2'],
])('%j does not', (expectation, message) => expect(unmet(expectation)).toEqual([message]));

describe('a form that is none', () => {
  test.each([
    [{ map: 'm', key: 1 }, /expect\[0\]: one of these is wanted: value, sum, absent, elements/],
    [{ map: 'm', key: 1, value: 1, absent: true }, /one of these is wanted/],
    [{ map: 'm', key: 1, absent: false }, /expect\[0\].*"absent" can only be true/],
    [{ map: 'm', elements: 1, key: 3 }, /"key" is not known here/],
    [{ key: 1, value: 1 }, /"map" is missing/],
    [{ map: 'm', key: 1, value: 1, cpu: 2 }, /expect\[0\].cpu: 2 is not within 0 and 1/],
  ])('%j is refused', (expectation, message) => expect(() => scenario([expectation])).toThrow(message));

  test('so is a map that is not there', () => {
    const parsed = scenario([{ map: 'nowhere', elements: 0 }]);
    expect(() => simulate(OBJECT, parsed)).toThrow(/expect\[0\]: the object has no map "nowhere"/);
  });
});
