/** Our packet programs over the committed capture, packet by packet and map by map. */
import { describe, expect, test } from '@jest/globals';
import { concat, entries, lab, runTraffic, traffic, u32, u64 } from './support.js';

const XDP_DROP = 1;
const XDP_PASS = 2;

describe('xdp_counter', () => {
  const slots = [
    'TCP',
    'UDP',
    'ICMP',
    'ICMPv6',
    'other IPv4',
    'other IPv6',
    'fragment',
    'ARP',
    'other',
    'malformed',
  ];

  test('counts every packet once', () => {
    const loaded = lab('xdp_counter');
    expect(runTraffic(loaded, 'count_packets')).toEqual({ '2': 64 });
    const counters = entries(loaded, 'counters').map(([slot, value]) => [slots[slot as number], value]);
    expect(counters).toEqual([
      ['TCP', { packets: 40, bytes: 7321 }],
      ['UDP', { packets: 9, bytes: 874 }],
      ['ICMP', { packets: 4, bytes: 332 }],
      ['ICMPv6', { packets: 1, bytes: 78 }],
      ['other IPv4', { packets: 1, bytes: 74 }],
      ['other IPv6', { packets: 1, bytes: 82 }],
      ['fragment', { packets: 3, bytes: 1802 }],
      ['ARP', { packets: 2, bytes: 120 }],
      ['other', { packets: 1, bytes: 60 }],
      ['malformed', { packets: 2, bytes: 86 }],
    ]);
  });

  test('counts on the CPU that it runs on', () => {
    const loaded = lab('xdp_counter');
    loaded.kernel.cpu = 3;
    loaded.run('count_packets', { dataIn: traffic()[0]!.data });
    expect(entries(loaded, 'counters', 0)[7]).toEqual([7, { packets: 0, bytes: 0 }]);
    expect(entries(loaded, 'counters', 3)[7]).toEqual([7, { packets: 1, bytes: 60 }]);
  });

  test('repeats on the same packet', () => {
    const loaded = lab('xdp_counter');
    loaded.run('count_packets', { dataIn: traffic()[4]!.data, repeat: 1000 });
    expect(entries(loaded, 'counters')[0]).toEqual([0, { packets: 1000, bytes: 60_000 }]);
  });
});

describe('xdp_firewall', () => {
  const rule = (action: number, id: number) => concat(u32(action, id), u64(0));

  test('passes what no rule matches and drops what cannot be parsed', () => {
    const loaded = lab('xdp_firewall');
    expect(runTraffic(loaded, 'firewall')).toEqual({ '1': 2, '2': 62 });
    expect(entries(loaded, 'verdicts').slice(1, 3)).toEqual([
      [1, { packets: 2, bytes: 86 }],
      [2, { packets: 62, bytes: 10743 }],
    ]);
  });

  test('the longest prefix decides, open ports come first', () => {
    const loaded = lab('xdp_firewall');
    expect(loaded.update('rules_v4', concat(u32(24), [203, 0, 113, 0]), rule(XDP_DROP, 1))).toBe(0);
    expect(loaded.update('rules_v4', concat(u32(32), [203, 0, 113, 66]), rule(XDP_DROP, 2))).toBe(0);
    expect(loaded.update('rules_v4', concat(u32(24), [198, 51, 100, 0]), rule(XDP_DROP, 3))).toBe(0);
    expect(loaded.update('rules_v4', concat(u32(32), [198, 51, 100, 80]), rule(XDP_PASS, 4))).toBe(0);
    expect(
      loaded.update(
        'rules_v6',
        concat(u32(48), [0x20, 1, 0x0d, 0xb8, 0, 0x80], Array(10).fill(0)),
        rule(XDP_DROP, 5),
      ),
    ).toBe(0);
    expect(loaded.update('open_ports', Uint8Array.from([0, 22, 6, 0]), u64(0))).toBe(0);
    expect(runTraffic(loaded, 'firewall')).toEqual({ '1': 13, '2': 51 });
    const hits = [...entries(loaded, 'rules_v4'), ...entries(loaded, 'rules_v6')].map(([, value]) => {
      const { id, hits: count } = value as { id: number; hits: number };
      return [id, count];
    });
    expect(hits.sort()).toEqual([
      [1, 0],
      [2, 5],
      [3, 2],
      [4, 7],
      [5, 4],
    ]);
    expect(entries(loaded, 'open_ports')).toEqual([[{ port: 22 << 8, proto: 6, pad: 0 }, 1]]);
  });
});

