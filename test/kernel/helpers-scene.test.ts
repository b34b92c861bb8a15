/** Helpers that find what the scene has set up: sockets, routes, groups, paths, sysctls, messages, what was traced. */

import { describe, expect, test } from '@jest/globals';
import type { ProgTypeName } from '../../src/abi/prog-types.js';
import { stateOf } from '../../src/kernel/bpf/helpers/state.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import type { RunContext } from '../../src/kernel/bpf/run-context.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { SocketFamily, SocketState } from '../../src/kernel/net/sock.js';
import { Btf } from '../../src/object/btf/btf.js';
import { encodeBtf } from '../../src/object/btf/encode.js';
import { put } from '../oracle/helper-cases.js';
import { u32 } from '../programs/support.js';
import { intType } from '../support/btf-types.js';
import { Id, load, makeMap, PROGRAM_BTF } from './helpers-support.js';

const PACKET = Uint8Array.from({ length: 64 }, (_, i) => i);
const TAKES_PACKETS: readonly string[] = ['sched_cls', 'xdp', 'cgroup_skb'];

interface Setting {
  readonly kernel?: Kernel;
  readonly run?: RunContext;
  readonly ctx?: Uint8Array;
  readonly attachType?: number;
  readonly maps?: readonly BpfMap[];
}

/** r0 as a signed number. */
function run(type: ProgTypeName, body: string, setting: Setting = {}): number {
  const kernel = setting.kernel ?? new Kernel();
  const { maps, attachType } = setting;
  const prog = load(kernel, type, `r6 = r1\n${body}\nexit`, {
    ...(maps !== undefined && { maps }),
    ...(attachType !== undefined && { attachType }),
  });
  const { r0 } = testRun(kernel, prog, {
    ...(TAKES_PACKETS.includes(type) && { dataIn: PACKET }),
    ...(setting.ctx !== undefined && { ctxIn: setting.ctx }),
    ...(setting.run !== undefined && { run: setting.run }),
  });
  return Number(BigInt.asIntN(64, r0));
}

const at = (reg: number, offset: number): string => `r${reg} = r10\nr${reg} += -${offset}`;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const LOCAL = bytes(10, 0, 0, 1);
const REMOTE = bytes(10, 0, 0, 2);

function openSocket(kernel: Kernel, state: number = SocketState.ESTABLISHED) {
  return stateOf(kernel).sockets.add({
    family: SocketFamily.AF_INET,
    type: 1,
    protocol: 6,
    state,
    local: { address: LOCAL, port: 80 },
    ...(state === SocketState.ESTABLISHED && { remote: { address: REMOTE, port: 1234 } }),
  });
}

