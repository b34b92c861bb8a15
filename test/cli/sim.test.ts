/** `bpflab sim` and `--kernel` of the built command, as a process: exit codes, text, JSON, errors of one line. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const FOLDER = mkdtempSync(join(tmpdir(), 'bpflab-sim-'));
const MAPS = 'programs/rt_maps.bpf.o';

function bpflab(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    input,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
  return { status, stdout, stderr };
}

const scenario = (name: string): string => `programs/scenarios/${name}.json`;

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

describe('bpflab sim', () => {
  test('a clean scenario: exit 0, what happened, maps, latencies', () => {
    const { status, stdout } = bpflab(['sim', MAPS, '--events', scenario('rt-locks')]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/rt-locks\.json on 5\.7-rt, 2 CPUs: /);
    expect(stdout).toMatch(/held &htab->buckets\[i\]\.raw_lock: /);
    expect(stdout).toMatch(/held &htab->buckets\[i\]\.lock: /);
    expect(stdout).toMatch(/allocating \(hash, 1 of 64\)\n +60: 1\n/);
    expect(stdout).toMatch(/no report\n$/);
  });

  test('a report: exit 1, in the words of the kernel', () => {
    const { status, stdout } = bpflab(['sim', MAPS, '--events', scenario('rt-allocation')]);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /\] BUG: sleeping function called from invalid context at kernel\/locking\/rtmutex\.c:973\n/,
    );
    expect(stdout).toMatch(/reports\n$/);
  });

  test('a deadlock: exit 1, who waits for whom; a kernel that has learnt since: exit 0', () => {
    const deadlock = bpflab(['sim', MAPS, '--events', scenario('nmi-over-tc'), '--json']);
    expect(deadlock.status).toBe(1);
    expect(JSON.parse(deadlock.stdout)).toMatchObject({
      profile: '5.7',
      deadlock: expect.stringMatching(/raw_lock/),
    });
    const resilient = bpflab([
      'sim',
      MAPS,
      '--events',
      scenario('nmi-over-tc'),
      '--kernel',
      '6.18',
      '--json',
    ]);
    expect(resilient.status).toBe(0);
    expect(JSON.parse(resilient.stdout)).toMatchObject({ profile: '6.18', splats: [] });
  });

  test('the same twice, byte for byte', () => {
    const args = ['sim', 'programs/xdp_counter.bpf.o', '--events', scenario('traffic'), '--json'];
    expect(bpflab(args).stdout).toBe(bpflab(args).stdout);
  });

  test('a scenario from standard input', () => {
    const { status, stdout } = bpflab(
      ['sim', MAPS, '--events', '-', '--cpus', '1'],
      '{"attach":[],"events":[]}',
    );
    expect([status, /^- on 6\.18, 1 CPUs: /.test(stdout)]).toEqual([0, true]);
  });

  test.each<[string, string, RegExp]>([
    ['no JSON', 'x', /: not JSON: /],
    ['no scenario', '{"events":[{"at":-1}]}', /: events\[0\]\.at: -1 is not within 0 and \d+$/],
    [
      'no such program',
      '{"attach":[{"prog":"x"}],"events":[]}',
      /: attach\[0\]\.prog: the object has no program "x"; /,
    ],
    ['no such file', '{"events":[{"packet":{"pcap":"x"}}]}', /: events\[0\]\.packet\.pcap: x: no such file$/],
  ])('%s: exit 2, one line', (_, json, message) => {
    const file = join(FOLDER, 'scenario.json');
    writeFileSync(file, json);
    const { status, stderr, stdout } = bpflab(['sim', MAPS, '--events', file]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.split('\n').length).toBe(2);
    expect(stderr.trim()).toMatch(message);
  });

  test.each([
    [['sim', MAPS], /required option/],
    [['sim', MAPS, '--events', scenario('traffic'), '--kernel', '4.4'], /There are: 5\.6, /],
    [['run', MAPS, '--prog', 'count_packets', '--kernel', 'x', '--hex', '00'], /There are: 5\.6, /],
  ])('wrong usage: %j', (args, message) => {
    const { status, stderr } = bpflab(args);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});

test('bpflab run in another kernel', () => {
  const hex = '00'.repeat(60);
  const args = [
    'run',
    MAPS,
    '--prog',
    'count_packets',
    '--hex',
    hex,
    '--kernel',
    '5.7-rt',
    '--cpus',
    '2',
    '--json',
  ];
  const { status, stdout } = bpflab(args);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ retval: 0, returnName: 'TC_ACT_OK' });
});