test('tc_conntrack follows connections through their states', () => {
  const loaded = lab('tc_conntrack');
  // The 26-byte frame ends in its IPv4 header: Linux refuses to run a tc program on it.
  expect(runTraffic(loaded, 'conntrack')).toEqual({ '-1': 26, '0': 35, '2': 2, EINVAL: 1 });
  expect(entries(loaded, 'packets_by_state').map(([, count]) => count)).toEqual([2, 6, 2, 12, 4, 3, 6, 2]);
  const connections = entries(loaded, 'connections').map(([key, value]) => {
    const { low_port, high_port, proto } = key as Record<string, number>;
    const { packets, bytes, state, fins } = value as Record<string, unknown>;
    return [proto, swap(low_port!), swap(high_port!), packets, bytes, state, fins];
  });
  expect(connections).toHaveLength(12);
  expect(connections).toContainEqual([6, 50000, 80, [8, 5], [515, 3682], 5, 3]);
  expect(connections).toContainEqual([6, 50002, 631, [6, 3], [380, 298], 5, 3]);
  expect(connections).toContainEqual([6, 22, 31337, [1, 1], [60, 60], 5, 0]);
  expect(connections).toContainEqual([17, 40000, 53, [1, 1], [75, 91], 7, 0]);
  expect(connections).toContainEqual([17, 40001, 123, [1, 0], [90, 0], 6, 0]);
});

test('tc_conntrack marks the packet with the state', () => {
  const loaded = lab('tc_conntrack');
  const ctxIn = u32(0, 0, 99);
  const { ctxOut, dataOut } = loaded.run('conntrack', { dataIn: traffic()[4]!.data, ctxIn });
  expect(new DataView(ctxOut!.buffer).getUint32(8, true)).toBe(1);
  expect(dataOut).toEqual(traffic()[4]!.data);
});

test('socket_dns keeps DNS and counts labels', () => {
  const loaded = lab('socket_dns');
  expect(runTraffic(loaded, 'dns_filter')).toEqual({ '0': 59, '256': 4, EINVAL: 1 });
  expect(entries(loaded, 'directions')).toEqual([
    [0, { packets: 2, bytes: 177 }],
    [1, { packets: 2, bytes: 209 }],
  ]);
  expect(entries(loaded, 'label_lengths')).toEqual([
    [3, 2],
    [56, 2],
  ]);
});

test('xdp_heavy_hitters estimates flows in the cells that Linux uses', () => {
  const loaded = lab('xdp_heavy_hitters');
  expect(runTraffic(loaded, 'find_heavy_hitters')).toEqual({ '2': 64 });
  const cells = entries(loaded, 'sketch').filter(([, bytes]) => bytes !== 0);
  expect(cells).toHaveLength(87);
  expect(cells.filter(([, bytes]) => bytes === 3682).map(([cell]) => cell)).toEqual([
    0x204, 0x61c, 0xae9, 0xfdf,
  ]);
  expect(entries(loaded, 'heavy_hitters')).toEqual([]);
  expect(entries(loaded, 'xdp_heav.bss')).toEqual([[0, { total_bytes: 8147 }]]);
  runTraffic(loaded, 'find_heavy_hitters');
  const hitters = entries(loaded, 'heavy_hitters').map(([flow, bytes]) => [
    swap((flow as Record<string, number>).source_port!),
    bytes,
  ]);
  expect(hitters).toEqual([[80, 7364]]);
});

describe('xdp_dispatch', () => {
  test('tail-calls through its stages', () => {
    const loaded = lab('xdp_dispatch');
    expect(runTraffic(loaded, 'dispatch')).toEqual({ '1': 6, '2': 57, '3': 1 });
    expect(entries(loaded, 'xdp_disp.bss')).toEqual([[0, { stage_hits: [46, 15, 2, 56, 0, 3] }]]);
    expect(entries(loaded, 'stages')).toEqual([
      [0, 'ipv4_stage'],
      [1, 'ipv6_stage'],
      [2, 'icmp_stage'],
      [3, 'transport_stage'],
    ]);
  });

  test('answers a ping in place, checksum and all', () => {
    const request = traffic()[37]!.data;
    const { retval, dataOut } = lab('xdp_dispatch').run('dispatch', { dataIn: request });
    expect(retval).toBe(3);
    const reply = Uint8Array.from(request);
    reply.set(request.subarray(0, 6), 6);
    reply.set(request.subarray(6, 12), 0);
    reply.set(request.subarray(26, 30), 30);
    reply.set(request.subarray(30, 34), 26);
    // Type echo request becomes echo reply, and the checksum rises by as much.
    reply.set([0, 0, 0x9f, 0x9a], 34);
    expect(dataOut).toEqual(reply);
  });

  test('a stage leaves metadata in front of a packet that it drops', () => {
    const { retval, dataOut } = lab('xdp_dispatch').run('dispatch', { dataIn: traffic()[0]!.data });
    expect(retval).toBe(XDP_DROP);
    expect(dataOut!.subarray(0, 8)).toEqual(u32(14, 0));
    expect(dataOut!.subarray(8)).toEqual(traffic()[0]!.data);
  });
});

function swap(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8);
}
