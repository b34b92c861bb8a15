/** Scenarios that are none: one error each, which names the place. */
import { describe, expect, test } from '@jest/globals';
import { ScenarioError } from '../../../src/kernel/errors.js';
import { parseScenario } from '../../../src/kernel/sim/scenario.js';

const noFiles = (): never => {
  throw new ScenarioError('SCENARIO_VALUE', 'there are no files');
};
const event = (more: object): string => JSON.stringify({ events: [more] });

describe('parseScenario', () => {
  test.each<[string, string, string, RegExp]>([
    ['not JSON', '{', 'SCENARIO_JSON', /^not JSON: /],
    ['a list', '[]', 'SCENARIO_TYPE', /^an object is wanted/],
    ['nothing', '{}', 'SCENARIO_KEY', /^"events" is missing/],
    [
      'a misspelt key',
      '{"events":[],"cpu":3}',
      'SCENARIO_KEY',
      /^"cpu" is not known here; there are: cpus, /,
    ],
    ['too many CPUs', '{"events":[],"cpus":65}', 'SCENARIO_VALUE', /^cpus: 65 is not within 1 and 64/],
    ['half a CPU', '{"events":[],"cpus":1.5}', 'SCENARIO_TYPE', /^cpus: a whole number is wanted/],
    [
      'an unknown kernel',
      '{"events":[],"profile":"4.4"}',
      'SCENARIO_VALUE',
      /^profile: "4.4" is none of: 5.6, /,
    ],
    ['an unknown knob', '{"events":[],"knobs":{"x":1}}', 'SCENARIO_KEY', /^knobs: "x" is no knob/],
    ['a knob of another type', '{"events":[],"knobs":{"rt":"yes"}}', 'SCENARIO_TYPE', /^knobs.rt: a boolean/],
    [
      'a knob turned where it cannot be',
      '{"events":[],"knobs":{"uprobePreempt":"x"}}',
      'SCENARIO_VALUE',
      /^knobs.uprobePreempt: "x" is none of: preempt, none, sleepable/,
    ],
    ['an inherited knob', '{"events":[],"knobs":{"toString":1}}', 'SCENARIO_KEY', /"toString" is no knob/],
    [
      'a name of two lines',
      '{"events":[],"tasks":[{"name":"a\\nb"}]}',
      'SCENARIO_VALUE',
      /^tasks\[0\].name: .*control/,
    ],
    [
      'no name',
      '{"events":[],"tasks":[{"name":""}]}',
      'SCENARIO_VALUE',
      /^tasks\[0\].name: .*says something/,
    ],
    [
      'a mask of no CPU',
      '{"events":[],"tasks":[{"name":"a","affinity":[]}]}',
      'SCENARIO_VALUE',
      /^tasks\[0\].affinity: at least one CPU/,
    ],
    [
      'too many tasks',
      JSON.stringify({ events: [], tasks: Array(10_001).fill({ name: 'a' }) }),
      'SCENARIO_VALUE',
      /^tasks: the list has 10001 members/,
    ],
    ['an odd seed', '{"events":[],"seed":0}', 'SCENARIO_VALUE', /^seed: 0 is not within/],
    [
      'no action',
      event({ at: 3 }),
      'SCENARIO_KEY',
      /^events\[0\]: nothing happens; an event has one of: packet, /,
    ],
    [
      'two actions',
      event({ spend: { ns: 1 }, sleep: { ns: 1 } }),
      'SCENARIO_KEY',
      /^events\[0\]: spend and sleep exclude each other/,
    ],
    [
      'no task of that name',
      event({ task: 'x', spend: { ns: 1 } }),
      'SCENARIO_NAME',
      /^events\[0\].task: there is no/,
    ],
    [
      'a CPU that is not there',
      event({ cpu: 4, spend: { ns: 1 } }),
      'SCENARIO_VALUE',
      /^events\[0\].cpu: 4 is not/,
    ],
    [
      'odd hex digits',
      event({ packet: { hex: 'abc' } }),
      'SCENARIO_VALUE',
      /^events\[0\].packet.hex: pairs of hex/,
    ],
    ['no frame', event({ packet: {} }), 'SCENARIO_KEY', /^events\[0\].packet: one of "hex" and "pcap"/],
    [
      'no capture',
      event({ packet: { pcap: 'x' } }),
      'SCENARIO_VALUE',
      /^events\[0\].packet.pcap: x: there are no files/,
    ],
    [
      'no address',
      event({ connect: { ip: '1.2.3', port: 1 } }),
      'SCENARIO_VALUE',
      /^events\[0\].connect.ip: /,
    ],
    [
      'no event of perf',
      event({ perf: { event: 'x' } }),
      'SCENARIO_VALUE',
      /^events\[0\].perf.event: "x" is none/,
    ],
    [
      'odd flags',
      event({ mapUpdate: { map: 'm', key: 1, value: 1, flags: 'x' } }),
      'SCENARIO_VALUE',
      /flags: "x"/,
    ],
    [
      'no key',
      event({ mapDelete: { map: 'm', key: true } }),
      'SCENARIO_TYPE',
      /^events\[0\].mapDelete.key: a whole/,
    ],
    [
      'inside',
      event({ call: { function: 'f', during: [{ spend: { ns: 0 } }] } }),
      'SCENARIO_VALUE',
      /^events\[0\].call.during\[0\].spend.ns: 0 is not within/,
    ],
    [
      'an unknown member inside',
      event({ call: { function: 'f', during: [{ spend: { ns: 1 }, at: 3 }] } }),
      'SCENARIO_KEY',
      /^events\[0\].call.during\[0\]: "at" is not known here/,
    ],
    [
      'twins',
      '{"events":[],"tasks":[{"name":"a"},{"name":"a"}]}',
      'SCENARIO_NAME',
      /^tasks: two tasks are called "a"/,
    ],
    [
      'pids',
      '{"events":[],"tasks":[{"name":"a","pid":5},{"name":"b","pid":5}]}',
      'SCENARIO_NAME',
      /the same pid/,
    ],
    [
      'no filter',
      '{"events":[],"tasks":[{"name":"a","seccomp":[["nonsense"]]}]}',
      'SCENARIO_VALUE',
      /^tasks\[0\].seccomp\[0\]: /,
    ],
  ])('%s', (_, json, code, message) => {
    expect(() => parseScenario(json, noFiles)).toThrow(ScenarioError);
    expect(() => parseScenario(json, noFiles)).toThrow(expect.objectContaining({ code }));
    expect(() => parseScenario(json, noFiles)).toThrow(message);
  });

  test('what is not said has a default', () => {
    const { cpus, profile, seed, interleaved, verify, attach } = parseScenario('{"events":[]}', noFiles);
    expect([cpus, profile.name, seed, interleaved, verify, attach]).toEqual([
      4,
      '6.18',
      1,
      false,
      'convert',
      undefined,
    ]);
  });

  test('keys and values: numbers of 64 bits, bytes', () => {
    const maps = {
      m: [
        { key: '0xffffffffffffffff', value: [1, 2] },
        { key: -1, value: 'hex:0a 0b' },
      ],
    };
    const scenario = parseScenario(JSON.stringify({ events: [], maps }), noFiles);
    expect(scenario.maps[0]?.entries).toEqual([
      { key: 0xffffffffffffffffn, value: Uint8Array.of(1, 2) },
      { key: -1n, value: Uint8Array.of(10, 11) },
    ]);
  });
});
