/** Programs on the way of packets, on sockets and their maps: who runs, in which order, and what their answers do. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import type { BpfMap } from '../../../src/kernel/bpf/map.js';
import { SyscallError } from '../../../src/kernel/errors.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import type { InetSock } from '../../../src/kernel/net/inet-sock.js';
import { frameOf, socketOf } from './packets.js';
import { ASK, kernelOf, load, mapOf, observe } from './support.js';

const answer = (value: number): string => `r0 = ${value}\nexit`;
const errnoOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof SyscallError) return error.message;
    throw error;
  }
  return '';
};

/** A map of sockets that holds these, by index. */
function socketMap(kernel: Kernel, type: 'sockmap' | 'reuseport_sockarray', sockets: InetSock[]): BpfMap {
  const map = mapOf(kernel, type, { valueSize: 8 });
  sockets.forEach((sock, i) => {
    const value = new Uint8Array(8);
    new DataView(value.buffer).setUint32(0, kernel.files.open(sock), true);
    expect(kernel.bpf.mapUpdate(map, Uint8Array.of(i, 0, 0, 0), value)).toBe(0);
  });
  return map;
}

describe('netfilter', () => {
  test('by priority; a drop ends the way', () => {
    const kernel = kernelOf();
    const early = load(kernel, 'netfilter', answer(1));
    const late = load(kernel, 'netfilter', answer(0));
    const never = load(kernel, 'netfilter', answer(1));
    kernel.attach(late, 'netfilter:ipv4:input:5');
    kernel.attach(early, 'netfilter:ipv4:prerouting:10');
    kernel.attach(never, 'netfilter:ipv4:input:6');
    expect(kernel.packet(frameOf())).toMatchObject({ verdict: 'drop', hook: 'netfilter', retval: 0 });
    expect([early, late, never].map(({ stats }) => stats.runs)).toEqual([1, 1, 0]);
  });

  test('the way out, and the protocol', () => {
    const kernel = kernelOf();
    const out = load(kernel, 'netfilter', answer(1));
    const v6 = load(kernel, 'netfilter', answer(0));
    kernel.attach(out, 'netfilter:ipv4:output:0');
    kernel.attach(out, 'netfilter:ipv4:postrouting:0');
    kernel.attach(v6, 'netfilter:ipv6:output:0');
    expect(kernel.transmit(frameOf()).verdict).toBe('pass');
    expect([out.stats.runs, v6.stats.runs]).toEqual([2, 0]);
  });

  test.each([
    ['netfilter:ipv4:input:2147483647', 'ERANGE'],
    ['netfilter:ipv4:input:-2147483648', 'ERANGE'],
    ['netfilter:ipv4:input:7', 'EBUSY'],
    ['netfilter:ipv4:sideways:7', 'EINVAL'],
    ['netfilter', 'EINVAL'],
  ])('%s: %s', (target, errno) => {
    const kernel = kernelOf();
    const prog = load(kernel, 'netfilter', answer(1));
    kernel.attach(prog, 'netfilter:ipv4:input:7');
    expect(errnoOf(() => kernel.attach(prog, target))).toContain(errno);
  });

  test('defragmentation comes first', () => {
    const kernel = kernelOf();
    const prog = load(kernel, 'netfilter', answer(1));
    const target = { kind: 'netfilter', proto: 'ipv4', hook: 'input', defrag: true } as const;
    expect(errnoOf(() => kernel.attach(prog, { ...target, priority: -400 }))).toContain('ERANGE');
    expect(kernel.attach(prog, { ...target, priority: -399 }).target).toBe('netfilter:ipv4:input:-399');
  });
});

describe('routes', () => {
  test.each([
    ['lwt_in', 'packet', 2, 'drop'],
    ['lwt_in', 'packet', 0, 'pass'],
    ['lwt_out', 'transmit', 2, 'drop'],
    ['lwt_xmit', 'transmit', 7, 'redirect'],
    ['lwt_xmit', 'transmit', 128, 'pass'],
  ] as const)('%s on %s: %d means %s', (type, event, value, verdict) => {
    const kernel = kernelOf();
    const prog = load(kernel, type, answer(value));
    kernel.attach(prog, 'route:10.0.0.0/8');
    expect(kernel[event](frameOf())).toMatchObject({ verdict, hook: 'lwt', retval: value });
  });

  test('the longest prefix; other packets pass by', () => {
    const kernel = kernelOf();
    const wide = load(kernel, 'lwt_in', answer(0));
    const narrow = load(kernel, 'lwt_in', answer(0));
    const other = load(kernel, 'lwt_in', answer(0));
    kernel.attach(wide, 'route:0.0.0.0/0');
    const link = kernel.attach(narrow, 'route:10.0.0.0/24');
    kernel.attach(other, 'route:11.0.0.0/8');
    kernel.packet(frameOf());
    link.detach();
    kernel.packet(frameOf());
    expect([wide, narrow, other].map(({ stats }) => stats.runs)).toEqual([0, 1, 0]);
  });

  test.each(['route:10.0.0.0/33', 'route:10.0.0', 'route:::1::/4'])('%s is no prefix', (target) => {
    const kernel = kernelOf();
    expect(errnoOf(() => kernel.attach(load(kernel, 'lwt_in', answer(0)), target))).toContain('EINVAL');
  });
});

