/** Loads with few capabilities, on small programs: those with CAP_BPF recorded from Linux, those without after its rules. */
import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import { assemble } from '../../src/isa/index.js';
import { requestFromJson, VerifierError, type VerifyResult, verify } from '../../src/verifier/index.js';
import { UNPRIV_CASES } from './unpriv-cases.js';

const MAPS = [
  { type: 'array', key_size: 4, value_size: 16, max_entries: 2, name: 'arr' },
  { type: 'array', key_size: 4, value_size: 16, max_entries: 1, name: 'one' },
  { type: 'hash', key_size: 8, value_size: 16, max_entries: 4, name: 'hash' },
];

function judge(caps: readonly unknown[], type: string, text: string, more: object = {}): VerifyResult {
  const insns = Buffer.from(encodeInsns(assemble(text.replaceAll('; ', '\n')))).toString('hex');
  return verify(requestFromJson({ prog_type: type, insns, maps: MAPS, caps, ...more }, () => undefined));
}

describe('as Linux, with CAP_BPF', () => {
  test.each(UNPRIV_CASES)('%s (%s)', (_name, caps, type, text, linux) => {
    const [errno, message, processed, totalStates, peakStates, stackDepth] = linux;
    const result = judge(caps.split(','), type, text);
    expect(result).toMatchObject({ verdict: errno === 0 ? 'accept' : 'reject', errno, message, processed });
    expect(result).toMatchObject({ totalStates, peakStates });
    // what is refused before the verifier begins leaves no figures
    if (stackDepth !== '') expect(result.stackDepth).toBe(stackDepth);
  });
});

describe('without CAP_BPF', () => {
  const rows: readonly (readonly [
    what: string,
    type: string,
    text: string,
    errno: number,
    message: string,
  ])[] = [
    ['a socket filter', 'socket_filter', 'r0 = 0; exit', 0, ''],
    ['a filter of a control group', 'cgroup_skb', 'r0 = 1; exit', 0, ''],
    ['any other type', 'sk_reuseport', 'r0 = 0; exit', 1, ''],
    [
      'a loop',
      'socket_filter',
      'r0 = 0; b: r0 += 1; if r0 < 4 goto b; exit',
      22,
      'back-edge from insn 2 to 1',
    ],
    [
      'a function',
      'socket_filter',
      'call f; exit; f: r0 = 0; exit',
      1,
      'loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN',
    ],
    [
      'a spilled number is a number no more',
      'socket_filter',
      'r1 = map[fd:0]; r2 = r10; r2 += -8; *(u64 *)(r10 - 8) = 1; call 1; if r0 == 0 goto out; r2 = 4; *(u64 *)(r10 - 8) = r2; r2 = *(u64 *)(r10 - 8); r0 += r2; out: r0 = 0; exit',
      22,
      'math between map_value pointer and register with unbounded min value is not allowed',
    ],
    [
      'the packet of a filter of a control group',
      'cgroup_skb',
      'r0 = *(u32 *)(r1 + 76); exit',
      13,
      'invalid bpf_context access off=76 size=4',
    ],
  ];
  test.each(rows)('%s', (_what, type, text, errno, message) => {
    expect(judge([], type, text)).toMatchObject({ errno, message });
  });

  test('4,096 instructions and no more', () => {
    const body = (count: number): string => `${'r0 = 0; '.repeat(count - 1)}exit`;
    expect(judge([], 'socket_filter', body(4096)).verdict).toBe('accept');
    expect(judge([], 'socket_filter', body(4097))).toMatchObject({
      verdict: 'reject',
      errno: 7,
      message: '',
    });
    expect(judge(['bpf'], 'socket_filter', body(4097)).verdict).toBe('accept');
  });

  test('numbers print as precise, addresses of maps not at all', () => {
    const { log } = judge([], 'socket_filter', 'r1 = map[fd:0]; r0 = 3; exit', { log_level: 2 });
    expect(log).toContain('0: (18) r1 = 0x0 ');
    expect(log).toContain('; R0=P3\n');
  });
});

test('paths of wrong turns say so in the log', () => {
  const text = 'r0 = 1; if r0 == 1 goto out; r0 = r9; r0 = 2; out: exit';
  const { log, verdict } = judge(['bpf'], 'socket_filter', text, { log_level: 2 });
  expect(verdict).toBe('accept');
  expect(log).toContain('\nfrom 1 to 2 (speculative execution): R0=scalar() R1=ctx() R10=fp0\n');
  expect(log).toContain('2: (bf) r0 = r9\nR9 !read_ok\n');
  expect(judge(['bpf'], 'socket_filter', text, { log_level: 4 }).log).not.toContain('R9');
});

test('what only a wrong turn reaches is not reached', () => {
  const { reached } = judge(['bpf'], 'socket_filter', 'r0 = 1; if r0 == 1 goto out; r0 = 2; out: exit');
  expect([...reached]).toEqual([1, 1, 0, 1]);
});

test('capabilities that are none', () => {
  for (const caps of ['bpf', ['bpf', 'root'], [1], { bpf: true }]) {
    expect(() => judge(caps as readonly unknown[], 'socket_filter', 'r0 = 0; exit')).toThrow(VerifierError);
  }
});