describe('sockets', () => {
  // remote and local address, remote and local port
  const tuple = put(40, '0a0000020a00000104d20050');
  const lookup = (body: string, helper = 'sk_lookup_tcp'): string =>
    `${tuple}\nr1 = r6\n${at(2, 40)}\nr3 = 12\nr4 = -1\nr5 = 0\ncall bpf_${helper}\nif r0 == 0 goto none\nr7 = r0\n${body}\nr8 = r0\nr1 = r7\ncall bpf_sk_release\nr0 = r8\nnone:`;

  test.each<[string, string, number]>([
    ['its local port', 'r0 = *(u32 *)(r7 + 44)', 80],
    ['its state', 'r0 = *(u32 *)(r7 + 72)', SocketState.ESTABLISHED],
    ['its family', 'r0 = *(u32 *)(r7 + 4)', SocketFamily.AF_INET],
    [
      'its window, through tcp_sock',
      'r1 = r7\ncall bpf_tcp_sock\nif r0 == 0 goto none\nr0 = *(u32 *)(r0 + 0)',
      17,
    ],
    ['that it does not listen', 'r1 = r7\ncall bpf_get_listener_sock', 0],
  ])('a look-up finds %s', (_, body, result) => {
    const kernel = new Kernel();
    const sock = openSocket(kernel);
    sock.tcp = { snd_cwnd: 17 };
    expect(run('sched_cls', lookup(body), { kernel })).toBe(result);
    expect(sock.references).toBe(0);
  });

  test('a listener answers for whoever is not connected, UDP does not', () => {
    const kernel = new Kernel();
    openSocket(kernel, SocketState.LISTEN);
    expect(run('xdp', lookup('r0 = *(u32 *)(r7 + 72)'), { kernel })).toBe(SocketState.LISTEN);
    expect(run('xdp', lookup('r0 = 1', 'sk_lookup_udp'), { kernel })).toBe(0);
  });

  test('options are kept as they are set', () => {
    const kernel = new Kernel();
    const sock = openSocket(kernel);
    const option = (helper: string, level: number, name: number, size = 4): string =>
      `r1 = r6\nr2 = ${level}\nr3 = ${name}\n${at(4, 16)}\nr5 = ${size}\ncall bpf_${helper}`;
    const set = (level: number, name: number): string =>
      `${put(16, '0700000000000000')}\n${option('setsockopt', level, name)}`;
    const ops = (body: string): number => run('sock_ops', body, { kernel, run: { sock } });
    expect(
      ops(`${set(1, 8)}\n${put(16, '00')}\n${option('getsockopt', 1, 8)}\nr0 = *(u32 *)(r10 - 16)`),
    ).toBe(7);
    expect(ops(set(1, 9999))).toBe(-22);
    expect(ops(option('setsockopt', 1, 8, 2))).toBe(-22);
    expect(ops(set(41, 67))).toBe(-22);
  });

  test('TCP header options are found, stored and counted', () => {
    const kernel = new Kernel();
    const headerOptions = {
      options: bytes(1, 2, 4, 5, 180, 254, 4, 0xeb, 0x9f),
      room: 8,
      written: [] as number[],
    };
    const ops = (body: string): number =>
      run('sock_ops', body, { kernel, run: { sock: openSocket(kernel), headerOptions } });
    const load2 = (kind: string): string =>
      `${put(16, kind)}\nr1 = r6\n${at(2, 16)}\nr3 = 8\nr4 = 0\ncall bpf_load_hdr_opt`;
    expect(ops(`${load2('02')}\nr1 = *(u16 *)(r10 - 14)\nr0 *= 100000\nr0 += r1`)).toBe(4 * 100000 + 0xb405);
    expect(ops(load2('fe04eb9f'))).toBe(4);
    expect(ops(load2('09'))).toBe(-42);
    const store = `${put(16, 'fd04aabb')}\nr1 = r6\n${at(2, 16)}\nr3 = 4\nr4 = 0\ncall bpf_store_hdr_opt`;
    expect(ops(store)).toBe(0);
    expect(headerOptions.written).toEqual([0xfd, 4, 0xaa, 0xbb]);
    expect(ops(`r1 = r6\nr2 = 5\nr3 = 0\ncall bpf_reserve_hdr_opt`)).toBe(-28);
  });

  test('SYN cookies are known again, and only by whoever they are for', () => {
    const kernel = new Kernel();
    const ip = put(64, '4500003c00000000400600000a0000020a000001');
    // ports, sequence, acknowledgement, five words
    const tcp = (sequence: string, ack: string): string =>
      put(32, `04d20050${sequence}${ack}5012ffff00000000`);
    const generate = `${ip}\n${tcp('00000064', '00000000')}\n${at(1, 64)}\n${at(2, 32)}\nr3 = 20\ncall bpf_tcp_raw_gen_syncookie_ipv4`;
    const cookie = run('xdp', generate, { kernel });
    expect(Math.floor(cookie / 2 ** 32)).toBe(536);
    const ack = (((cookie % 2 ** 32) + 1) % 2 ** 32).toString(16).padStart(8, '0');
    const check = (sequence: string): string =>
      `${ip}\n${tcp(sequence, ack)}\n${at(1, 64)}\n${at(2, 32)}\ncall bpf_tcp_raw_check_syncookie_ipv4`;
    expect(run('xdp', check('00000065'), { kernel })).toBe(0);
    expect(run('xdp', check('00000066'), { kernel })).toBe(-13);
  });

  test('messages grow, shrink and are shown in part', () => {
    const kernel = new Kernel();
    const prog = load(
      kernel,
      'sk_msg',
      `r6 = r1\nr2 = 2\nr3 = 3\nr4 = 0\ncall bpf_msg_push_data\nr1 = r6\nr2 = 0\nr3 = 1\nr4 = 0\ncall bpf_msg_pop_data\nr1 = r6\nr2 = 4\nr3 = 7\nr4 = 0\ncall bpf_msg_pull_data\nr1 = *(u64 *)(r6 + 0)\nr2 = *(u64 *)(r6 + 8)\nr0 = r2\nr0 -= r1\nr3 = *(u32 *)(r6 + 68)\nr0 *= 100\nr0 += r3\nexit`,
    );
    const context: RunContext = {};
    const { retval } = testRun(kernel, prog, { dataIn: bytes(1, 2, 3, 4, 5), run: context });
    expect(retval).toBe(3 * 100 + 7);
    expect([...context.msg!.data]).toEqual([2, 0, 0, 0, 3, 4, 5]);
  });
});