describe('flow dissector', () => {
  const asm = `
    r2 = *(u64 *)(r1 + 144)
    r3 = *(u16 *)(r2 + 0)
    *(u16 *)(r2 + 12) = 7
    *(u16 *)(r2 + 14) = r3
    r0 = 0
    exit`;

  test.each([
    ['packet', 0],
    ['transmit', 14],
  ] as const)('%s: the network header lies at %d', (event, offset) => {
    const kernel = kernelOf();
    kernel.attach(load(kernel, 'flow_dissector', asm), 'netns');
    expect(kernel[event](frameOf()).flow).toMatchObject({ sport: 7, dport: offset });
  });

  test('one a namespace; a refusal leaves nothing', () => {
    const kernel = kernelOf();
    const prog = load(kernel, 'flow_dissector', answer(2));
    kernel.attach(prog, 'netns');
    expect(errnoOf(() => kernel.attach(prog, 'netns'))).toContain('EEXIST');
    expect(kernel.packet(frameOf()).flow).toBeUndefined();
    expect(prog.stats.runs).toBe(1);
  });
});

/** Chooses the socket at an index of map 0. */
const assign = (index: number, helper = 'bpf_sk_assign'): string => `
  r6 = r1
  *(u32 *)(r10 - 4) = ${index}
  r1 = map[fd:0]
  r2 = r10
  r2 += -4
  call bpf_map_lookup_elem
  if r0 == 0 goto +4
  r1 = r6
  r2 = r0
  r3 = 0
  call ${helper}
  r0 = 1
  exit`;

describe('choosing a socket', () => {
  test('sk_lookup: an unconnected packet goes to the chosen socket, a connected one does not ask', () => {
    const kernel = kernelOf();
    const chosen = socketOf(kernel, { port: 9999 });
    const connected = socketOf(kernel, { port: 81, peer: 4000 });
    const map = socketMap(kernel, 'sockmap', [chosen]);
    const prog = load(kernel, 'sk_lookup', assign(0), { maps: [map] });
    kernel.attach(prog, 'netns');
    kernel.attach(load(kernel, 'socket_filter', answer(3)), { kind: 'socket', sock: chosen });
    kernel.attach(load(kernel, 'socket_filter', answer(5)), { kind: 'socket', sock: connected });
    expect(kernel.packet(frameOf({ to: 80 })).retval).toBe(3);
    expect(kernel.packet(frameOf({ to: 81 })).retval).toBe(5);
    expect(prog.stats.runs).toBe(1);
  });

  test('sk_lookup: a refusal counts unless another program chooses', () => {
    const kernel = kernelOf();
    const sock = socketOf(kernel, { port: 9999 });
    const map = socketMap(kernel, 'sockmap', [sock]);
    kernel.attach(load(kernel, 'sk_lookup', answer(0)), 'netns');
    expect(kernel.packet(frameOf())).toMatchObject({ verdict: 'drop', hook: 'socket' });
    kernel.attach(load(kernel, 'sk_lookup', assign(0), { maps: [map] }), 'netns');
    kernel.attach(load(kernel, 'socket_filter', answer(3)), { kind: 'socket', sock });
    expect(kernel.packet(frameOf()).retval).toBe(3);
  });

  test('sk_lookup sees who is looked for', () => {
    const kernel = kernelOf();
    const asm = `
      r2 = *(u32 *)(r1 + 12)
      if r2 != 17 goto +6
      r2 = *(u16 *)(r1 + 36)
      if r2 != 40975 goto +4
      r2 = *(u32 *)(r1 + 60)
      if r2 != 80 goto +2
      r0 = 0
      exit
      r0 = 1
      exit`;
    kernel.attach(load(kernel, 'sk_lookup', asm), 'netns');
    expect(kernel.packet(frameOf({ from: 4000 })).verdict).toBe('drop');
    expect(kernel.packet(frameOf({ from: 4001 })).verdict).toBe('pass');
  });

  test('sk_reuseport picks among the sockets that share an address, and may refuse', () => {
    const kernel = kernelOf();
    const group = [0, 1, 2].map(() => socketOf(kernel, { reusePort: true }));
    group.forEach((sock, i) => {
      kernel.attach(load(kernel, 'socket_filter', answer(i + 1)), { kind: 'socket', sock });
    });
    const byHash = kernel.packet(frameOf()).retval;
    expect(kernel.packet(frameOf()).retval).toBe(byHash);
    const map = socketMap(kernel, 'reuseport_sockarray', group);
    const select = `
      *(u32 *)(r10 - 4) = 2
      r2 = map[fd:0]
      r3 = r10
      r3 += -4
      r4 = 0
      call bpf_sk_select_reuseport
      r0 = 1
      exit`;
    const sock = group[0]!;
    const link = kernel.attach(load(kernel, 'sk_reuseport', select, { maps: [map] }), {
      kind: 'socket',
      sock,
    });
    expect(kernel.packet(frameOf()).retval).toBe(3);
    link.detach();
    kernel.attach(load(kernel, 'sk_reuseport', answer(0)), { kind: 'socket', sock });
    expect(kernel.packet(frameOf()).verdict).toBe('drop');
  });
});

