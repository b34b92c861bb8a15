/** What programs leave to be done later: timers, work queues. */
import { describe, expect, test } from '@jest/globals';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { kernelProfile } from '../../src/kernel/profile.js';
import { u32, u64 } from '../programs/support.js';
import { Id, kernelWith, load, makeMap, PROGRAM_BTF } from './helpers-support.js';

const PACKET = Uint8Array.from({ length: 64 }, (_, i) => i);
const SECOND = 1_000_000_000;

const timed = (kernel: Kernel, id: number = Id.TIMED) =>
  makeMap(kernel, 'array', { valueSize: 24, btf: PROGRAM_BTF, btfKeyTypeId: Id.INT, btfValueTypeId: id });

const lookup =
  'r1 = 1\n*(u32 *)(r10 - 4) = r1\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr6 = r0\n';
const field = 'r1 = r6\nr1 += 8\n';
/** Adds the key and 16 to the value's count. */
const callback = `
callback:
  r4 = *(u32 *)(r2 + 0)
  r4 += 16
  r5 = *(u64 *)(r3 + 0)
  r5 += r4
  *(u64 *)(r3 + 0) = r5
  r0 = 0
  exit`;
const init = `${field}r2 = map[fd:0]\nr3 = 1\ncall bpf_timer_init\n`;
const setCallback = `${field}r2 = subprog[callback]\ncall bpf_timer_set_callback\n`;
const start = (ns: number, flags = 0) => `${field}r2 = ${ns} ll\nr3 = ${flags}\ncall bpf_timer_start\n`;

function run(kernel: Kernel, body: string, map = timed(kernel)) {
  const prog = load(kernel, 'sched_cls', `${lookup}${body}exit${callback}`, { maps: [map] });
  const { r0 } = testRun(kernel, prog, { dataIn: PACKET });
  return { r0: Number(BigInt.asIntN(64, r0)), map };
}

const count = (kernel: Kernel, map: ReturnType<typeof timed>): number => {
  const value = kernel.bpf.mapLookup(map, u32(1));
  return typeof value === 'number'
    ? value
    : Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
};

describe('bpf_timer', () => {
  test('runs its function when it is due, and not before', () => {
    const kernel = new Kernel();
    const { r0, map } = run(kernel, `${init}${setCallback}${start(2 * SECOND)}`);
    expect(r0).toBe(0);
    kernel.runFor(SECOND);
    expect(count(kernel, map)).toBe(0);
    kernel.runFor(2 * SECOND);
    expect(count(kernel, map)).toBe(17);
    kernel.runFor(5 * SECOND);
    expect(count(kernel, map)).toBe(17);
  });

  test('a timer that is cancelled does not run', () => {
    const kernel = new Kernel();
    const { r0, map } = run(kernel, `${init}${setCallback}${start(SECOND)}${field}call bpf_timer_cancel\n`);
    expect(r0).toBe(1);
    kernel.runFor(3 * SECOND);
    expect(count(kernel, map)).toBe(0);
  });

  test('PREEMPT_RT refuses it in the kernels that have the ban', () => {
    const loaded = (profile: string, knobs = {}) => {
      const kernel = new Kernel({ profile: kernelProfile(profile, knobs), verify: 'enforce' });
      const asm = `${lookup}if r6 == 0 goto out\n${init}out:\nr0 = 0\nexit`;
      return () => load(kernel, 'sched_cls', asm, { maps: [timed(kernel)] });
    };
    expect(loaded('6.1-rt')).not.toThrow();
    expect(loaded('6.12')).not.toThrow();
    expect(loaded('6.12-rt')).toThrow(/bpf_timer cannot be used for PREEMPT_RT/);
    expect(loaded('6.18-rt')).toThrow(/bpf_timer cannot be used for PREEMPT_RT/);
    expect(loaded('6.18-rt', { timerBan: false })).not.toThrow();
  });

  test('it goes with the value that holds it', () => {
    const kernel = new Kernel();
    const { map } = run(kernel, `${init}${setCallback}${start(SECOND)}`);
    expect(kernel.bpf.mapUpdate(map, u32(1), new Uint8Array(24))).toBe(0);
    kernel.runFor(3 * SECOND);
    expect(count(kernel, map)).toBe(0);
  });

  test.each<[string, string, number]>([
    ['init twice', `${init}${init}`, -16],
    ['init with an unknown clock', `${field}r2 = map[fd:0]\nr3 = 2\ncall bpf_timer_init\n`, -22],
    ['set_callback before init', setCallback, -22],
    ['start without a callback', `${init}${start(5)}`, -22],
    ['start with unknown flags', `${init}${setCallback}${start(5, 4)}`, -22],
    ['cancel before init', `${field}call bpf_timer_cancel\n`, -22],
    ['cancel without start', `${init}${setCallback}${field}call bpf_timer_cancel\n`, 0],
  ])('%s', (_, body, errno) => {
    expect(run(new Kernel(), body).r0).toBe(errno);
  });
});

describe('bpf_wq', () => {
  const names = ['bpf_wq_init', 'bpf_wq_set_callback_impl', 'bpf_wq_start'];

  test('work runs in a thread of the kernel', () => {
    const { kernel, kfunc } = kernelWith(names);
    const body = `${field}r2 = map[fd:0]\nr3 = 0\n${kfunc('bpf_wq_init')}\n${field}r2 = subprog[callback]\nr3 = 0\nr4 = 0\n${kfunc('bpf_wq_set_callback_impl')}\n${field}r2 = 0\n${kfunc('bpf_wq_start')}\n`;
    const { r0, map } = run(kernel, body, timed(kernel, Id.WORK));
    expect(r0).toBe(0);
    expect(count(kernel, map)).toBe(0);
    kernel.runFor(SECOND);
    expect(count(kernel, map)).toBe(17);
  });

  test('flags are refused', () => {
    const { kernel, kfunc } = kernelWith(names);
    const body = `${field}r2 = map[fd:0]\nr3 = 1\n${kfunc('bpf_wq_init')}\n`;
    expect(run(kernel, body, timed(kernel, Id.WORK)).r0).toBe(-22);
  });
});

test('a lock that is taken twice is a fault', () => {
  const kernel = new Kernel();
  const map = makeMap(kernel, 'array', {
    valueSize: 16,
    btf: PROGRAM_BTF,
    btfKeyTypeId: Id.INT,
    btfValueTypeId: Id.LOCKED,
  });
  const lock = `${field}call bpf_spin_lock\n`;
  const once = load(
    kernel,
    'sched_cls',
    `${lookup}${lock}r1 = 5\n*(u64 *)(r6 + 0) = r1\n${field}call bpf_spin_unlock\nr0 = 0\nexit`,
    { maps: [map] },
  );
  expect(testRun(kernel, once, { dataIn: PACKET }).retval).toBe(0);
  expect(kernel.bpf.mapLookup(map, u32(1))).toEqual(Uint8Array.from([...u64(5n), ...new Uint8Array(8)]));
  const twice = load(kernel, 'sched_cls', `${lookup}${lock}${lock}r0 = 0\nexit`, { maps: [map] });
  expect(() => testRun(kernel, twice, { dataIn: PACKET })).toThrow(
    expect.objectContaining({ code: 'FAULT_HELPER_FAULT' }),
  );
});
