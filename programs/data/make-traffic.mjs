/**
 * Writes `traffic.pcap`: a minute at a small office's router, frame by frame, with right checksums. The same bytes
 * each time. `node programs/data/make-traffic.mjs`
 */
import { writeFileSync } from 'node:fs';

const ETH = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, qinq: 0x88a8, lldp: 0x88cc };
const IP = { icmp: 1, tcp: 6, udp: 17, gre: 47, icmpv6: 58, sctp: 132, hop: 0, fragment: 44 };
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;

const u16 = (value) => [(value >>> 8) & 255, value & 255];
const u32 = (value) => [...u16(value >>> 16), ...u16(value)];
const text = (string) => [...Buffer.from(string, 'latin1')];
const mac = (last) => [0x02, 0, 0, 0, 0, last];
const v4 = (address) => address.split('.').map(Number);
/** Only addresses written out with all their groups, or with one `::`. */
function v6(address) {
  const [head, tail = ''] = address.split('::');
  const groups = (part) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const middle = Array(8 - groups(head).length - groups(tail).length).fill(0);
  return [...groups(head), ...middle, ...groups(tail)].flatMap(u16);
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Puts the checksum into a transport header; `at` is its offset, the field is zero in `segment`. */
function sealed(source, destination, proto, segment, at) {
  const pseudo = [...source, ...destination, ...(source.length === 4 ? u16(proto) : u32(proto))];
  const length = source.length === 4 ? u16(segment.length) : u32(segment.length);
  const sum = checksum([...pseudo.slice(0, -2), ...length, ...pseudo.slice(-2), ...segment]);
  return [...segment.slice(0, at), ...u16(sum), ...segment.slice(at + 2)];
}

function tcp(source, destination, sport, dport, flags, seq, ack, payload = []) {
  const header = [
    ...u16(sport),
    ...u16(dport),
    ...u32(seq),
    ...u32(ack),
    0x50,
    flags,
    ...u16(64240),
    0,
    0,
    0,
    0,
  ];
  return sealed(source, destination, IP.tcp, [...header, ...payload], 16);
}

function udp(source, destination, sport, dport, payload) {
  const header = [...u16(sport), ...u16(dport), ...u16(8 + payload.length), 0, 0];
  return sealed(source, destination, IP.udp, [...header, ...payload], 6);
}

function icmp(type, id, sequence, payload) {
  const message = [type, 0, 0, 0, ...u16(id), ...u16(sequence), ...payload];
  return [...message.slice(0, 2), ...u16(checksum(message)), ...message.slice(4)];
}

let nextId = 0x1000;

function ipv4(
  source,
  destination,
  proto,
  payload,
  { ttl = 64, fragment = 0, id = nextId++, options = [] } = {},
) {
  const words = 5 + options.length / 4;
  const length = words * 4 + payload.length;
  const header = [
    0x40 | words,
    0,
    ...u16(length),
    ...u16(id),
    ...u16(fragment),
    ttl,
    proto,
    0,
    0,
    ...source,
    ...destination,
  ];
  const whole = [...header, ...options];
  return [...whole.slice(0, 10), ...u16(checksum(whole)), ...whole.slice(12), ...payload];
}

function ipv6(source, destination, next, payload, hopLimit = 64) {
  return [...u32(0x60000000), ...u16(payload.length), next, hopLimit, ...source, ...destination, ...payload];
}

/** Frames shorter than Ethernet's minimum are padded as a network card would see them. */
function ethernet(type, payload, { from = 1, to = 2, tags = [], pad = true } = {}) {
  const header = [...mac(to), ...mac(from)];
  for (const [tpid, id] of tags) header.push(...u16(tpid), ...u16(id));
  const frame = [...header, ...u16(type), ...payload];
  while (pad && frame.length < 60) frame.push(0);
  return frame;
}

const HOST = v4('192.0.2.10');
const PRINTER = v4('192.0.2.20');
const WEB = v4('198.51.100.80');
const RESOLVER = v4('198.51.100.53');
const SCANNER = v4('203.0.113.66');
const HOST6 = v6('2001:db8::10');
const WEB6 = v6('2001:db8:80::1');

const frames = [];
const add = (frame, gapUs = 250, wireLength = frame.length) => frames.push({ frame, gapUs, wireLength });
const addV4 = (source, destination, proto, payload, options = {}) =>
  add(ethernet(ETH.ipv4, ipv4(source, destination, proto, payload, options), options));

function dns(id, response, name) {
  const labels = name.split('.').flatMap((label) => [label.length, ...text(label)]);
  const question = [...labels, 0, ...u16(1), ...u16(1)];
  const answer = response ? [...u16(0xc00c), ...u16(1), ...u16(1), ...u32(300), ...u16(4), ...WEB] : [];
  return [
    ...u16(id),
    response ? 0x81 : 0x01,
    response ? 0x80 : 0,
    ...u16(1),
    ...u16(response ? 1 : 0),
    0,
    0,
    0,
    0,
    ...question,
    ...answer,
  ];
}

/** A whole connection: handshake, a request, the answer in segments, orderly end. */
function conversation(client, server, sport, dport, request, answers, wrap) {
  let seq = 1000;
  let ack = 5000;
  const out = (flags, payload = []) => {
    wrap(client, server, tcp(client, server, sport, dport, flags, seq, flags & ACK ? ack : 0, payload));
    seq += payload.length + (flags & (SYN | FIN) ? 1 : 0);
  };
  const back = (flags, payload = []) => {
    wrap(server, client, tcp(server, client, dport, sport, flags, ack, seq, payload));
    ack += payload.length + (flags & (SYN | FIN) ? 1 : 0);
  };
  out(SYN);
  back(SYN | ACK);
  out(ACK);
  out(PSH | ACK, text(request));
  for (const size of answers) {
    back(
      ACK,
      Array.from({ length: size }, (_, i) => 0x20 + (i % 90)),
    );
    out(ACK);
  }
  out(FIN | ACK);
  back(FIN | ACK);
  out(ACK);
}

const plain4 = (source, destination, segment) => addV4(source, destination, IP.tcp, segment);
const plain6 = (source, destination, segment) =>
  add(ethernet(ETH.ipv6, ipv6(source, destination, IP.tcp, segment)));
const tagged4 = (source, destination, segment) =>
  addV4(source, destination, IP.tcp, segment, { tags: [[ETH.vlan, 42]] });

// Who has the router's address? Then a name, and a page from it.
const arp = (op, from, to) => [
  0,
  1,
  8,
  0,
  6,
  4,
  ...u16(op),
  ...mac(op),
  ...from,
  ...mac(op === 1 ? 0 : 1),
  ...to,
];
add(ethernet(ETH.arp, arp(1, HOST, v4('192.0.2.1')), { to: 255 }));
add(ethernet(ETH.arp, arp(2, v4('192.0.2.1'), HOST), { from: 2, to: 1 }));
addV4(HOST, RESOLVER, IP.udp, udp(HOST, RESOLVER, 40000, 53, dns(1, false, 'www.example.org')));
addV4(RESOLVER, HOST, IP.udp, udp(RESOLVER, HOST, 53, 40000, dns(1, true, 'www.example.org')));
conversation(
  HOST,
  WEB,
  50000,
  80,
  'GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n',
  [1400, 1400, 600],
  plain4,
);
conversation(HOST6, WEB6, 50001, 443, 'client hello', [900, 300], plain6);
conversation(HOST, PRINTER, 50002, 631, 'POST /ipp HTTP/1.1\r\n\r\n', [120], tagged4);

// Pings, one of them with an IP option (router alert), one at the end of its life.
const ping = Array.from({ length: 40 }, (_, i) => 0x61 + (i % 23));
addV4(HOST, WEB, IP.icmp, icmp(8, 7, 1, ping));
addV4(WEB, HOST, IP.icmp, icmp(0, 7, 1, ping));
addV4(HOST, WEB, IP.icmp, icmp(8, 7, 2, ping), { options: [0x94, 4, 0, 0] });
addV4(HOST, WEB, IP.icmp, icmp(8, 7, 3, ping), { ttl: 1 });

// Time of day twice with no answer, a query that smells of a tunnel, and its answer.
for (const port of [40001, 40002]) addV4(HOST, WEB, IP.udp, udp(HOST, WEB, port, 123, Array(48).fill(0x23)));
const tunnel = `${'k3jv9x2m'.repeat(7)}.t.example.net`;
addV4(HOST, RESOLVER, IP.udp, udp(HOST, RESOLVER, 40003, 53, dns(2, false, tunnel)));
addV4(RESOLVER, HOST, IP.udp, udp(RESOLVER, HOST, 53, 40003, dns(2, true, tunnel)));

// A scan: one SYN that is reset, three that nobody answers, and two stray segments of no connection.
addV4(SCANNER, HOST, IP.tcp, tcp(SCANNER, HOST, 31337, 22, SYN, 1, 0));
addV4(HOST, SCANNER, IP.tcp, tcp(HOST, SCANNER, 22, 31337, RST | ACK, 0, 2));
for (const port of [23, 445, 3389]) addV4(SCANNER, HOST, IP.tcp, tcp(SCANNER, HOST, 31337, port, SYN, 1, 0));
addV4(SCANNER, HOST, IP.tcp, tcp(SCANNER, HOST, 31338, 80, ACK, 7, 7));
addV4(SCANNER, HOST, IP.tcp, tcp(SCANNER, HOST, 31338, 80, FIN | PSH, 8, 7));

// A datagram too long for the wire, in two fragments; one IPv6 fragment.
const long = udp(HOST, WEB, 40004, 2049, Array(1600).fill(0x55));
addV4(HOST, WEB, IP.udp, long.slice(0, 1480), { id: 0x7777, fragment: 0x2000 });
addV4(HOST, WEB, IP.udp, long.slice(1480), { id: 0x7777, fragment: 185 });
const long6 = udp(HOST6, WEB6, 40007, 2049, Array(1600).fill(0x66));
add(
  ethernet(
    ETH.ipv6,
    ipv6(HOST6, WEB6, IP.fragment, [IP.udp, 0, ...u16(1), ...u32(99), ...long6.slice(0, 64)]),
  ),
);

// IPv6 behind a hop-by-hop header, neighbour discovery, and SCTP.
const udp6 = udp(HOST6, WEB6, 40005, 53, dns(3, false, 'ipv6.example.org'));
add(ethernet(ETH.ipv6, ipv6(HOST6, WEB6, IP.hop, [IP.udp, 0, 5, 2, 0, 0, 1, 0, ...udp6])));
const solicit = [135, 0, 0, 0, 0, 0, 0, 0, ...v6('2001:db8::1')];
add(
  ethernet(
    ETH.ipv6,
    ipv6(
      HOST6,
      v6('ff02::1:ff00:1'),
      IP.icmpv6,
      sealed(HOST6, v6('ff02::1:ff00:1'), IP.icmpv6, solicit, 2),
      255,
    ),
  ),
);
add(ethernet(ETH.ipv6, ipv6(HOST6, WEB6, IP.sctp, [...u16(5000), ...u16(5000), ...Array(24).fill(0)])));

// Two tags, a tunnel, a switch that says hello.
addV4(HOST, RESOLVER, IP.udp, udp(HOST, RESOLVER, 40006, 53, dns(4, false, 'qinq.example.org')), {
  tags: [
    [ETH.qinq, 100],
    [ETH.vlan, 42],
  ],
});
addV4(HOST, WEB, IP.gre, [
  0,
  0,
  ...u16(ETH.ipv4),
  ...ipv4(PRINTER, WEB, IP.icmp, icmp(8, 9, 1, ping.slice(0, 8))),
]);
add(
  ethernet(ETH.lldp, [
    0x02,
    0x07,
    0x04,
    ...mac(9),
    0x04,
    0x03,
    0x01,
    ...text('p1'),
    0x06,
    0x02,
    0,
    120,
    0,
    0,
  ]),
);

// Damaged: cut in the IP header, a header length that lies, and a long frame of which the capture kept 64 bytes.
add(ethernet(ETH.ipv4, ipv4(SCANNER, HOST, IP.udp, []).slice(0, 12), { pad: false }));
const liar = ipv4(SCANNER, HOST, IP.udp, udp(SCANNER, HOST, 1, 2, []));
liar[0] = 0x4f;
add(ethernet(ETH.ipv4, liar));
const cut = ethernet(ETH.ipv4, ipv4(WEB, HOST, IP.udp, udp(WEB, HOST, 2049, 40004, Array(1000).fill(0x77))));
add(cut.slice(0, 64), 250, cut.length);

const file = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
const le32 = (value) => u32(value).reverse();
let timeUs = 0;
for (const { frame, gapUs, wireLength } of frames) {
  timeUs += gapUs;
  file.push(...le32(1767225600 + Math.floor(timeUs / 1e6)), ...le32(timeUs % 1e6));
  file.push(...le32(frame.length), ...le32(wireLength), ...frame);
}
writeFileSync(new URL('traffic.pcap', import.meta.url), Uint8Array.from(file));
process.stdout.write(`traffic.pcap: ${frames.length} frames, ${file.length} bytes\n`);