describe('routes', () => {
  function router(): Kernel {
    const kernel = new Kernel();
    const { fib } = stateOf(kernel);
    const mac = bytes(2, 0, 0, 0, 0, 1);
    fib.devices.push({ ifindex: 2, name: 'eth0', mtu: 1500, mac, forwarding: true });
    fib.devices.push({ ifindex: 3, name: 'eth1', mtu: 1400, mac, forwarding: true });
    fib.routes.push({ destination: bytes(10, 0, 0, 0), prefixLength: 8, ifindex: 3 });
    fib.routes.push({ destination: bytes(10, 9, 0, 0), prefixLength: 16, ifindex: 3, type: 'blackhole' });
    fib.routes.push({
      destination: bytes(10, 8, 0, 0),
      prefixLength: 16,
      ifindex: 2,
      gateway: bytes(10, 0, 0, 9),
    });
    fib.neighbours.push({ ifindex: 3, address: bytes(10, 0, 0, 7), mac: bytes(2, 0, 0, 0, 0, 7) });
    return kernel;
  }
  const find = (address: string, length = 0, flags = 0): string =>
    `${put(64, `02000000${'0000'}${Buffer.from([length & 255, length >> 8]).toString('hex')}02000000`.padEnd(64, '0') + address.padEnd(64, '0'))}\nr1 = r6\n${at(2, 64)}\nr3 = 64\nr4 = ${flags}\ncall bpf_fib_lookup`;

  test.each<[string, string, number]>([
    ['to a neighbour', find('0a000007'), 0],
    ['to nobody', find('0a000008'), 7],
    ['to nobody, who is not looked for', find('0a000008', 0, 4), 0],
    ['into a black hole', find('0a090001'), 1],
    ['without a route', find('0b000001'), 4],
    ['too long', find('0a000007', 1450), 8],
    ['the device', `${find('0a000007')}\nr0 = *(u32 *)(r10 - 56)`, 3],
    ['the address of the neighbour', `${find('0a000007')}\nr0 = *(u8 *)(r10 - 1)`, 7],
    ['the gateway', `${find('0a080001', 0, 4)}\nr0 = *(u32 *)(r10 - 32)`, 0x0900000a],
  ])('%s', (_, body, result) => {
    expect(run('sched_cls', body, { kernel: router() })).toBe(result);
  });
});

