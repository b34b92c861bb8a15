/** Our programs on packets and contexts that nobody made: they check their bounds, so nothing may ever stop them. */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SyscallError } from '../../src/kernel/errors.js';
import { lab, traffic } from './support.js';

const RUNS = { numRuns: 150, seed: 618 };
const FRAMES = traffic().map(({ data }) => data);

/** Bytes at random, and real frames cut and overwritten in places. */
const packets = fc.oneof(
  fc.uint8Array({ minLength: 0, maxLength: 200 }),
  fc
    .tuple(
      fc.constantFrom(...FRAMES),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
      fc.integer({ min: 14, max: 200 }),
    )
    .map(([frame, changes, length]) => {
      const bytes = Uint8Array.from(frame.subarray(0, length));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
);

describe('packet programs', () => {
  test.each([
    ['xdp_counter', 'count_packets', [2]],
    ['xdp_firewall', 'firewall', [1, 2]],
    ['tc_conntrack', 'conntrack', [0, 2, -1]],
    ['socket_dns', 'dns_filter', [0, 256]],
    ['xdp_heavy_hitters', 'find_heavy_hitters', [2]],
    ['xdp_dispatch', 'dispatch', [1, 2, 3]],
  ])('%s', (object, program, verdicts) => {
    const loaded = lab(object);
    fc.assert(
      fc.property(packets, (dataIn) => {
        try {
          expect(verdicts).toContain(loaded.run(program, { dataIn }).retval | 0);
        } catch (error) {
          // Too short for an Ethernet header, or for its protocol's: no run, as on Linux.
          if (!(error instanceof SyscallError && error.code === 'EINVAL')) throw error;
        }
      }),
      RUNS,
    );
  });
});

describe('programs on events', () => {
  test.each([
    ['kprobe_latency', 'read_enter', 168],
    ['kprobe_latency', 'read_exit', 168],
    ['tp_syscalls', 'syscall_enter', 64],
    ['tp_syscalls', 'syscall_exit', 24],
    ['perf_profiler', 'profile', 184],
    ['tp_open_log', 'log_open', 64],
    ['cgroup_connect', 'connect_service', 72],
  ])('%s: %s', (object, program, size) => {
    const loaded = lab(object);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (ctxIn) => {
        expect([0, 1]).toContain(loaded.run(program, { ctxIn }).retval);
        loaded.drain();
      }),
      RUNS,
    );
  });
});
