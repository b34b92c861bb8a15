/** Verdicts, counts and logs of the verifier, on small programs whose answers were recorded from Linux. */
import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import { assemble, assembleProgram } from '../../src/isa/index.js';
import { requestFromJson, type VerifyPolicy, type VerifyResult, verify } from '../../src/verifier/index.js';
import { CASES } from './cases.js';

const MAPS = [
  { type: 'array', key_size: 4, value_size: 16, max_entries: 2, name: 'arr' },
  { type: 'array', key_size: 4, value_size: 16, max_entries: 1, name: 'one' },
  { type: 'hash', key_size: 8, value_size: 16, max_entries: 4, name: 'hash' },
];

function judge(type: string, text: string, more: object = {}, policy: VerifyPolicy = {}): VerifyResult {
  const insns = Buffer.from(encodeInsns(assemble(text.replaceAll('; ', '\n')))).toString('hex');
  return verify(requestFromJson({ prog_type: type, insns, maps: MAPS, ...more }, () => undefined, policy));
}

describe('as Linux', () => {
  test.each(CASES)('%s (%s)', (_name, type, text, [errno, message, processed, total, peak, stack]) => {
    expect(judge(type, text)).toMatchObject({
      verdict: errno === 0 ? 'accept' : 'reject',
      errno,
      message,
      processed,
      totalStates: total,
      peakStates: peak,
      stackDepth: stack,
    });
  });

  test('the same request gives the same answer', () => {
    const [, type, text] = CASES.at(-1)!;
    expect(judge(type, text, { log_level: 7 })).toEqual(judge(type, text, { log_level: 7 }));
  });
});

describe('limits', () => {
  test('a loop that is simulated a million times', () => {
    const { errno, message } = judge(
      'socket_filter',
      'r0 = 0; back: r0 += 1; if r0 < 2000000 goto back; exit',
    );
    expect([errno, message]).toEqual([7, 'BPF program is too large. Processed 1000001 insn']);
  });

  test('many paths that meet in the same state', () => {
    const paths = Array.from({ length: 60 }, (_, i) => `if r1 == ${i} goto l${i}\nl${i}: r2 = 0`).join('\n');
    const { verdict, processed } = judge('socket_filter', `r1 = *(u32 *)(r1 + 0)\n${paths}\nr0 = 0\nexit`);
    expect(verdict).toBe('accept');
    expect(processed).toBeLessThan(5000);
  });
});

describe('log', () => {
  const PROGRAM = 'r0 = *(u32 *)(r1 + 0); if r0 > 7 goto out; r0 = r9; out: exit';

  test('level 0 says nothing', () => {
    expect(judge('socket_filter', PROGRAM).log).toBe('');
  });

  test('level 1: instructions of the path that failed, registers that changed', () => {
    expect(judge('socket_filter', PROGRAM, { log_level: 1 }).log).toBe(
      `0: R1=ctx() R10=fp0
0: (61) r0 = *(u32 *)(r1 +0)          ; R0=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R1=ctx()
1: (25) if r0 > 0x7 goto pc+1         ; R0=scalar(smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
2: (bf) r0 = r9
R9 !read_ok
processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    );
  });

  test('level 2 also shows live registers and the paths that ended well', () => {
    const { log } = judge('socket_filter', 'r0 = *(u32 *)(r1 + 0); if r0 > 7 goto out; r0 = 1; out: exit', {
      log_level: 2,
    });
    expect(log).toContain('Live regs before insn:\n      0: .1........ (61) r0 = *(u32 *)(r1 +0)\n');
    expect(log).toContain('\nfrom 1 to 3: R0=scalar(smin=umin=umin32=8,');
  });

  test('level 4: figures only', () => {
    expect(judge('socket_filter', 'r0 = 0; exit', { log_level: 4 }).log).toBe(
      `stack depth 0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    );
  });

  test('source lines stand above their instructions', () => {
    const insns = assembleProgram('r0 = 1\nexit').insns;
    const lineInfo = [{ insnOff: 0, file: 'a.c', text: '  return 1;', line: 3, column: 3 }];
    const { log } = verify({ insns, progType: 1, lineInfo, logLevel: 2 });
    expect(log).toContain('\n; return 1; @ a.c:3\n0: (b7) r0 = 1');
  });
});

describe('policy', () => {
  const LOOKUP = 'r1 = 1; *(u64 *)(r10 - 8) = r1; r2 = r10; r2 += -8; r1 = map[fd:0]; call 1; r0 = 0; exit';
  const allocating = { maps: [{ type: 'hash', key_size: 8, value_size: 8, max_entries: 4, map_flags: 1 }] };

  test.each<[string, VerifyPolicy, string]>([
    ['kprobe', {}, ''],
    ['kprobe', { prealloc: 'rt' }, 'trace type programs can only use preallocated hash map'],
    ['kprobe', { prealloc: 'refuse' }, 'trace type programs can only use preallocated hash map'],
    ['perf_event', { prealloc: 'perf_event' }, 'perf_event programs can only use preallocated hash map'],
    ['xdp', { prealloc: 'rt' }, ''],
  ])('%s %j', (type, policy, message) => {
    expect(judge(type, LOOKUP, allocating, policy)).toMatchObject({
      verdict: message === '' ? 'accept' : 'reject',
      errno: message === '' ? 0 : 22,
      message,
    });
  });
});

describe('what is not judged is named', () => {
  test.each([
    [
      'tracing',
      'r0 = 0; exit',
      { expected_attach_type: 24, attach_btf_id: 7 },
      "program attached by BTF id without the kernel's types",
    ],
    ['socket_filter', 'call_kfunc 5; exit', {}, "kernel function call without the kernel's types"],
  ])('%s %s', (type, text, more, message) => {
    const source = text.replace('call_kfunc 5', 'call kfunc#5');
    expect(judge(type, source, more)).toMatchObject({ verdict: 'unsupported', errno: 0, message });
  });
});

describe('requests', () => {
  test.each([
    [null, 'a request is no object'],
    [{ prog_type: 'nothing' }, '"prog_type" names no program type'],
    [{ prog_type: 'xdp', insns: 'zz' }, '"insns" is no hex'],
    [{ prog_type: 'xdp', maps: 5 }, '"maps" is no list'],
    [{ prog_type: 'xdp', maps: [{ type: 'array', inner: 3 }] }, 'a map\'s "inner" names no earlier map'],
    [{ prog_type: 'xdp', insns: '', log_level: 'much' }, '"log_level" is no whole number'],
  ])('%j', (json, detail) => {
    expect(() => requestFromJson(json, () => undefined)).toThrow(detail);
  });
});
