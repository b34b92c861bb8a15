import { describe, expect, test } from '@jest/globals';
import { contextOf } from '../../src/abi/context/index.js';
import { type ContextLayout, fieldAt, offsetOf } from '../../src/abi/context/layout.js';
import { FLOW_KEYS, SK_BUFF } from '../../src/abi/context/skb.js';
import { XDP_MD } from '../../src/abi/context/xdp.js';
import { Errno, errnoName, errnoText } from '../../src/abi/errno.js';
import { HELPERS, helperById, helperId, helperText } from '../../src/abi/helpers.js';
import { MapFlag, mapFlagsText } from '../../src/abi/map-flags.js';
import { ProgType } from '../../src/abi/prog-types.js';
import { returnName } from '../../src/abi/return-names.js';

describe('helpers', () => {
  test('are 211, numbered without a gap', () => {
    expect(HELPERS.map((h) => h.id)).toEqual(Array.from({ length: 211 }, (_, i) => i + 1));
    expect(new Set(HELPERS.map((h) => h.name)).size).toBe(211);
  });

  test.each([
    [1, 'map_lookup_elem'],
    [12, 'tail_call'],
    [25, 'perf_event_output'],
    [113, 'probe_read_kernel'],
    [181, 'loop'],
    [211, 'cgrp_storage_delete'],
  ])('%i is %s', (id, name) => {
    expect(helperById(id)?.name).toBe(name);
    expect(helperId(name)).toBe(id);
    expect(helperId(`bpf_${name}`)).toBe(id);
    expect(helperText(id)).toBe(`bpf_${name}#${id}`);
  });

  test.each([0, 212, -1])('%i is unknown', (id) => {
    expect(helperById(id)).toBeUndefined();
    expect(helperText(id)).toBe(`unknown#${id}`);
  });
});

test.each([
  [Errno.EINVAL, 22, 'EINVAL', 'Invalid argument'],
  [-Errno.E2BIG, -7, 'E2BIG', 'Argument list too long'],
  [Errno.ENOTSUPP, 524, 'ENOTSUPP', 'Operation is not supported'],
])('errno %i', (errno, number, name, text) => {
  expect(errno).toBe(number);
  expect(errnoName(errno)).toBe(name);
  expect(errnoText(errno)).toBe(text);
});

test.each([
  [0, '0'],
  [MapFlag.BPF_F_NO_PREALLOC, 'BPF_F_NO_PREALLOC'],
  [MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_MMAPABLE, 'BPF_F_RDONLY_PROG | BPF_F_MMAPABLE'],
  [0x80000001, 'BPF_F_NO_PREALLOC | 0x80000000'],
])('map flags 0x%s', (flags, text) => {
  expect(mapFlagsText(flags)).toBe(text);
});

test.each([
  [ProgType.xdp, 2, 'XDP_PASS'],
  [ProgType.xdp, 5, undefined],
  [ProgType.sched_cls, 0xffffffff, 'TC_ACT_UNSPEC'],
  [ProgType.sched_cls, -1, 'TC_ACT_UNSPEC'],
  [ProgType.sk_msg, 1, 'SK_PASS'],
  [ProgType.kprobe, 0, undefined],
])('return value of type %i: %i', (type, value, name) => {
  expect(returnName(type, value)).toBe(name);
});

describe('contexts', () => {
  // Sizes are those of the structures in the BTF of Linux 6.18 on x86-64.
  test.each<[keyof typeof ProgType, string, number]>([
    ['xdp', 'xdp_md', 24],
    ['sched_cls', '__sk_buff', 192],
    ['kprobe', 'pt_regs', 168],
    ['perf_event', 'bpf_perf_event_data', 184],
    ['sk_msg', 'sk_msg_md', 80],
    ['sock_ops', 'bpf_sock_ops', 224],
    ['cgroup_sock_addr', 'bpf_sock_addr', 72],
    ['cgroup_sockopt', 'bpf_sockopt', 40],
    ['cgroup_sysctl', 'bpf_sysctl', 8],
    ['cgroup_device', 'bpf_cgroup_dev_ctx', 12],
    ['sk_reuseport', 'sk_reuseport_md', 56],
    ['sk_lookup', 'bpf_sk_lookup', 72],
    ['lirc_mode2', 'lirc_mode2_sample', 4],
    ['netfilter', 'bpf_nf_ctx', 16],
  ])('%s: %s, %i bytes', (type, name, size) => {
    const context = contextOf(ProgType[type]) as ContextLayout;
    expect([context.name, context.size]).toEqual([name, size]);
  });

  test('fields lie inside their structure, naturally aligned', () => {
    for (const type of Object.values(ProgType)) {
      for (const field of contextOf(type)?.fields ?? []) {
        expect(field.offset % field.size).toBe(0);
        expect(field.offset + field.size * field.count).toBeLessThanOrEqual(contextOf(type)!.size);
      }
    }
  });

  test('look-ups by name and by offset', () => {
    expect(offsetOf(XDP_MD, 'data_end')).toBe(4);
    expect(fieldAt(SK_BUFF, 50)?.name).toBe('cb');
    expect(fieldAt(SK_BUFF, 181)).toBeUndefined();
    expect(fieldAt(FLOW_KEYS, 16)?.name).toBe('ipv4_src');
    expect(() => offsetOf(XDP_MD, 'len')).toThrow('xdp_md has no field len');
  });

  test('types that take the shape of their attach point have no context of their own', () => {
    expect(contextOf(ProgType.syscall)).toBeUndefined();
    expect(contextOf(ProgType.tracepoint)).toBeUndefined();
  });
});
