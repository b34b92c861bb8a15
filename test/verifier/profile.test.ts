/**
 * Profiles: which there are, the preallocation rule by release and PREEMPT_RT, what older releases lack, and where the
 * answer is honestly unknown.
 */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../src/abi/attach-types.js';
import { MapFlag } from '../../src/abi/map-flags.js';
import { MapType } from '../../src/abi/map-types.js';
import { ProgFlag } from '../../src/abi/prog-flags.js';
import { ProgType } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/asm/index.js';
import {
  profileByName,
  profileNames,
  type VerifyMap,
  type VerifyRequest,
  verify,
  verifyFor,
  withPreemptRt,
} from '../../src/verifier/index.js';

const map = (type: number, mapFlags = 0, extra: Partial<VerifyMap> = {}): VerifyMap => ({
  name: 'm',
  type,
  keySize: 4,
  valueSize: 8,
  maxEntries: 8,
  mapFlags,
  ...extra,
});

const ALLOCATING = map(MapType.hash, MapFlag.BPF_F_NO_PREALLOC);
const PREALLOCATED = map(MapType.hash);

const LOOKUP = assemble(`
  *(u64 *)(r10 - 8) = 0
  r2 = r10
  r2 += -8
  r1 = map[fd:0]
  call 1
  if r0 == 0 goto out
  r1 = *(u64 *)(r0 + 0)
out:
  r0 = 0
  exit
`);

const tracing = (named: VerifyMap, progType: number = ProgType.kprobe): VerifyRequest => ({
  insns: LOOKUP,
  progType,
  license: 'GPL',
  maps: [named],
});

const plain = (text: string, extra: Partial<VerifyRequest> = {}): VerifyRequest => ({
  insns: assemble(text),
  progType: ProgType.kprobe,
  license: 'GPL',
  ...extra,
});

const judge = (profile: string, request: VerifyRequest) => verifyFor(profileByName(profile), request);

const TRACE_TYPE = 'trace type programs can only use preallocated hash map';
const PERF_EVENT = 'perf_event programs can only use preallocated hash map';
const PERF_EVENT_INNER = 'perf_event programs can only use preallocated inner hash map';
const WARNING =
  'trace type programs with run-time allocated hash maps are unsafe. Switch to preallocated hash maps.';

describe('names', () => {
  test('the default comes first, releases after it', () => {
    expect(profileNames()[0]).toBe('rt');
    expect(profileNames()).toEqual(
      expect.arrayContaining([
        '5.6',
        '5.7',
        '5.7-rt',
        '5.15',
        '6.1',
        '6.1-rt',
        '6.6',
        '6.12-rt',
        '6.18',
        '6.18-rt',
      ]),
    );
  });

  test.each(['', '7.0', '5.7-RT', '__proto__', 'toString'])('%j names none', (name) => {
    expect(() => profileByName(name)).toThrow(/names no kernel profile; there are: rt, /);
  });

  const pairs: readonly (readonly [from: string, rt: boolean, to: string])[] = [
    ['rt', false, '6.18'],
    ['rt', true, 'rt'],
    ['6.18', true, '6.18-rt'],
    ['5.7-rt', false, '5.7'],
    ['5.7', true, '5.7-rt'],
  ];
  test.each(pairs)('%s with rt %s is %s', (from, rt, to) => {
    expect(withPreemptRt(profileByName(from), rt).name).toBe(to);
  });

  test('no PREEMPT_RT beside 5.6', () => {
    expect(() => withPreemptRt(profileByName('5.6'), true)).toThrow(/5\.6-rt/);
  });
});