describe('control groups and sysctls', () => {
  test('the group of the current task, and what it lies under', () => {
    const kernel = new Kernel();
    const state = stateOf(kernel);
    const web = state.makeCgroup(7n);
    state.cgroupOfTask.set(kernel.current.pid, state.makeCgroup(8n, web));
    expect(run('sched_cls', 'call bpf_get_current_cgroup_id', { kernel })).toBe(8);
    expect(run('sched_cls', 'r1 = 1\ncall bpf_get_current_ancestor_cgroup_id', { kernel })).toBe(7);
    expect(run('sched_cls', 'r1 = 5\ncall bpf_get_current_ancestor_cgroup_id', { kernel })).toBe(0);
  });

  const sysctl = () => ({
    name: 'net/ipv4/tcp_mem',
    current: Buffer.from('21 28 42'),
    written: Buffer.from('1 2 3'),
  });
  const text = (helper: string, size: number, rest = ''): string =>
    `${put(32, '00'.repeat(32))}\nr1 = r6\n${at(2, 32)}\nr3 = ${size}\n${rest}\ncall bpf_sysctl_${helper}`;

  test.each<[string, string, number]>([
    ['its name', text('get_name', 32, 'r4 = 0'), 16],
    ['its last name', text('get_name', 32, 'r4 = 1'), 7],
    ['a name that does not fit', text('get_name', 4, 'r4 = 1'), -7],
    ['its value', text('get_current_value', 32), 8],
    ['a value that does not fit', text('get_current_value', 8), -7],
    ['what is written', text('get_new_value', 32), 5],
  ])('%s', (_, body, result) => {
    expect(run('cgroup_sysctl', body, { run: { sysctl: sysctl() } })).toBe(result);
  });

  test('another value is written', () => {
    const context: RunContext = { sysctl: sysctl() };
    const body = `${put(16, '39390000')}\nr1 = r6\n${at(2, 16)}\nr3 = 2\ncall bpf_sysctl_set_new_value`;
    expect(run('cgroup_sysctl', body, { run: context })).toBe(0);
    expect(Buffer.from(context.sysctl!.replacement!).toString()).toBe('99');
    expect(run('cgroup_sysctl', body, { run: { sysctl: { name: 'a', current: bytes(1) } } })).toBe(-22);
  });

  test('a return value is handed on', () => {
    const context: RunContext = { retval: -1 };
    const body = 'call bpf_get_retval\nr7 = r0\nr1 = -13\ncall bpf_set_retval\nr0 = r7';
    expect(run('cgroup_device', body, { run: context, attachType: 6 })).toBe(-1);
    expect(context.retval).toBe(-13);
  });
});

describe('what was traced', () => {
  const context = new Uint8Array(new BigUint64Array([11n, 22n, 33n]).buffer);
  const traced = (body: string, run_: RunContext, attachType = 24): number =>
    run('tracing', body, { run: run_, ctx: context, attachType });

  test.each<[string, string, number]>([
    ['an argument', `r1 = r6\nr2 = 1\n${at(3, 8)}\ncall bpf_get_func_arg\nr0 = *(u64 *)(r10 - 8)`, 22],
    ['an argument too many', `r1 = r6\nr2 = 2\n${at(3, 8)}\ncall bpf_get_func_arg`, -22],
    ['their number', 'r1 = r6\ncall bpf_get_func_arg_cnt', 2],
    ['the result', `r1 = r6\n${at(2, 8)}\ncall bpf_get_func_ret\nr0 = *(u64 *)(r10 - 8)`, 33],
    ['the function', 'r1 = r6\ncall bpf_get_func_ip', 0x1000],
    ['the cookie', 'r1 = r6\ncall bpf_get_attach_cookie', 99],
  ])('%s', (_, body, result) => {
    expect(traced(body, { argCount: 2, hasResult: true, funcIp: 0x1000n, cookie: 99n })).toBe(result);
  });

  test('there is no result before the function returns', () => {
    expect(traced(`r1 = r6\n${at(2, 8)}\ncall bpf_get_func_ret`, { argCount: 2 })).toBe(-95);
  });

  test('signals are kept', () => {
    const kernel = new Kernel();
    expect(run('raw_tracepoint', 'r1 = 9\ncall bpf_send_signal', { kernel, ctx: context })).toBe(0);
    expect(stateOf(kernel).signals).toEqual([{ signal: 9, pid: kernel.current.attr.tgid, thread: false }]);
  });

  test('an iterator writes until its buffer is full', () => {
    const kernel = new Kernel();
    const seq = { capacity: 10, data: [] as number[], overflowed: false };
    const body = `${put(16, '68656c6c6f21')}\nr1 = 0\n${at(2, 16)}\nr3 = 6\ncall bpf_seq_write`;
    const iter = (): number => run('tracing', body, { kernel, run: { seq }, ctx: context, attachType: 28 });
    expect(iter()).toBe(0);
    expect(Buffer.from(seq.data).toString()).toBe('hello!');
    expect(iter()).toBe(-75);
    expect(seq.overflowed).toBe(true);
  });
});

