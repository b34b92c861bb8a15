import { describe, expect, test } from '@jest/globals';
import {
  ctxAccess,
  ctxRefusal,
  FULL_CONFIG,
  NO_CAPABILITIES,
  sockAccess,
} from '../../../src/verifier/env/index.js';
import {
  PTR_TO_BTF_ID,
  PTR_TO_PACKET,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  regTypeText,
  SCALAR_VALUE,
} from '../../../src/verifier/reg-type.js';
import { type ContextRow, readRanges, writeRanges } from './matrix.js';
import { progEnv, recordedEnvs, recording } from './support.js';

const FIRST_OFF = -16;
const LAST_OFF = 264;

describe('recorded on Linux 6.18', () => {
  test.each(recording<ContextRow>('context-6.18.jsonl'))(
    '$type $attachTypes',
    ({ accesses, pointers, ...row }) => {
      for (const env of recordedEnvs(row)) {
        const found: Record<string, string> = {};
        const types: Record<string, string> = {};
        for (const kind of ['read', 'write', 'sext'])
          for (const size of [1, 2, 4, 8]) {
            const offs: number[] = [];
            for (let off = FIRST_OFF; off < LAST_OFF; off++) {
              const field = ctxAccess(env, off, size, kind === 'write', kind === 'sext');
              if (field === undefined || (kind === 'sext' && size === 8)) continue;
              offs.push(off);
              if (field.regType !== SCALAR_VALUE)
                types[`${off}`] = regTypeText(field.regType) + (field.struct ?? '');
            }
            if (offs.length > 0) found[`${kind} ${size}`] = writeRanges(offs, size);
          }
        expect(found).toEqual(accesses);
        expect(types).toEqual(pointers);
      }
    },
  );

  test('ranges', () => {
    expect(writeRanges([0, 4, 8, 16], 4)).toBe('0..8 16');
    expect(readRanges('0..8 16', 4)).toEqual([0, 4, 8, 16]);
    expect(readRanges('')).toEqual([]);
  });
});