describe('socket maps', () => {
  const text = (data: Uint8Array): string => new TextDecoder().decode(data);
  const bytes = (data: string): Uint8Array => new TextEncoder().encode(data);
  const verdicts = (parts: readonly { verdict: string }[]): string[] => parts.map(({ verdict }) => verdict);
  const pair = (kernel: Kernel) => {
    const [a, b] = [10, 11].map((port) => socketOf(kernel, { protocol: 'tcp', port, peer: 4000 }));
    return { a: a!, b: b!, map: socketMap(kernel, 'sockmap', [a!, b!]) };
  };

  test('sk_msg: pass, drop, on to another socket', () => {
    const kernel = kernelOf();
    const { a, b, map } = pair(kernel);
    expect(verdicts(kernel.sendmsg(a, bytes('x')))).toEqual(['pass']);
    const drop = kernel.attach(load(kernel, 'sk_msg', answer(0)), { kind: 'sockmap', map });
    expect(verdicts(kernel.sendmsg(a, bytes('x')))).toEqual(['drop']);
    drop.detach();
    const redirect = 'r2 = map[fd:0]\nr3 = 1\nr4 = 1\ncall bpf_msg_redirect_map\nexit';
    kernel.attach(load(kernel, 'sk_msg', redirect, { maps: [map] }), { kind: 'sockmap', map });
    expect(
      kernel.sendmsg(a, bytes('x')).map(({ verdict, to, ingress }) => [verdict, to === b, ingress]),
    ).toEqual([['redirect', true, true]]);
  });

  test('bytes that wait for more, and bytes to which an answer applies', () => {
    const kernel = kernelOf();
    const { a, map } = pair(kernel);
    const asm =
      'r6 = r1\nr2 = 6\ncall bpf_msg_cork_bytes\nr1 = r6\nr2 = 4\ncall bpf_msg_apply_bytes\nr0 = 1\nexit';
    const prog = load(kernel, 'sk_msg', asm);
    kernel.attach(prog, { kind: 'sockmap', map });
    expect(kernel.sendmsg(a, bytes('abc'))).toEqual([]);
    expect(kernel.sendmsg(a, bytes('defghi')).map(({ data }) => text(data))).toEqual(['abcd']);
    expect(kernel.sendmsg(a, bytes('j')).map(({ data }) => text(data))).toEqual(['efgh']);
    expect(prog.stats.runs).toBe(5);
  });

  test('a parser cuts messages, a verdict decides on each', () => {
    const kernel = kernelOf();
    const { a, b, map } = pair(kernel);
    const as = { attachType: AttachType.sk_skb_stream_parser };
    const parser = load(kernel, 'sk_skb', answer(3), as);
    kernel.attach(parser, { kind: 'sockmap', map });
    const redirect = 'r2 = map[fd:0]\nr3 = 1\nr4 = 0\ncall bpf_sk_redirect_map\nexit';
    const verdict = load(kernel, 'sk_skb', redirect, {
      attachType: AttachType.sk_skb_stream_verdict,
      maps: [map],
    });
    kernel.attach(verdict, { kind: 'sockmap', map });
    expect(a.socketMap === map).toBe(true);
    const first = kernel.packet(frameOf({ protocol: 'tcp', to: 10, payload: 'abcd' }));
    expect([first.verdict, first.hook]).toEqual(['redirect', 'sockmap']);
    const second = kernel.packet(frameOf({ protocol: 'tcp', to: 10, payload: 'ef' }));
    const parts = [...first.parts!, ...second.parts!];
    expect(parts.map(({ data, to }) => [text(data), to === b])).toEqual([
      ['abc', true],
      ['def', true],
    ]);
  });

  test('only maps of sockets have programs, and one kind of verdict', () => {
    const kernel = kernelOf();
    const { map } = pair(kernel);
    const prog = load(kernel, 'sk_msg', answer(1));
    expect(errnoOf(() => kernel.attach(prog, { kind: 'sockmap', map: mapOf(kernel, 'array') }))).toContain(
      'EINVAL',
    );
    kernel.attach(load(kernel, 'sk_skb', answer(1), { attachType: AttachType.sk_skb_verdict }), {
      kind: 'sockmap',
      map,
    });
    const stream = load(kernel, 'sk_skb', answer(1), { attachType: AttachType.sk_skb_stream_verdict });
    expect(errnoOf(() => kernel.attach(stream, { kind: 'sockmap', map }))).toContain('EBUSY');
  });
});