test('a value as text by its type', () => {
  const int = intType();
  const member = (name: string, bitOffset: number) => ({ name, type: 1, bitOffset, bitfieldSize: 0 });
  const struct = {
    kind: 'struct',
    name: 'pair',
    size: 12,
    kindFlag: false,
    members: [member('a', 0), member('b', 32), member('c', 64)],
  } as const;
  const kernel = new Kernel({ btf: Btf.parse(encodeBtf([int, struct])) });
  const map = makeMap(kernel, 'array', { valueSize: 128, maxEntries: 1 });
  const body = `${put(32, '05000000000000000fffffff')}\nr1 = r10\nr1 += -32\n*(u64 *)(r10 - 64) = r1\nr1 = 2\n*(u64 *)(r10 - 56) = r1\nr1 = map[fd:0][0]+0\nr2 = 128\nr3 = r10\nr3 += -64\nr4 = 16\nr5 = 1\ncall bpf_snprintf_btf`;
  const length = run('raw_tracepoint', body, { kernel, maps: [map], ctx: new Uint8Array(8) });
  const value = kernel.bpf.mapLookup(map, u32(0)) as Uint8Array;
  expect(Buffer.from(value).toString('latin1', 0, length)).toBe('(struct pair){.a = (int)5,.c = (int)-241,}');
});

test('storages hang on tasks and on groups', () => {
  const kernel = new Kernel();
  const storage = makeMap(kernel, 'task_storage', {
    maxEntries: 0,
    mapFlags: 1,
    btf: PROGRAM_BTF,
    btfKeyTypeId: Id.INT,
    btfValueTypeId: Id.LONG,
  });
  const get = (flags: number): string =>
    `call bpf_get_current_task_btf\nr7 = r0\nr1 = map[fd:0]\nr2 = r7\nr3 = 0\nr4 = ${flags}\ncall bpf_task_storage_get\nif r0 == 0 goto none\nr1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1\nr0 = r1\nnone:`;
  const once = (flags: number): number =>
    run('raw_tracepoint', get(flags), { kernel, maps: [storage], ctx: new Uint8Array(8) });
  expect([once(0), once(1), once(0), once(1)]).toEqual([0, 1, 2, 3]);
  const remove = 'call bpf_get_current_task_btf\nr1 = map[fd:0]\nr2 = r0\ncall bpf_task_storage_delete';
  const removed = (): number =>
    run('raw_tracepoint', remove, { kernel, maps: [storage], ctx: new Uint8Array(8) });
  expect([removed(), removed()]).toEqual([0, -2]);
});

test('bpf() from within a program', () => {
  const kernel = new Kernel();
  const attr = put(64, '0200000004000000080000000400000000000000'.padEnd(96, '0'));
  const body = `${attr}\nr1 = 0\n${at(2, 64)}\nr3 = 48\ncall bpf_sys_bpf\nr7 = r0\nr1 = r7\ncall bpf_sys_close\nr0 += r7\nr7 = r0\nr1 = r7\ncall bpf_sys_close\nr1 = 1000\nr0 *= r1\nr0 += r7`;
  expect(run('syscall', body, { kernel, ctx: new Uint8Array(8) })).toBe(-9000 + 3);
});