describe('hash maps that allocate at run time', () => {
  const inner = map(MapType.array_of_maps, 0, { valueSize: 4, inner: ALLOCATING });
  const { kprobe, perf_event, tracepoint, raw_tracepoint, socket_filter } = ProgType;
  const percpu = map(MapType.percpu_hash, MapFlag.BPF_F_NO_PREALLOC);
  type Row = readonly [
    profile: string,
    type: number,
    named: VerifyMap,
    verdict: string,
    message: string,
    warned: boolean,
  ];
  const rows: readonly Row[] = [
    ['rt', kprobe, ALLOCATING, 'reject', TRACE_TYPE, false],
    ['rt', tracepoint, ALLOCATING, 'reject', TRACE_TYPE, false],
    ['rt', raw_tracepoint, percpu, 'reject', TRACE_TYPE, false],
    ['rt', perf_event, ALLOCATING, 'reject', TRACE_TYPE, false],
    ['rt', ProgType.raw_tracepoint_writable, ALLOCATING, 'reject', TRACE_TYPE, false],
    ['rt', kprobe, PREALLOCATED, 'accept', '', false],
    ['rt', socket_filter, ALLOCATING, 'accept', '', false],
    ['5.6', kprobe, ALLOCATING, 'accept', '', false],
    ['5.6', perf_event, ALLOCATING, 'reject', PERF_EVENT, false],
    ['5.7', kprobe, ALLOCATING, 'accept', '', true],
    ['5.7', perf_event, ALLOCATING, 'reject', PERF_EVENT, false],
    ['5.7-rt', kprobe, ALLOCATING, 'reject', TRACE_TYPE, false],
    ['5.7-rt', perf_event, ALLOCATING, 'reject', PERF_EVENT, false],
    ['5.15', tracepoint, percpu, 'accept', '', true],
    ['5.15-rt', tracepoint, percpu, 'reject', TRACE_TYPE, false],
    ['5.7', socket_filter, ALLOCATING, 'accept', '', false],
    ['6.1', kprobe, ALLOCATING, 'accept', '', false],
    ['6.1-rt', kprobe, ALLOCATING, 'accept', '', false],
    ['6.18', perf_event, ALLOCATING, 'accept', '', false],
    ['6.18-rt', kprobe, ALLOCATING, 'accept', '', false],
  ];
  test.each(rows)('%s, type %i', (profile, type, named, verdict, message, warned) => {
    const result = judge(profile, tracing(named, type));
    expect(result).toMatchObject({ profile, verdict, message, errno: verdict === 'reject' ? 22 : 0 });
    expect(result.warnings).toEqual(warned ? [WARNING] : []);
    // the slot that names the map
    expect(result.insn).toBe(verdict === 'reject' ? 3 : undefined);
  });

  test('inner maps: a message of their own up to 5.6, that of the outer one after', () => {
    expect(judge('5.6', tracing(inner, perf_event)).message).toBe(PERF_EVENT_INNER);
    expect(judge('5.7', tracing(inner, perf_event)).message).toBe(PERF_EVENT);
    expect(judge('5.7-rt', tracing(inner)).message).toBe(TRACE_TYPE);
    expect(judge('rt', tracing(inner)).message).toBe(TRACE_TYPE);
    expect(judge('5.7', tracing(inner)).warnings).toEqual([WARNING]);
  });

  test('LPM tries, which always allocate, only the default refuses', () => {
    const trie = map(MapType.lpm_trie, MapFlag.BPF_F_NO_PREALLOC, { keySize: 8 });
    expect(judge('rt', tracing(trie))).toMatchObject({ verdict: 'reject', errno: 22, insn: 3 });
    expect(judge('rt', tracing(trie)).message).toMatch(/LPM trie/);
    expect(judge('5.7-rt', tracing(trie)).verdict).not.toBe('reject');
    expect(judge('6.18', tracing(trie)).message).not.toMatch(/trie/);
  });
});

describe('6.18', () => {
  test.each(['6.18', '6.18-rt'])('%s is what verify says', (profile) => {
    const request = tracing(ALLOCATING);
    expect(judge(profile, request)).toEqual({ ...verify(request), profile, warnings: [] });
  });
});

describe('what an older release lacks', () => {
  const exit = 'r0 = 0\nexit';
  const rows: readonly (readonly [profile: string, request: VerifyRequest, message: string])[] = [
    ['5.7', plain(`call 158\n${exit}`), 'Linux 5.7 has no helper bpf_get_current_task_btf#158 (since 5.11)'],
    ['4.19', plain(`if w0 == 0 goto +0\n${exit}`), 'Linux 4.19 has no 32-bit jumps (-mcpu=v3) (since 5.1)'],
    ['5.15', plain(`r1 = 1\nr1 s/= 2\n${exit}`), 'Linux 5.15 has no instructions of -mcpu=v4 (since 6.6)'],
    [
      '5.6',
      plain(exit, { progType: ProgType.lsm, expectedAttachType: AttachType.lsm_mac }),
      'Linux 5.6 has no program type lsm (since 5.7)',
    ],
    [
      '5.7',
      plain(exit, {
        progType: ProgType.cgroup_sock_addr,
        expectedAttachType: AttachType.cgroup_inet4_getpeername,
      }),
      'Linux 5.7 has no attach type cgroup_inet4_getpeername (since 5.8)',
    ],
    [
      '5.7',
      tracing(map(MapType.ringbuf, 0, { keySize: 0, valueSize: 0, maxEntries: 4096 })),
      'Linux 5.7 has no map type ringbuf (since 5.8)',
    ],
    [
      '5.7',
      plain(exit, { progFlags: ProgFlag.BPF_F_SLEEPABLE }),
      'Linux 5.7 has no sleepable programs (since 5.10)',
    ],
  ];
  test.each(rows)('%s: %#', (profile, request, message) => {
    expect(judge(profile, request)).toMatchObject({ verdict: 'reject', errno: 22, message });
  });

  test('a helper that no path reaches is no reason to reject, nor one to accept', () => {
    const request = plain('r1 = 1\nif r1 == 1 goto out\ncall 158\nout:\nr0 = 0\nexit');
    expect(judge('6.18', request).verdict).toBe('accept');
    expect(judge('5.7', request)).toMatchObject({ verdict: 'unknown', errno: 0 });
    expect(judge('5.7', request).message).toMatch(
      /^not known for Linux 5\.7: .*bpf_get_current_task_btf#158/,
    );
  });
});

