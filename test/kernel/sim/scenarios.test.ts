/** The scenarios of programs/scenarios, and every program of ours from event to map, on RT and not. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ScenarioError } from '../../../src/kernel/errors.js';
import { failed, type SimResult } from '../../../src/kernel/sim/result.js';
import { parseScenario } from '../../../src/kernel/sim/scenario.js';
import { prepare, type Simulated, simulate } from '../../../src/kernel/sim/simulate.js';
import { loadTargetBtf } from '../../../src/object/btf/target.js';
import { openObject, relocateObject } from '../../../src/object/index.js';
import type { LoadableObject } from '../../../src/object/types.js';

const PROGRAMS = new URL('../../../programs/', import.meta.url);
const btf = loadTargetBtf({ from: 'embedded' });

const objects = new Map<string, LoadableObject>();

function objectOf(name: string): LoadableObject {
  let loadable = objects.get(name);
  if (loadable === undefined) {
    const file = `${name}.bpf.o`;
    const object = openObject(new Uint8Array(readFileSync(new URL(file, PROGRAMS))), { file });
    loadable = relocateObject(object, { targetBtf: btf, kconfig: { CONFIG_HZ: '250' } });
    objects.set(name, loadable);
  }
  return loadable;
}

const readFile = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(name, new URL('scenarios/', PROGRAMS))));

function simulated(program: string, scenario: object | string): Simulated {
  const json =
    typeof scenario === 'string'
      ? readFileSync(new URL(`scenarios/${scenario}.json`, PROGRAMS), 'utf8')
      : JSON.stringify(scenario);
  return simulate(objectOf(program), parseScenario(json, readFile), { btf });
}

const titles = (result: SimResult): string[] =>
  result.splats.map(({ lines }) => lines.find((line) => /BUG|WARNING|deadlock|run-time/.test(line))!);
const held = ({ latency }: SimResult): string[] => latency.held.map(({ lockClass }) => lockClass);

describe('scenarios', () => {
  test('RT: buckets of a preallocated hash have raw locks, of one that allocates sleeping ones', () => {
    const { result, loaded } = simulated('rt_maps', 'rt-locks');
    expect(titles(result)).toEqual([]);
    expect(held(result)).toEqual(
      expect.arrayContaining(['&htab->buckets[i].raw_lock', '&htab->buckets[i].lock']),
    );
    expect([loaded.number('preallocated', 60), loaded.number('allocating', 60)]).toEqual([1, 1]);
    expect(result.programs).toMatchObject([{ name: 'count_packets', runs: 4 }]);
  });

  test('an event that no program is attached to says so: its name may be misspelt', () => {
    const { result } = simulated('tp_open_log', {
      events: [
        { tracepoint: { name: 'syscalls:sys_enter_openat', fields: [] } },
        { tracepoint: { name: 'syscalls:sys_enter_opnat', fields: [] } },
        { uprobe: { place: '/bin/sh:main', args: [] } },
      ].map((event) => ({ ...event, task: 'shell' })),
      tasks: [{ name: 'shell' }],
    });
    expect(result.events.map((event) => event.result)).toEqual([
      'passed',
      'passed, nobody watches',
      'called, nobody watches',
    ]);
  });

  test('before the series, RT: the allocator sleeps under a raw lock', () => {
    const { result } = simulated('rt_maps', 'rt-allocation');
    expect(titles(result)).toContain(
      'BUG: sleeping function called from invalid context at kernel/locking/rtmutex.c:973',
    );
    expect(held(result)).not.toContain('&htab->buckets[i].lock');
    expect(failed(result)).toBe(true);
  });

  test('a kprobe in the update of a hash: packets hit it, system calls keep it out', () => {
    const { result, loaded } = simulated('rt_maps', 'kprobe-map-update');
    expect(titles(result)).toEqual([]);
    expect(loaded.number('updates', 0)).toBe(4);
    expect(result.programs).toMatchObject([
      { name: 'count_packets', runs: 2, skipped: 0 },
      { name: 'watch_updates', runs: 4, misses: 1, skipped: 1 },
    ]);
  });

  test('a sample in an NMI takes the lock that the program below holds', () => {
    const { result } = simulated('rt_maps', 'nmi-over-tc');
    expect(result.deadlock).toMatch(/raw_lock/);
    expect(result.splats.at(-1)?.stack).toEqual(
      expect.arrayContaining(['bpf_prog_sample', '<NMI>', 'bpf_prog_count_packets']),
    );
  });

  test('seccomp refuses and logs; tracepoints see what passes', () => {
    const { result } = simulated('tp_syscalls', 'seccomp');
    expect(titles(result)).toEqual([]);
    expect(result.events.map(({ comm, result: got }) => `${comm} ${got}`).sort()).toEqual([
      'free -2',
      'sandboxed -13 (seccomp ERRNO)',
      'sandboxed 100',
      'sandboxed 100',
      'sandboxed 100',
      'sandboxed 3 (seccomp LOG)',
    ]);
    expect(result.programs).toMatchObject([{ runs: 5 }, { runs: 5 }]);
  });

  test('a capture', () => {
    const { result } = simulated('xdp_counter', 'traffic');
    expect(titles(result)).toEqual([]);
    expect(result.events.length).toBe(64);
    expect(new Set(result.events.map(({ comm, cpu }) => `${comm} ${cpu}`))).toEqual(
      new Set(['irq/24-eth0-rx- 1']),
    );
  });

  test.each(['rt-locks', 'kprobe-map-update', 'nmi-over-tc'])('%s: twice the same, byte for byte', (name) => {
    const text = (): string =>
      JSON.stringify(simulated('rt_maps', name).result, (_, value: unknown) =>
        typeof value === 'bigint' ? value.toString() : value,
      );
    expect(text()).toBe(text());
  });
});

describe('every program, end to end', () => {
  const FRAME = `ffffffffffff02000000000108004500002e00000000401100000a0000010a000002${'00'.repeat(26)}`;
  const packets = { cpu: 0, packet: { pcap: '../data/traffic.pcap' } };
  const CASES: Readonly<Record<string, { events: object[]; more?: object; runs: Record<string, number> }>> = {
    xdp_counter: { events: [packets], runs: { count_packets: 64 } },
    xdp_firewall: { events: [packets], runs: { firewall: 64 } },
    xdp_heavy_hitters: { events: [packets], runs: { find_heavy_hitters: 64 } },
    xdp_dispatch: { events: [packets], more: { attach: [{ prog: 'dispatch' }] }, runs: { dispatch: 64 } },
    tc_conntrack: { events: [packets], runs: { conntrack: 64 } },
    rt_maps: {
      events: [packets, { cpu: 0, perf: {} }],
      runs: { count_packets: 64, sample: 1, watch_updates: 128 },
    },
    kprobe_latency: {
      events: [
        {
          call: { function: 'vfs_read', args: [0, 0, 100], result: 100, during: [{ spend: { ns: 700 } }] },
          repeat: 3,
        },
      ],
      runs: { read_enter: 3, read_exit: 3 },
    },
    kprobe_noprealloc: {
      events: [{ call: { function: 'do_nanosleep' }, repeat: 2 }],
      runs: { count_allocating: 2, count_preallocated: 2 },
    },
    tp_syscalls: {
      events: [{ syscall: { name: 'openat', result: -2 }, repeat: 4 }],
      runs: { syscall_enter: 4, syscall_exit: 4 },
    },
    tp_open_log: {
      events: [{ syscall: { name: 'openat', args: [-100, '/etc/passwd'] } }],
      runs: { log_open: 1 },
    },
    perf_profiler: {
      events: [{ cpu: 0, perf: { event: 'cpu-cycles' }, repeat: 5, every: 1000 }],
      runs: { profile: 5 },
    },
    cgroup_connect: {
      events: [{ connect: { ip: '192.0.2.1', port: 80 }, repeat: 2 }],
      runs: { connect_service: 2 },
    },
    socket_dns: {
      events: [{ trigger: { prog: 'dns_filter', data: FRAME }, repeat: 3 }],
      runs: { dns_filter: 3 },
    },
  };
  // A sample's own update has taken bpf_prog_active: the kprobe in it does not count.
  const rows = Object.keys(CASES).flatMap((program) => [
    { program, profile: '6.18', interleaved: false },
    { program, profile: '6.18-rt', interleaved: true },
  ]);

  test.each(rows)('$program on $profile, interleaved: $interleaved', ({ program, profile, interleaved }) => {
    const { events, more, runs } = CASES[program]!;
    const { result } = simulated(program, {
      cpus: 2,
      profile,
      interleaved,
      verify: 'enforce',
      ...more,
      events,
    });
    expect(titles(result)).toEqual([]);
    expect(result.deadlock).toBeUndefined();
    const ran = Object.fromEntries(result.programs.map(({ name, runs: count }) => [name, count]));
    expect(ran).toMatchObject(runs);
  });

  test('what the kernel of the time refuses is not loaded', () => {
    const scenario = (profile: string) => ({
      profile,
      verify: 'enforce',
      attach: [{ prog: 'count_allocating' }],
      events: [{ call: { function: 'do_nanosleep' } }],
    });
    expect(() => simulated('kprobe_noprealloc', scenario('5.7-rt'))).toThrow(
      /attach\[0\]: trace type programs can only use preallocated hash map/,
    );
    const { result } = simulated('kprobe_noprealloc', scenario('5.7'));
    expect(titles(result)).toEqual(['trace type BPF program uses run-time allocation']);
    expect(titles(simulated('kprobe_noprealloc', scenario('6.1-rt')).result)).toEqual([]);
    const turned = { ...scenario('5.7-rt'), knobs: { preallocRule: 'none' } };
    expect(titles(simulated('kprobe_noprealloc', turned).result)).toEqual([
      'BUG: sleeping function called from invalid context at kernel/locking/rtmutex.c:973',
    ]);
  });
});

test('repetitions are made as they come', () => {
  const packet = { hex: '00'.repeat(60) };
  const events = [{ packet, repeat: 1_000_000, every: 1000 }];
  const { result } = simulated('xdp_counter', { cpus: 1, until: 10_500, events });
  expect(result.events.length).toBe(11);
  expect(result.timeNs).toBeGreaterThanOrEqual(10_500);
});

describe('names that the object lacks', () => {
  test.each<[string, object, RegExp]>([
    [
      'program',
      { attach: [{ prog: 'x' }], events: [] },
      /^attach\[0\].prog: the object has no program "x"; it has: /,
    ],
    ['map', { maps: { x: [] }, events: [] }, /^maps.x: the object has no map "x"; it has: counters/],
    [
      'map of an event',
      { events: [{ mapDelete: { map: 'x', key: 1 } }] },
      /^events\[0\]: the object has no map "x"/,
    ],
    ['device', { events: [{ packet: { device: 'x', hex: '00'.repeat(60) } }] }, /no network device x/],
    ['system call', { events: [{ syscall: { name: 'x' } }] }, /^events\[0\]: there is no system call x/],
    ['perf event', { events: [{ perf: {} }] }, /^events\[0\]: no perf event is open on CPU 0/],
    [
      'value',
      { maps: { counters: [{ key: 99, value: 1 }] }, events: [] },
      /^maps.counters\[0\]: the map answers -7/,
    ],
  ])('%s', (_, scenario, message) => {
    const run = () => simulated('xdp_counter', scenario);
    expect(run).toThrow(ScenarioError);
    expect(run).toThrow(expect.objectContaining({ detail: expect.stringMatching(message) }));
  });
});

describe('scenarios that cannot be as they are', () => {
  const frame = 'ff'.repeat(60);
  const endless = { prog: 'count_packets', data: frame, repeat: 1_000_000 };

  test.each<[string, object, RegExp]>([
    [
      'a frame that no device takes',
      { events: [{ packet: { hex: '' } }] },
      /^events\[0\]: frame 0: a packet has 14 to/,
    ],
    ['one that is sent', { events: [{ transmit: { hex: '00' } }] }, /^events\[0\]: frame 0: a packet has/],
    [
      'one inside',
      { events: [{ call: { function: 'f', during: [{ packet: { hex: '00' } }] } }] },
      /during|frame 0/,
    ],
    [
      'an unknown field',
      { events: [{ trigger: { prog: 'sample', fields: { x: 1 } } }] },
      /^events\[0\]: .*no field x/,
    ],
  ])('%s', (_, scenario, message) => {
    expect(() => simulated('rt_maps', scenario)).toThrow(message);
  });

  test.each<[string, object, string]>([
    [
      'an event',
      { events: [{ cpu: 3, spend: { ns: 1 } }] },
      'events[0].cpu: there is no CPU 3; the kernel has 1',
    ],
    [
      'a task',
      { tasks: [{ name: 'a', affinity: [0, 2] }], events: [] },
      'tasks.a.affinity: there is no CPU 2',
    ],
    [
      'an expectation',
      { events: [], expect: [{ map: 'updates', key: 0, value: 0, cpu: 1 }] },
      'expect[0].cpu',
    ],
  ])('fewer CPUs than %s wants', (_, scenario, message) => {
    const written = parseScenario(JSON.stringify(scenario), readFile);
    expect(() => simulate(objectOf('rt_maps'), { ...written, cpus: 1 }, { btf })).toThrow(message);
  });

  test('a task that is called as others call a CPU', () => {
    const tasks = [{ name: 'cpu0', comm: 'mine', affinity: [1] }];
    const events = [
      { cpu: 0, spend: { ns: 5 } },
      { task: 'cpu0', spend: { ns: 5 } },
    ];
    const { result } = simulated('rt_maps', { tasks, events });
    expect(result.events.map(({ cpu, comm }) => `${cpu} ${comm}`).sort()).toEqual(['0 bpflab', '1 mine']);
  });

  test('what would take for ever is stopped', () => {
    const scenario = parseScenario(JSON.stringify({ events: [{ testRun: endless }] }), readFile);
    const prepared = prepare(objectOf('rt_maps'), scenario, { btf });
    prepared.kernel.executor.maxInsns = 1_000_000;
    expect(() => prepared.kernel.executor.settle()).toThrow(expect.objectContaining({ code: 'SIM_INSNS' }));
  });

  test('simulated time has an end', () => {
    const { result } = simulated('rt_maps', {
      events: [{ spend: { ns: 3_600_000_000_000 }, repeat: 10_000 }],
    });
    expect(result.stopped).toMatch(/^the simulation took more than 9007199254740991 ns/);
  });
});
