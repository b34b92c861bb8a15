/** An Ethernet frame in a few words, as tcpdump would begin its line: enough to know which packet of a capture it is. */

const ETHERTYPES: Readonly<Record<number, string>> = { 2054: 'ARP', 35020: 'LLDP', 34887: 'MPLS' };
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
  47: 'GRE',
  50: 'ESP',
  58: 'ICMPv6',
  132: 'SCTP',
};
const TCP_FLAGS = ['F', 'S', 'R', 'P', '.', 'U'] as const;
const EXTENSIONS: readonly number[] = [0, 43, 60];
const FRAGMENT = 44;

/** E.g. `vlan 42, TCP 192.0.2.10:5000 > 192.0.2.20:631 [S]`. Never throws: what is cut short is said to be. */
export function frameText(frame: Uint8Array): string {
  let at = 14;
  if (frame.length < at) return `${frame.length} bytes`;
  let type = u16(frame, 12);
  const tags: string[] = [];
  while ((type === 0x8100 || type === 0x88a8) && frame.length >= at + 4) {
    tags.push(`vlan ${u16(frame, at) & 0xfff}, `);
    type = u16(frame, at + 2);
    at += 4;
  }
  const prefix = tags.join('');
  if (type === 0x0800) return prefix + ipv4Text(frame, at);
  if (type === 0x86dd) return prefix + ipv6Text(frame, at);
  return prefix + (ETHERTYPES[type] ?? `ethertype 0x${type.toString(16).padStart(4, '0')}`);
}

function ipv4Text(frame: Uint8Array, at: number): string {
  const header = (frame[at] ?? 0) & 15;
  if (frame.length < at + 20 || header < 5 || frame.length < at + header * 4) return 'IPv4, damaged';
  const fragment = u16(frame, at + 6) & 0x1fff;
  const from = frame.subarray(at + 12, at + 16).join('.');
  const to = frame.subarray(at + 16, at + 20).join('.');
  return transportText(frame, at + header * 4, frame[at + 9]!, from, to, fragment);
}

function ipv6Text(frame: Uint8Array, start: number): string {
  if (frame.length < start + 40) return 'IPv6, damaged';
  let at = start + 40;
  let next = frame[start + 6]!;
  let fragment = 0;
  while (EXTENSIONS.includes(next) || next === FRAGMENT) {
    if (frame.length < at + 8) return 'IPv6, damaged';
    if (next === FRAGMENT) fragment = u16(frame, at + 2) >> 3;
    const length = next === FRAGMENT ? 8 : 8 * (frame[at + 1]! + 1);
    next = frame[at]!;
    at += length;
  }
  const from = ipv6Address(frame.subarray(start + 8, start + 24));
  const to = ipv6Address(frame.subarray(start + 24, start + 40));
  return transportText(frame, at, next, from, to, fragment);
}

function transportText(
  frame: Uint8Array,
  at: number,
  proto: number,
  from: string,
  to: string,
  fragment: number,
): string {
  const name = PROTOCOLS[proto] ?? `protocol ${proto}`;
  if (fragment > 0) return `${name} fragment ${from} > ${to}`;
  if ((proto !== 6 && proto !== 17 && proto !== 132) || frame.length < at + 4)
    return `${name} ${from} > ${to}`;
  const bracket = (address: string) => (address.includes(':') ? `[${address}]` : address);
  const ends = `${bracket(from)}:${u16(frame, at)} > ${bracket(to)}:${u16(frame, at + 2)}`;
  const flags = proto === 6 && frame.length > at + 13 ? ` [${tcpFlags(frame[at + 13]!)}]` : '';
  return `${name} ${ends}${flags}`;
}

function tcpFlags(bits: number): string {
  return TCP_FLAGS.filter((_, i) => ((bits >> i) & 1) === 1).join('');
}

/** RFC 5952: the longest run of zero groups is left out. */
function ipv6Address(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => u16(bytes, i * 2).toString(16));
  const runs = [...groups.join(':').matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)];
  const longest = runs.reduce((best, run) => (run[0].length > best.length ? run[0] : best), '');
  if (longest === '') return groups.join(':');
  const [head, ...tail] = groups.join(':').split(longest);
  return `${head}::${tail.join(longest).replace(/^:/, '')}`;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
