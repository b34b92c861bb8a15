/** `bpflab verify` as a process: verdicts by profile, JSON, SARIF, shards, recorded requests, one-line errors. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const FOLDER = mkdtempSync(join(tmpdir(), 'bpflab-verify-'));
const PROBE = 'programs/kprobe_noprealloc.bpf.o';
const COUNTER = 'programs/xdp_counter.bpf.o';
const FIREWALL = 'programs/xdp_firewall.bpf.o';
const RETURN_0 = 'b7000000000000009500000000000000';
const RETURN_R3 = 'bf300000000000009500000000000000';

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

interface Row {
  readonly [key: string]: unknown;
}

function verify(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', 'verify', ...args], {
    input,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
  const rows = (): Row[] =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
  return { status, stdout, stderr, rows };
}

describe('a probe with a map that allocates at run time', () => {
  const rows: readonly (readonly [args: string[], status: number, output: RegExp])[] = [
    [
      [],
      1,
      /^reject .*count_allocating.*\n {8}trace type programs can only use preallocated hash map \(EINVAL\)/,
    ],
    [['--kernel', 'rt'], 1, /^reject/],
    [['--kernel', '5.7-rt'], 1, /^reject .*\n.*trace type programs can only use preallocated hash map/],
    [['--kernel', '5.7', '--rt'], 1, /^reject/],
    [['--kernel', '5.7'], 0, /^accept .*\n.*warning: .*run-time allocated hash maps are unsafe/],
    [['--kernel', '6.18'], 0, /^accept [^\n]*\n$/],
    [['--no-rt'], 0, /^accept [^\n]*\n$/],
  ];
  test.each(rows)('%j exits with %i', (args, status, output) => {
    const outcome = verify([PROBE, '--prog', 'count_allocating', ...args]);
    expect(outcome.stderr).toBe('');
    expect(outcome.stdout).toMatch(output);
    expect(outcome.status).toBe(status);
  });

  test('its JSON says where and why', () => {
    const { rows, status } = verify([PROBE, '--json']);
    const [refused, accepted] = rows();
    expect(refused).toMatchObject({
      object: PROBE,
      section: 'kprobe/do_nanosleep',
      program: 'count_allocating',
      type: 'kprobe',
      profile: 'rt',
      verdict: 'reject',
      errno: 22,
      message: 'trace type programs can only use preallocated hash map',
      source: { file: './kprobe_noprealloc.bpf.c', line: expect.any(Number), column: expect.any(Number) },
    });
    expect(refused!.insn).toEqual(expect.any(Number));
    expect(refused!.log).toMatch(
      /^trace type programs can only use preallocated hash map\nprocessed 0 insns/m,
    );
    expect(accepted).toMatchObject({
      program: 'count_preallocated',
      verdict: 'accept',
      errno: 0,
      message: '',
    });
    expect(accepted).toMatchObject({ insn: null, source: null, processed: 23 });
    for (const key of ['states', 'peakStates', 'timeMs']) expect(accepted![key]).toEqual(expect.any(Number));
    expect(status).toBe(1);
  });

  test('--explain says what the rule is and what mends it', () => {
    const { stdout } = verify([PROBE, '--prog', 'count_allocating', '--explain']);
    expect(stdout).toMatch(/BPF_F_NO_PREALLOC/);
    expect(stdout).toMatch(/kprobe_noprealloc\.bpf\.c:\d+/);
    const [row] = verify([PROBE, '--explain', '--json']).rows();
    expect(row).toMatchObject({ explanation: { rule: { id: expect.any(String) }, mend: expect.any(Array) } });
  });
});

describe('objects', () => {
  test('log levels write the log as the kernel does', () => {
    const { stdout, status } = verify([PROBE, '--prog', 'count_preallocated', '--log-level', '2']);
    expect(stdout).toMatch(/^func#0 @0$/m);
    expect(stdout).toMatch(/^0: R1=ctx\(\) R10=fp0$/m);
    expect(stdout).toMatch(/^; .* @ kprobe_noprealloc\.bpf\.c:\d+$/m);
    expect(stdout).toMatch(/^processed 23 insns \(limit 1000000\)/m);
    expect(status).toBe(0);
  });

  test('shards are parts of the whole', () => {
    const names = (args: string[]): unknown[] =>
      verify([PROBE, COUNTER, FIREWALL, '--json', ...args])
        .rows()
        .map(({ program }) => program);
    const all = names([]);
    const parts = [names(['--shard', '1/2']), names(['--shard', '2/2'])];
    expect(all).toHaveLength(4);
    expect(parts.map((part) => part.length)).toEqual([2, 2]);
    expect(new Set(parts.flat())).toEqual(new Set(all));
  });

  test('files that cannot be read do not keep the others from being judged', () => {
    const { stdout, stderr, status } = verify(['README.md', COUNTER, 'no-such.o']);
    expect(stdout).toMatch(/^accept .*count_packets/);
    expect(stderr).toMatch(/^bpflab: README\.md: [^\n]*\nbpflab: no-such\.o: no such file\n$/);
    expect(status).toBe(2);
  });

  test('an older release: what is not known is said, and is no acceptance', () => {
    const { stdout, status } = verify([COUNTER, '--kernel', '5.15']);
    expect(stdout).toMatch(/^unknown .*\n {8}not known for Linux 5\.15: 6\.18 accepts it, but /);
    expect(status).toBe(1);
  });

  test('SARIF beside the report', () => {
    const file = join(FOLDER, 'verdicts.sarif');
    const { status } = verify([PROBE, COUNTER, '--sarif', file]);
    const sarif = JSON.parse(readFileSync(file, 'utf8'));
    expect(sarif.version).toBe('2.1.0');
    expect(sarif.runs[0].results).toHaveLength(1);
    expect(sarif.runs[0].results[0]).toMatchObject({
      level: 'error',
      ruleIndex: 0,
      locations: [{ physicalLocation: { artifactLocation: { uri: 'kprobe_noprealloc.bpf.c' } } }],
    });
    expect(sarif.runs[0].results[0].locations[0].physicalLocation.region.startLine).toBeGreaterThan(1);
    expect(status).toBe(1);
  });
});

describe('recorded requests', () => {
  const request = (insns: string, extra: Row = {}): string =>
    JSON.stringify({ prog_type: 'kprobe', insns, license: 'GPL', ...extra });
  const hash = { type: 'hash', key_size: 4, value_size: 8, max_entries: 1, map_flags: 1 };

  test('are answered one a line, in order, whatever they are', () => {
    const lines = [
      request(RETURN_0, { id: 7 }),
      'no json',
      request(RETURN_R3, { id: 'two' }),
      '',
      request('zz', { id: 'bad' }),
      request(RETURN_0, { btf: '0123456789abcdef' }),
      '[]',
      JSON.stringify({ id: 'nested', load: JSON.parse(request(RETURN_0)) }),
    ];
    const { rows, stderr, status } = verify(['--raw', '-'], lines.join('\n'));
    expect(rows().map(({ id, verdict, errno }) => [id, verdict, errno])).toEqual([
      [7, 'accept', 0],
      [undefined, 'bad_request', undefined],
      ['two', 'reject', 13],
      ['bad', 'bad_request', undefined],
      [undefined, 'bad_request', undefined],
      [undefined, 'bad_request', undefined],
      ['nested', 'accept', 0],
    ]);
    expect(rows()[2]).toMatchObject({ message: 'R3 !read_ok', insn: 0, processed: 1 });
    expect(rows()[4]!.message).toMatch(/BTF 0123456789abcdef .*--btf-dir/);
    expect(stderr).toBe('');
    expect(status).toBe(1);
  });

  test('are judged for 6.18 unless a kernel is named', () => {
    const file = join(FOLDER, 'requests.jsonl');
    writeFileSync(file, `${request(`1811${'0'.repeat(28)}${RETURN_0}`, { maps: [hash] })}\n`);
    const verdictFor = (...args: string[]): unknown =>
      verify(['--raw', file, '--json', ...args]).rows()[0]!.verdict;
    expect(verdictFor()).toBe('accept');
    expect(verdictFor('--kernel', 'rt')).toBe('reject');
    expect(verdictFor('--rt')).toBe('reject');
    expect(verdictFor('--kernel', '5.7-rt')).toBe('reject');
  });

  test('are judged for the capabilities that they or the command name', () => {
    const leak = 'bfa00000000000009500000000000000';
    const verdicts = (extra: Row, ...args: string[]): unknown[] =>
      verify(['--raw', '-', ...args], `${request(leak, { prog_type: 'socket_filter', ...extra })}\n`)
        .rows()
        .map(({ verdict, message }) => [verdict, message]);
    const refused = [['reject', 'R0 leaks addr as return value']];
    expect(verdicts({})).toEqual([['accept', '']]);
    expect(verdicts({ caps: ['bpf'] })).toEqual(refused);
    expect(verdicts({ caps: ['bpf'] }, '--caps', 'CAP_BPF,CAP_PERFMON')).toEqual([['accept', '']]);
    expect(verdicts({}, '--unpriv')).toEqual(refused);
  });

  test('all accepted exits with 0', () => {
    expect(verify(['--raw', '-'], `${request(RETURN_0)}\n`).status).toBe(0);
  });
});

describe('what is called wrongly or cannot be read says so in one line and exits with 2', () => {
  const rows: readonly (readonly [args: string[], error: RegExp])[] = [
    [[], /missing required argument 'file'/],
    [[COUNTER, '--kernel', '7.0'], /"7\.0" names no kernel profile; there are: rt, /],
    [[COUNTER, '--kernel', '5.6', '--rt'], /5\.6 has no profile with PREEMPT_RT/],
    [[COUNTER, '--shard', '3/2'], /a shard is I\/N/],
    [[COUNTER, '--log-level', '8'], /a level is a sum of 1/],
    [[COUNTER, '--prog', 'nothing'], /no program of this name; there are: count_packets/],
    [[COUNTER, FIREWALL, '--prog', 'nothing'], /none of the files has a program nothing/],
    [[COUNTER, '--sarif', '-'], /name a file for --sarif/],
    [[COUNTER, '--btf', 'no-such.btf'], /no-such\.btf/],
    [[COUNTER, '--btf-dir', '.'], /--btf-dir goes with --raw/],
    [[COUNTER, '--caps', 'bpf,root'], /capabilities are bpf, perfmon, net_admin, sys_admin/],
    [[COUNTER, '--caps', 'bpf', '--unpriv'], /--unpriv and --caps exclude each other/],
    [[COUNTER, '--raw', '-'], /exclude each other/],
    [['--raw', '-', '--explain'], /--raw has no use for --explain/],
    [['--raw', 'no-such.jsonl'], /no-such\.jsonl: no such file/],
    [['--raw', '.'], /is a directory/],
    [['--raw', '-', '--btf-dir', 'no-such'], /no-such: no such folder/],
    [['no-such.o'], /no-such\.o: no such file/],
  ];
  test.each(rows)('%j', (args, error) => {
    const { stderr, status } = verify(args);
    expect(stderr).toMatch(error);
    expect(stderr).toMatch(/^bpflab: [^\n]*\n$/);
    expect(stderr).not.toMatch(/internal error/);
    expect(status).toBe(2);
  });
});