describe('verdicts of older releases', () => {
  test('plain programs are accepted, and rules that always were refuse', () => {
    expect(judge('5.15', tracing(PREALLOCATED)).verdict).toBe('accept');
    expect(judge('5.15', plain('r0 = r2\nexit'))).toMatchObject({
      verdict: 'reject',
      errno: 13,
      message: 'R2 !read_ok',
    });
    const unchecked = plain(
      'r2 = r10\nr2 += -4\n*(u32 *)(r10 - 4) = 0\nr1 = map[fd:0]\ncall 1\nr0 = *(u64 *)(r0 + 0)\nexit',
      {
        maps: [PREALLOCATED],
      },
    );
    expect(judge('5.4', unchecked)).toMatchObject({ verdict: 'reject', errno: 13 });
  });

  const doubts: readonly (readonly [what: RegExp, request: VerifyRequest])[] = [
    [/insn 2 jumps back/, plain('r1 = 3\nagain:\nr1 += -1\nif r1 != 0 goto again\nr0 = 0\nexit')],
    [/not recorded release by release/, plain('r0 = 1\nexit', { progType: ProgType.cgroup_skb })],
    [/stack that may not be written/, plain('r0 = *(u64 *)(r10 - 8)\nr0 = 0\nexit')],
    [
      /stack that may not be written as argument 2 of bpf_map_lookup_elem/,
      plain('r2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall 1\nr0 = 0\nexit', { maps: [PREALLOCATED] }),
    ],
    [
      /a part of the context that came later/,
      plain('r0 = *(u64 *)(r1 + 152)\nr0 = 0\nexit', { progType: ProgType.sched_cls }),
    ],
    [/writes to the context/, plain('r0 = 0\n*(u32 *)(r1 + 8) = r0\nexit', { progType: ProgType.sched_cls })],
    [
      /adds a register/,
      plain(
        'r2 = *(u32 *)(r1 + 0)\nr2 &= 7\nr3 = r10\nr3 += -16\nr3 += r2\n*(u8 *)(r3 + 0) = 0\nr0 = 0\nexit',
      ),
    ],
    [/calls a function/, plain('call f\nexit\nf:\nr0 = 0\nexit')],
  ];
  test.each(doubts)('unknown: %s', (what, request) => {
    expect(judge('6.18', request).verdict).toBe('accept');
    const result = judge('5.15', request);
    expect(result.verdict).toBe('unknown');
    expect(result.message).toMatch(what);
  });

  test('a refusal by a rule of unknown age is unknown, too', () => {
    const odd = plain('r1 = 0\ncall 12\nr0 = 0\nexit');
    expect(judge('6.18', odd).verdict).toBe('reject');
    expect(judge('5.15', odd)).toMatchObject({ verdict: 'unknown', errno: 0 });
  });

  test('unsupported stays unsupported', () => {
    const request = plain('call f\nexit\nf:\nr0 = 0\nexit');
    const call = { ...request.insns[0]!, src: 2, imm: 1 };
    const kfunc = { ...request, insns: [call, request.insns[1]!] };
    expect(judge('6.18', kfunc).verdict).toBe('unsupported');
    expect(judge('5.15', kfunc).verdict).toBe('unsupported');
  });

  test('who lacks capabilities is answered for 6.18 only', () => {
    const harmless = plain('r0 = 0\nexit', { privileged: false, progType: ProgType.socket_filter });
    expect(judge('6.18', harmless).verdict).toBe('accept');
    expect(judge('5.15', harmless)).toMatchObject({
      verdict: 'unknown',
      message: expect.stringContaining('lacks capabilities'),
    });
  });
});
