/** `bpflab rfc` and `bpflab latency` of the built command, as processes: tables, single rows, JSON, drawings, exit codes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const FOLDER = mkdtempSync(join(tmpdir(), 'bpflab-rfc-'));

function bpflab(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
  return { status, stdout, stderr };
}

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

describe('bpflab rfc', () => {
  test('all rows: a row a patch, a row a hazard, exit 0', () => {
    const { status, stdout } = bpflab('rfc', '--json');
    const { patches, hazards } = JSON.parse(stdout) as Record<string, Record<string, unknown>[]>;
    expect(status).toBe(0);
    expect(patches).toHaveLength(19);
    expect(hazards).toHaveLength(9);
    expect([...patches!, ...hazards!].map(({ verdict }) => verdict)).toEqual(Array(28).fill('ok'));
    expect(patches![16]).toMatchObject({
      number: 17,
      scenario: 'rfc-17-packet',
      without: [
        'BUG: sleeping function called from invalid context at kernel/locking/rtmutex.c:973',
        expect.stringMatching(/^in_atomic\(\): 1, irqs_disabled\(\): 1/),
      ],
      with: [],
    });
  });

  test('one patch: console and trace of both kernels', () => {
    const trace = join(FOLDER, 'trace.json');
    const { status, stdout } = bpflab('rfc', '--patch', '12', '--trace', trace);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^\[RFC patch 12\/19\] bpf: Use migrate_disable\/enabe\(\) in trampoline code\.\n/,
    );
    expect(stdout).toMatch(/without: rfc-rt with trampPin preempt\n {2}BUG: sleeping function/);
    expect(stdout).toMatch(/ {2}console\n {4}\[ +1\.\d+\] BUG: sleeping function/);
    expect(stdout).toMatch(/program function_allocates: start, preempt_count 0x1\n/);
    expect(stdout).toMatch(
      /with: rfc-rt\n {2}nothing\n.*program function_allocates: start, preempt_count 0x0\n/s,
    );
    expect(stdout).toMatch(/as it should be\n$/);
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as { traceEvents: { name: string }[] };
    expect(traceEvents.some(({ name }) => name === 'function_allocates')).toBe(true);
  });

  test('one hazard: the schedule that the explorer found', () => {
    const { status, stdout } = bpflab('rfc', '--hazard', '4');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^H4: queues and stacks in NMIs\n/);
    expect(stdout).toMatch(/deadlock: nmi perf_event_nmi_handler on CPU 0 waits for &qs->lock/);
    expect(stdout).toMatch(/ {2}schedule\n {4}CPU 0 /);
  });

  test('too few schedules to find what is to be found: not as it should be, exit 1', () => {
    const { status, stdout } = bpflab('rfc', '--hazard', '6', '--schedules', '1', '--json');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ patches: [], hazards: [{ id: 'H6', verdict: 'wrong' }] });
  });

  test.each([
    [['--patch', '20'], /--patch/],
    [['--hazard', 'x'], /--hazard/],
    [['--trace', 'x.json'], /USAGE_RFC|--trace goes with/],
  ])('wrong usage %j: exit 2, one line', (args, message) => {
    const { status, stderr } = bpflab('rfc', ...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('bpflab latency', () => {
  test('a row an operation, kernel and load', () => {
    const { status, stdout } = bpflab('latency', '--map', 'lru', '--op', 'evicting', '--entries', '256');
    const lines = stdout.trim().split('\n');
    expect(status).toBe(0);
    expect(lines[0]).toMatch(
      /^map +operation +kernel +elements +CPUs +busy +preempt off +irqs off +held +lock$/,
    );
    expect(lines).toHaveLength(1 + 2 * 2 * 2);
  });

  test('JSON and a drawing', () => {
    const svg = join(FOLDER, 'sizes.svg');
    const common = ['latency', '--map', 'preallocated', '--op', 'creation', '--kernel', '5.6-rt'];
    const { status, stdout } = bpflab(
      ...common,
      '--entries',
      '1000,10000',
      '--kind',
      'irqsoff',
      '--svg',
      svg,
      '--json',
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ points: [{ irqsoffNs: 5000 }, { irqsoffNs: 50_000 }] });
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg .*<polyline .*<\/svg>\n$/s);
  });

  test.each([
    [['--map', 'nothing'], /no operation/],
    [['--entries', '0'], /--entries/],
    [['--svg', 'x.svg'], /--svg wants/],
    [['--cpus', '2', '--busy', '4'], /more CPUs/],
    [['--kernel', '4.4'], /--kernel/],
  ])('wrong usage %j: exit 2, one line', (args, message) => {
    const { status, stderr } = bpflab('latency', ...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