describe('a field', () => {
  // Whole loads of a field that may be narrowed record its size, too (`bpf_ctx_record_field_size`).
  test.each([
    ['sched_cls', undefined, 0, 1, 'len', 4],
    ['sched_cls', undefined, 0, 4, 'len', 4],
    ['sched_cls', undefined, 48, 8, 'cb', 0],
    ['sched_cls', undefined, 76, 4, 'data', 0],
    ['perf_event', undefined, 170, 2, 'sample_period', 8],
    ['perf_event', undefined, 8, 8, 'regs.r14', 0],
    ['cgroup_sock', 'cgroup_inet4_post_bind', 48, 4, 'dst_port', 4],
    ['cgroup_sock', 'cgroup_inet4_post_bind', 48, 1, 'dst_port', 2],
    ['cgroup_sock_addr', 'cgroup_inet6_bind', 8, 8, 'user_ip6', 4],
    ['sk_lookup', 'sk_lookup', 36, 4, 'remote_port', 0],
    ['sk_lookup', 'sk_lookup', 38, 2, 'padding', 2],
    ['sk_reuseport', 'sk_reuseport_select', 20, 2, 'eth_protocol', 4],
  ] as const)('%s %s +%i, %i bytes: %s, loaded as %i', (type, attachType, off, size, name, fieldSize) => {
    expect(ctxAccess(progEnv(type, attachType), off, size, false)).toMatchObject({ name, fieldSize });
  });

  test('writes leave no pointer', () => {
    expect(ctxAccess(progEnv('sched_cls'), 8, 4, true)).toEqual({
      name: 'mark',
      regType: SCALAR_VALUE,
      fieldSize: 0,
    });
  });

  test('packet pointers are not sign-extended', () => {
    expect(ctxAccess(progEnv('xdp'), 0, 4, false)?.regType).toBe(PTR_TO_PACKET);
    expect(ctxAccess(progEnv('xdp'), 0, 4, false, true)).toBeUndefined();
    expect(ctxAccess(progEnv('xdp'), 12, 4, false, true)).toBeDefined();
  });

  test('the packet of a cgroup program is for CAP_BPF', () => {
    const env = progEnv('cgroup_skb');
    expect(ctxAccess(env, 76, 4, false)).toBeDefined();
    expect(ctxAccess(env, 152, 8, true)).toBeDefined();
    const weak = { ...env, capabilities: NO_CAPABILITIES };
    expect(ctxAccess(weak, 76, 4, false)).toBeUndefined();
    expect(ctxAccess(weak, 152, 8, true)).toBeUndefined();
    expect(ctxAccess(weak, 152, 8, false)).toBeDefined();
  });

  test('kernel structures', () => {
    expect(ctxAccess(progEnv('netfilter', 'netfilter'), 8, 8, false)).toEqual({
      name: 'skb',
      regType: PTR_TO_BTF_ID | PTR_TRUSTED,
      fieldSize: 0,
      struct: 'sk_buff',
    });
    const iter = progEnv('tracing', 'trace_iter', { attach: { name: 'bpf_iter_task' } });
    expect(ctxAccess(iter, 8, 8, false)).toMatchObject({ btfSlot: 1 });
    expect(ctxAccess(iter, 9, 1, false)).toMatchObject({ btfSlot: 1 });
    expect(ctxAccess(iter, 96, 8, false)).toBeUndefined();
    expect(ctxAccess(iter, 8, 8, true)).toBeUndefined();
  });

  test('contexts without a layout', () => {
    const writable = progEnv('raw_tracepoint_writable');
    expect(ctxAccess(writable, 0, 8, false)?.regType).toBe(PTR_TO_TP_BUFFER);
    expect(ctxAccess(writable, 0, 4, false)).toBeUndefined();
    expect(ctxAccess(writable, 4, 4, false)?.regType).toBe(SCALAR_VALUE);
    const tracepoint = progEnv('tracepoint');
    expect(ctxAccess(tracepoint, 8184, 8, false)).toBeDefined();
    expect(ctxAccess(tracepoint, 8192, 8, false)).toBeUndefined();
    expect(ctxAccess(tracepoint, -8, 8, false)).toBeDefined();
    const syscall = progEnv('syscall', undefined, { sleepable: true });
    expect(ctxAccess(syscall, 65_528, 8, true)).toBeDefined();
    expect(ctxAccess(syscall, 65_535, 1, true)).toBeUndefined();
    const lirc = progEnv('lirc_mode2', undefined, { config: FULL_CONFIG });
    expect(ctxAccess(lirc, 0, 4, false)).toMatchObject({ name: 'sample' });
    expect(ctxAccess(lirc, 0, 2, false)).toBeUndefined();
    expect(ctxAccess(progEnv('ext'), 0, 4, false)).toBeUndefined();
  });

  test('the refusal', () => {
    expect(ctxRefusal(-8, 4)).toEqual({ errno: 13, message: 'invalid bpf_context access off=-8 size=4' });
  });
});

describe('sockets of the verifier', () => {
  test.each([
    [PTR_TO_SOCKET, 4, 1, 'family'],
    [PTR_TO_SOCKET, 5, 1, undefined],
    [PTR_TO_SOCKET, 16, 4, 'mark'],
    [PTR_TO_SOCKET, 16, 2, undefined],
    [PTR_TO_SOCKET, 50, 2, undefined],
    [PTR_TO_SOCKET, 80, 4, undefined],
    [PTR_TO_SOCK_COMMON, 4, 4, 'family'],
    [PTR_TO_SOCK_COMMON, 8, 4, undefined],
    [PTR_TO_SOCK_COMMON, 20, 4, undefined],
    [PTR_TO_SOCK_COMMON, 24, 4, 'src_ip4'],
    [PTR_TO_TCP_SOCK, 0, 4, 'snd_cwnd'],
    [PTR_TO_TCP_SOCK, 0, 2, undefined],
    [PTR_TO_TCP_SOCK, 80, 8, 'bytes_received'],
    [PTR_TO_TCP_SOCK, 80, 4, undefined],
    [PTR_TO_XDP_SOCK, 0, 4, 'queue_id'],
    [PTR_TO_XDP_SOCK, 4, 4, undefined],
    [SCALAR_VALUE, 0, 4, undefined],
  ])('type %i +%i, %i bytes: %s', (type, off, size, name) => {
    expect(sockAccess(type, off, size)?.name).toBe(name);
  });
});
