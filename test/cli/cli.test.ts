/**
 * The built command as a user meets it, as a process: exit codes, one-line errors, JSON, help. `npm test` builds
 * first.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const FOLDER = mkdtempSync(join(tmpdir(), 'bpflab-cli-'));
const COUNTER = 'programs/xdp_counter.bpf.o';
const CAPTURE = 'programs/data/traffic.pcap';
const ARP = 'ffffffffffff0200000000010806'.padEnd(120, '0');

const RETURN_7 = 'b7000000070000009500000000000000';

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function bpflab(args: readonly string[], input = '', env: Record<string, string> = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    input,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', ...env },
  });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(FOLDER, name);
  writeFileSync(path, content);
  return path;
}

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

describe('what is done exits with 0', () => {
  const rows: readonly { readonly args: string[]; readonly output: RegExp; readonly input?: string }[] = [
    { args: ['--version'], output: /^\d+\.\d+\.\d+\n$/ },
    {
      args: ['--help'],
      output: /Exit codes: 0 done, 1 the program or input was refused or faulted, 2 wrong usage/,
    },
    { args: ['inspect', COUNTER], output: /count_packets\s+xdp\s+xdp\s+\d+/ },
    {
      args: ['inspect', COUNTER, 'programs/xdp_firewall.bpf.o'],
      output: /xdp_firewall\.bpf\.o: eBPF object/,
    },
    { args: ['disasm', COUNTER], output: /call 0x1\s+; bpf_map_lookup_elem#1/ },
    { args: ['disasm', COUNTER, '--dialect', 'kernel'], output: /\(85\) call bpf_map_lookup_elem#1/ },
    {
      args: ['disasm', COUNTER, '--source'],
      output: /; int count_packets\(struct xdp_md \*ctx\) @ xdp_counter\.bpf\.c:\d+/,
    },
    { args: ['disasm', COUNTER, '--bytes'], output: / 0: (?:[0-9a-f]{2} ){8} *\S/ },
    { args: ['disasm', 'programs/kprobe_latency.bpf.o', '--btf', 'embedded'], output: /read_exit: kprobe/ },
    { args: ['btf', COUNTER], output: /type/ },
    { args: ['btf', COUNTER, 'dump', '--format', 'c'], output: /struct counter \{/ },
    { args: ['run', COUNTER, '--hex', ARP], output: /XDP_PASS/ },
    { args: ['run', COUNTER, '--pcap', CAPTURE], output: /XDP_PASS 64/ },
    { args: ['run', '--raw', RETURN_7], output: /^r0 = 7/ },
    {
      args: ['run', '--raw', '-'],
      output: /^r0 = 7/,
      input: 'b7 00 00 00 07 00 00 00 95 00 00 00 00 00 00 00\n',
    },
    {
      args: ['conformance', '0102'],
      output: /^201\n$/,
      input: '69 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00\n',
    },
    { args: ['demo'], output: /What to try next/ },
  ];
  test.each(rows)('bpflab $args', ({ args, output, input }) => {
    const { status, stdout, stderr } = bpflab(args, input);
    expect(stderr).toBe('');
    expect(stdout).toMatch(output);
    expect(status).toBe(0);
  });
});

describe('what is refused, faults or is called wrongly says so in one line', () => {
  const rows: readonly (readonly [args: string[], status: 1 | 2, error: RegExp])[] = [
    [['inspect', 'no-such.o'], 1, /^bpflab: no-such\.o: no such file\n$/],
    [['inspect', 'README.md'], 1, /^bpflab: README\.md.*not.*ELF/i],
    [['inspect', file('cut.o', readFileSync(COUNTER).subarray(0, 900))], 1, /^bpflab: .*cut\.o.*: /],
    [
      ['disasm', COUNTER, '--prog', 'nothing'],
      1,
      /nothing: no program of this name; there are: count_packets/,
    ],
    [['disasm', COUNTER, '--btf', 'no-such.btf'], 1, /no-such\.btf/],
    [['btf', 'README.md'], 1, /^bpflab: README\.md/],
    [['btf', COUNTER, '--format', 'c'], 2, /--format c goes with dump/],
    [['btf', COUNTER, '--embedded'], 2, /a file and --embedded exclude each other/],
    [['btf', '--embedded', '--base', 'x'], 2, /--base and --embedded exclude each other/],
    [['btf', COUNTER, 'dumb'], 2, /unknown action dumb/],
    [['run', COUNTER, '--hex', '00'], 1, /^bpflab: /],
    [['run', COUNTER, '--pcap', 'README.md'], 1, /^bpflab: README\.md/],
    [['run', COUNTER, '--hex', ARP, '--fuel', '1'], 1, /^bpflab: count_packets, insn \d+: out of fuel, not/],
    [['run', COUNTER, '--hex', ARP, '--data-out', 'no-such/x'], 1, /^bpflab: no-such\/x: no such file/],
    [['run', '--raw', '0500ffff000000009500000000000000', '--fuel', '1000'], 1, /fuel/],
    [['run', '--raw', '7900000000000000', '--mem', '00'], 1, /^bpflab: /],
    [['run', '--raw', 'zz'], 2, /as hex digits/],
    [['run', '--raw', 'b700'], 2, /4 hex digits are no whole instructions/],
    [['run'], 2, /^bpflab: .*missing/],
    [['run', 'programs/xdp_dispatch.bpf.o'], 2, /choose a program with --prog: ipv4_stage/],
    [['run', COUNTER, '--hex', ARP, '--pcap', CAPTURE], 2, /exclude each other/],
    [['run', COUNTER], 2, /count_packets: xdp programs run on a packet: give one/],
    [['run', '--raw', RETURN_7, '--ctx-in', 'x'], 2, /--raw has no use for --ctx-in/],
    [['run', COUNTER, '--repeat', 'many'], 2, /^bpflab: /],
    [['inspect'], 2, /^bpflab: missing required argument 'file'/],
    [['inspect', '--nonsense', COUNTER], 2, /^bpflab: unknown option '--nonsense'/],
    [['disasm', COUNTER, '--dialect', 'intel'], 2, /^bpflab: .*--dialect/],
    [['insepct'], 2, /^bpflab: unknown command 'insepct'.*inspect/],
  ];
  test.each(rows)('bpflab %j exits with %i', (args, status, error) => {
    const outcome = bpflab(args);
    expect(outcome.stderr).toMatch(error);
    expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(outcome.stderr).not.toMatch(/internal error|\n\s+at /);
    expect(outcome.status).toBe(status);
  });

  test('inspect goes on with the other files', () => {
    const { status, stdout, stderr } = bpflab(['inspect', 'README.md', COUNTER]);
    expect(stderr).toMatch(/^bpflab: README\.md: .*\n$/);
    expect(stdout).toMatch(/xdp_counter/);
    expect(status).toBe(1);
  });

  if (process.platform === 'linux') {
    test('files without an end, standard output without room', () => {
      expect(bpflab(['inspect', '/dev/zero']).stderr).toBe('bpflab: /dev/zero: more than 256 MiB\n');
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', '--help'], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      closeSync(full);
      expect(stderr).toBe('bpflab: standard output: no space left\n');
      expect(status).toBe(1);
    });
  }

  test('no command at all shows the help and exits with 2', () => {
    const { status, stderr } = bpflab([]);
    expect(stderr).toMatch(/Usage: bpflab/);
    expect(status).toBe(2);
  });
});

describe('JSON', () => {
  const json = (args: readonly string[]): unknown => JSON.parse(bpflab(args).stdout);

  test('inspect', () => {
    expect(json(['inspect', COUNTER, '--json'])).toMatchObject({
      endian: 'little',
      license: 'Dual MIT/GPL',
      programs: [{ name: 'count_packets', section: 'xdp', type: 'xdp', autoload: true }],
      maps: [{ name: 'counters', type: 'percpu_array', keySize: 4, valueSize: 16, maxEntries: 10 }],
    });
  });

  test('run --raw gives r0, instructions and the time', () => {
    const result = json(['run', '--raw', RETURN_7, '--json']);
    expect(result).toMatchObject({ r0: '7', instructions: 2, timeNs: expect.any(Number) });
  });

  test('run --raw gives the fault', () => {
    const { status, stdout } = bpflab(['run', '--raw', '79110000000000009500000000000000', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ fault: { kind: 'bad-access', insn: 0 } });
    expect(status).toBe(1);
  });

  test('run writes the packet', () => {
    const path = join(FOLDER, 'out.bin');
    expect(bpflab(['run', COUNTER, '--hex', ARP, '--data-out', path]).status).toBe(0);
    expect(readFileSync(path).toString('hex')).toBe(ARP);
  });
});

describe('help', () => {
  test.each(['inspect', 'disasm', 'btf', 'run', 'demo', 'conformance'])(
    '%s --help has an example',
    (name) => {
      const { status, stdout } = bpflab([name, '--help']);
      expect(stdout).toMatch(/Examples?:\n {2}\S/);
      expect(stdout).toContain(`bpflab ${name}`);
      expect(status).toBe(0);
    },
  );
});

test.each([
  ['plain', {}],
  ['colours', { NO_COLOR: '', FORCE_COLOR: '1' }],
])('names from an object do not drive the terminal (%s)', (_, env: Record<string, string>) => {
  const object = readFileSync(COUNTER).toString('latin1');
  const path = file('escape.o', Buffer.from(object.replaceAll('counters\0', 'coun\u001b[2J\0'), 'latin1'));
  const commands = [
    ['inspect', path],
    ['disasm', path],
    ['btf', path, 'dump'],
    ['run', path, '--hex', ARP],
  ];
  for (const args of commands) {
    const { stdout } = bpflab(args, '', env);
    expect(stdout).toContain('coun\\x1b[2J');
    expect(stdout).not.toContain('\u001b[2J');
  }
  expect(JSON.parse(bpflab(['inspect', path, '--json']).stdout).maps[0].name).toBe('coun\u001b[2J');
});

test('colours only on a terminal, unless asked for', () => {
  expect(bpflab(['inspect', COUNTER]).stdout).not.toContain('\u001b[');
  const forced = bpflab(['inspect', COUNTER], '', { NO_COLOR: '', FORCE_COLOR: '1' });
  expect(forced.stdout).toContain('\u001b[');
});