describe('control groups', () => {
  test('connect() over IPv6: the program sees and changes the address', () => {
    const kernel = kernelOf();
    const asm = `
      r2 = *(u32 *)(r1 + 8)
      w3 = 0xb80d0120
      if w2 != w3 goto +2
      r3 = 16777216
      *(u32 *)(r1 + 20) = r3
      r0 = 1
      exit`;
    const as = { attachType: AttachType.cgroup_inet6_connect };
    kernel.attach(load(kernel, 'cgroup_sock_addr', asm, as), 'cgroup:/');
    expect(kernel.connect({ ip: '2001:db8::7', port: 443 })).toMatchObject({
      value: 0,
      address: { ip: '2001:db8::1', port: 443 },
    });
    expect(kernel.connect({ ip: 'fe80::7', port: 443 }).address.ip).toBe('fe80::7');
  });

  test.each([
    ['bind', AttachType.cgroup_inet6_bind, '::1'],
    ['sendmsg', AttachType.cgroup_udp4_sendmsg, '10.0.0.1'],
    ['recvmsg', AttachType.cgroup_udp6_recvmsg, '::1'],
    ['getpeername', AttachType.cgroup_inet4_getpeername, '10.0.0.1'],
    ['getsockname', AttachType.cgroup_inet6_getsockname, '::1'],
  ] as const)('%s is told', (call, attachType, ip) => {
    const kernel = kernelOf();
    const prog = load(kernel, 'cgroup_sock_addr', answer(1), { attachType });
    kernel.attach(prog, 'cgroup:/');
    expect(kernel.address(call, { ip, port: 1 }).address).toEqual({ ip, port: 1 });
    expect(prog.stats.runs).toBe(1);
  });

  test('egress may drop', () => {
    const kernel = kernelOf();
    const as = { attachType: AttachType.cgroup_inet_egress };
    kernel.attach(load(kernel, 'cgroup_skb', answer(0), as), 'cgroup:/');
    expect(kernel.transmit(frameOf())).toMatchObject({ verdict: 'drop', hook: 'cgroup', retval: -1 });
  });

  test('sock_ops: the event, its arguments, the reply; some only come when asked for', () => {
    const kernel = kernelOf();
    const sock = socketOf(kernel, { protocol: 'tcp', peer: 4000 });
    const asm = `
      r6 = r1
      r7 = *(u32 *)(r1 + 0)
      r8 = *(u32 *)(r1 + 8)
      r2 = 2
      call bpf_sock_ops_cb_flags_set
      r7 <<= 8
      r7 += r8
      *(u32 *)(r6 + 4) = r7
      r0 = 1
      exit`;
    expect(kernel.sockOps(sock, { name: 'retrans', args: [1, 7] })).toBe(-1);
    kernel.attach(load(kernel, 'sock_ops', asm), 'cgroup:/');
    expect(kernel.sockOps(sock, { name: 'retrans', args: [1, 7] })).toBe(-1);
    expect(kernel.sockOps(sock, { name: 'active_established', args: [1, 7] })).toBe(0x407);
    expect(kernel.sockOps(sock, { name: 'retrans', args: [1, 7] })).toBe(0x907);
  });
});

test('infrared: every decoder of the device gets the sample, each once', () => {
  const kernel = kernelOf();
  const seen = observe(kernel);
  const progs = [ASK, ASK].map((asm) => load(kernel, 'lirc_mode2', asm));
  for (const prog of progs) kernel.attach(prog, 'lirc:lirc0');
  expect(errnoOf(() => kernel.attach(progs[0]!, 'lirc:lirc0'))).toContain('EEXIST');
  kernel.lirc(0x1000200);
  kernel.lirc(0x1000200, { device: 'lirc1' });
  expect(seen).toMatchObject([{ rcu: 1 }, { rcu: 1 }]);
});
