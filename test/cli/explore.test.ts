/** `bpflab explore` and `bpflab cfg` as processes: failures, schedules that replay, files to look at, wrong usage. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';

const FOLDER = mkdtempSync(join(tmpdir(), 'bpflab-explore-'));
const OBJECT = 'programs/rt_maps.bpf.o';
const NMI = 'programs/scenarios/nmi-over-tc.json';

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

function bpflab(...args: readonly string[]) {
  return spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
}

test('finds an NMI over a locked bucket, and replays and draws it', () => {
  const [saved, trace, dot] = ['failing.json', 'trace.json', 'locks.dot'].map((name) => join(FOLDER, name));
  const found = bpflab('explore', OBJECT, '--scenario', NMI, '--schedules', '50', '--save', saved!);
  expect(found.stderr).toBe('');
  expect(found.status).toBe(1);
  expect(found.stdout).toMatch(/nobody in a circle can go on: nmi perf_event_nmi_handler/);
  const again = bpflab(
    'explore',
    OBJECT,
    '--scenario',
    NMI,
    '--replay',
    saved!,
    '--trace',
    trace!,
    '--dot',
    dot!,
  );
  expect(again.status).toBe(1);
  expect(again.stdout).toMatch(/nobody in a circle can go on: nmi perf_event_nmi_handler/);
  const { traceEvents } = JSON.parse(readFileSync(trace!, 'utf8')) as { traceEvents: { name: string }[] };
  expect(traceEvents.map(({ name }) => name)).toContain('nmi perf_event_nmi_handler');
  expect(readFileSync(dot!, 'utf8')).toMatch(/raw_lock/);
});

test('nothing goes wrong where the owner of the lock is recognised; the report is the same twice', () => {
  const args = ['explore', OBJECT, '--scenario', NMI, '--kernel', '6.18', '--schedules', '3', '--json'];
  const [first, second] = [bpflab(...args), bpflab(...args)];
  expect(first.stderr).toBe('');
  expect(first.status).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ schedules: 3, failures: [] });
  expect(second.stdout).toBe(first.stdout);
});

test('workers share the seeds', () => {
  const outcome = bpflab(
    'explore',
    OBJECT,
    '--scenario',
    NMI,
    '--kernel',
    '6.18',
    '--schedules',
    '4',
    '--workers',
    '2',
  );
  expect(outcome.stderr).toBe('');
  expect(outcome.stdout).toMatch(/^4 schedules/);
});

test('workers and shards share an exhaustive search', () => {
  const search = ['--strategy', 'exhaustive', '--preemptions', '0', '--schedules', '6'];
  const args = ['explore', OBJECT, '--scenario', 'programs/scenarios/kprobe-map-update.json', ...search];
  const outcome = bpflab(...args, '--workers', '2', '--shard', '1/2');
  expect(outcome.stderr).toBe('');
  expect(outcome.stdout).toMatch(/^[1-6] schedules.*exhaustive, at most 0 preemptions/);
  expect(outcome.status).toBe(0);
});

test.each([
  [['--preemptions', '1'], /--preemptions goes with --strategy exhaustive/],
  [['--workers', '65'], /at most 64 workers/],
])('%j is wrong usage', (args, message) => {
  const outcome = bpflab('explore', OBJECT, '--scenario', NMI, ...args);
  expect(outcome.stderr).toMatch(message);
  expect(outcome.status).toBe(2);
});

test('a scenario that is none is wrong usage, with the file and the place', () => {
  const file = join(FOLDER, 'none.json');
  for (const workers of [[], ['--workers', '2']]) {
    for (const [event, message] of [
      [{ spend: { ns: -1 } }, 'events[0].spend.ns: -1 is not within'],
      [{ mapLookup: { map: 'nowhere', key: 1 } }, 'events[0]: the object has no map "nowhere"'],
    ] as const) {
      writeFileSync(file, JSON.stringify({ events: [event] }));
      const outcome = bpflab('explore', OBJECT, '--scenario', file, ...workers);
      expect(outcome.stderr).toContain(`bpflab: ${file}: ${message}`);
      expect(outcome.status).toBe(2);
    }
  }
});

test('a schedule that goes on where the scenario has ended is refused', () => {
  const [scenario, schedule] = [join(FOLDER, 'short.json'), join(FOLDER, 'long.json')];
  writeFileSync(scenario, JSON.stringify({ events: [{ spend: { ns: 1 } }] }));
  writeFileSync(schedule, JSON.stringify({ scenario, seed: 1, steps: ['cpu 9 goes on'] }));
  const outcome = bpflab('explore', OBJECT, '--scenario', scenario, '--replay', schedule);
  expect(outcome.stderr).toBe('bpflab: step 1 is "cpu 9 goes on", but nothing more can happen\n');
  expect(outcome.status).toBe(1);
});

test('a file that is no schedule is refused in a line', () => {
  const outcome = bpflab('explore', OBJECT, '--scenario', NMI, '--replay', NMI);
  expect(outcome.stderr).toMatch(/^bpflab: .*nmi-over-tc.json: a schedule has/);
  expect(outcome.status).toBe(1);
});

test('cfg draws a program', () => {
  const svg = join(FOLDER, 'flow.svg');
  const outcome = bpflab('cfg', 'programs/xdp_counter.bpf.o', '--states', '-o', svg);
  expect(outcome).toMatchObject({ status: 0, stderr: '', stdout: '' });
  expect(readFileSync(svg, 'utf8')).toContain('<svg');
  expect(bpflab('cfg', OBJECT).status).toBe(2);
});
