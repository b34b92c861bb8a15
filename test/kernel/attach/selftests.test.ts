/**
 * What Linux's own self-tests of maps under probes ask (tools/testing/selftests/bpf/prog_tests: lru_bug, htab_update,
 * ringbuf, queue_stack_map): the same questions, other programs.
 */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { MapType } from '../../../src/abi/map-types.js';
import { Btf } from '../../../src/object/btf/btf.js';
import { Types } from '../../support/btf-object.js';
import { kernelOf, load, mapOf } from './support.js';

const FENTRY = { attachType: AttachType.trace_fentry };
const key = (map: number): string => `*(u32 *)(r10 - 4) = 0\nr1 = map[fd:${map}]\nr2 = r10\nr2 += -4\n`;
const update = (map: number): string =>
  `*(u64 *)(r10 - 16) = 0\n${key(map)}r3 = r10\nr3 += -16\nr4 = 0\ncall bpf_map_update_elem\n`;

describe('lru_bug', () => {
  /** A map of one element whose value holds a pointer to a task. */
  const pointerMap = (kernel: ReturnType<typeof kernelOf>) => {
    const types = new Types();
    const int = types.intId;
    const task = types.add({ kind: 'struct', name: 'task_struct', size: 4, kindFlag: false, members: [] });
    const tag = types.add({ kind: 'type_tag', name: 'kptr_untrusted', type: task, attribute: false });
    const value = types.struct('val', [['ptr', types.ptr(tag), 8]]);
    return kernel.bpf.mapCreate({
      name: 'lru_map',
      type: MapType.lru_hash,
      keySize: 4,
      valueSize: 8,
      maxEntries: 1,
      mapFlags: 0,
      mapExtra: 0n,
      btf: Btf.parse(types.bytes()),
      btfKeyTypeId: int,
      btfValueTypeId: value,
    });
  };
  /** Keeps the element, deletes it, writes its pointer, asks the time: the answer is whether the pointer is gone. */
  const outer = `
    ${update(0)}
    ${key(0)}
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r6 = r0
    ${key(0)}
    call bpf_map_delete_elem
    r1 = 4660
    *(u64 *)(r6 + 0) = r1
    call bpf_ktime_get_ns
    r0 = 1
    r1 = *(u64 *)(r6 + 0)
    if r1 == 0 goto +1
    r0 = 0
    exit
none:
    r0 = 7
    exit`;

  test.each([
    ['6.1', false],
    ['6.18', false],
    ['6.18', true],
    ['6.18-rt', true],
  ])(
    'an update from within bpf_ktime_get_ns takes the element up without clearing its pointer (%s, interleaved: %s)',
    (profile, interleaved) => {
      const kernel = kernelOf(profile, { interleaved });
      const map = pointerMap(kernel);
      const nested = load(kernel, 'tracing', `${update(0)}r0 = 0\nexit`, { ...FENTRY, maps: [map] });
      kernel.attach(nested, 'function:bpf_ktime_get_ns');
      const prog = load(kernel, 'raw_tracepoint', outer, { maps: [map] });
      expect(kernel.bpf.testRun(prog, {}).retval).toBe(0);
      expect(nested.stats.runs).toBe(1);
      expect(kernel.splats).toEqual([]);
    },
  );
});

describe('htab_update: concurrent_update', () => {
  test.each(['5.15', '6.1', '6.18', '6.18-rt'])(
    'tasks of one CPU never get in each other’s way (%s)',
    (profile) => {
      const kernel = kernelOf(profile, { cpus: 2, interleaved: true });
      const map = mapOf(kernel, 'hash', { maxEntries: 1 });
      const errors: number[] = [];
      let updates = 0;
      for (let pid = 3000; pid < 3004; pid++) {
        kernel.sched.spawn(kernel.newTask({ pid, comm: 'update', affinity: [0] }).attr, function* () {
          for (let i = 0; i < 100; i++, updates++) {
            const result = yield* kernel.bpf.mapUpdateFlow(map, new Uint8Array(4), new Uint8Array(8));
            if (result !== 0) errors.push(result);
          }
        });
      }
      kernel.executor.settle();
      expect([updates, errors]).toEqual([400, []]);
    },
  );
});

describe('a helper inside itself', () => {
  test.each([
    ['queue', 'map_push_elem', `*(u64 *)(r10 - 16) = 5\nr1 = map[fd:0]\nr2 = r10\nr2 += -16\nr3 = 0\n`],
    ['stack', 'map_push_elem', `*(u64 *)(r10 - 16) = 5\nr1 = map[fd:0]\nr2 = r10\nr2 += -16\nr3 = 0\n`],
    [
      'ringbuf',
      'ringbuf_output',
      `*(u64 *)(r10 - 16) = 5\nr1 = map[fd:0]\nr2 = r10\nr2 += -16\nr3 = 8\nr4 = 0\n`,
    ],
  ] as const)('%s: the probe on bpf_%s does it once more, and no more', (type, helper, args) => {
    const kernel = kernelOf();
    const sizes = type === 'ringbuf' ? { valueSize: 0, maxEntries: 4096 } : { maxEntries: 8 };
    const map = mapOf(kernel, type, { keySize: 0, ...sizes });
    const call = `${args}call bpf_${helper}\n`;
    const nested = load(kernel, 'tracing', `${call}r0 = 0\nexit`, { ...FENTRY, maps: [map] });
    kernel.attach(nested, `function:bpf_${helper}`);
    const prog = load(kernel, 'raw_tracepoint', `${call}exit`, { maps: [map] });
    expect(kernel.bpf.testRun(prog, {}).retval).toBe(0);
    // The nested call meets the probe again, and the program's own guard keeps it out.
    expect(nested.stats).toMatchObject({ runs: 1, misses: 1 });
    expect(kernel.splats).toEqual([]);
  });
});
