import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../src/abi/attach-types.js';
import { HELPERS, helperId } from '../../src/abi/helpers.js';
import { MapType } from '../../src/abi/map-types.js';
import { ProgType } from '../../src/abi/prog-types.js';
import {
  attachTypeSince,
  compareVersions,
  FEATURE_SINCE,
  helperSince,
  type KernelVersion,
  mapTypeSince,
  progTypeSince,
} from '../../src/abi/verifier-since.js';

describe('since which Linux', () => {
  test.each([
    ['map_lookup_elem', '3.19'],
    ['probe_read', '4.1'],
    ['probe_write_user', '4.8'],
    ['xdp_adjust_tail', '4.18'],
    ['map_push_elem', '4.20'],
    ['send_signal', '5.3'],
    ['tcp_gen_syncookie', '5.4'],
    ['probe_read_kernel', '5.5'],
    ['jiffies64', '5.6'],
    ['sk_assign', '5.7'],
    ['ringbuf_output', '5.8'],
    ['get_task_stack', '5.9'],
    ['copy_from_user', '5.10'],
    ['for_each_map_elem', '5.13'],
    ['timer_init', '5.15'],
    ['loop', '5.17'],
    ['dynptr_data', '5.19'],
    ['ktime_get_tai_ns', '6.1'],
    ['cgrp_storage_delete', '6.2'],
  ])('helper %s: %s', (name, version) => {
    expect(helperSince(helperId(name)!)).toBe(version);
  });

  test('every helper has a release, none before the helper ahead of it', () => {
    let last: KernelVersion = '3.18';
    for (const { id } of HELPERS) {
      const since = helperSince(id)!;
      expect(compareVersions(since, last)).toBeGreaterThanOrEqual(0);
      last = since;
    }
    expect(helperSince(0)).toBeUndefined();
    expect(helperSince(212)).toBeUndefined();
  });

  test('every type of Linux 6.18 has a release, none after it', () => {
    const known: (readonly [number, KernelVersion | undefined])[] = [
      ...Object.values(ProgType).map((type) => [type, progTypeSince(type)] as const),
      ...Object.values(MapType).map((type) => [type, mapTypeSince(type)] as const),
    ].filter(([type]) => type !== 0);
    known.push(...Object.values(AttachType).map((type) => [type, attachTypeSince(type)] as const));
    for (const [type, since] of known) {
      expect([type, since]).not.toEqual([type, undefined]);
      expect(compareVersions(since!, '6.18')).toBeLessThan(0);
    }
    for (const since of Object.values(FEATURE_SINCE)) expect(compareVersions(since, '6.18')).toBeLessThan(0);
    expect([progTypeSince(0), mapTypeSince(0), progTypeSince(33), attachTypeSince(99)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test.each<[KernelVersion, KernelVersion, number]>([
    ['5.9', '5.10', -1],
    ['6.0', '5.19', 1],
    ['6.18', '6.18', 0],
  ])('%s and %s', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });
});
