/** Direct packet access: bytes have to be compared with the packet's end before they are touched. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';

const CHECK_FIRST =
  'A packet may be of any length, so a load or store through a packet pointer is allowed only on bytes that a comparison with data_end has shown to be there, on this very path. The comparison gives its result to every copy of the pointer with the same variable part; adding an unknown number starts a new pointer with nothing checked, and helpers that may move the packet void all packet pointers.';

function checksText(f: Finding): string {
  const checks = f.packetChecks();
  if (checks.length === 0) return 'no comparison with the end of the packet lies on this path';
  const covered = f.value()?.attributes.get('r') ?? '0';
  const list = checks.map((slot) => f.at(slot)).join(', ');
  if (covered === '0') return `the comparison at ${list} does not cover this pointer on this branch`;
  return `the comparison at ${list} covers only ${covered} bytes`;
}

function pastEnd(f: Finding): string {
  const end = f.number('off') + f.number('size');
  return `${f.regName} is a packet pointer with a range of ${f.number('range')} checked bytes, ${f.access} needs ${end}: ${checksText(f)}.`;
}

const COMPARE =
  'Compare data + offset + size with data_end before the access, on every path to it, and leave when it is greater: `if (data + sizeof(*hdr) > data_end) return …`.';
const SAME_POINTER =
  'Access through the pointer that was compared, or a copy of it; after adding a variable length compare the new pointer again.';
const RELOAD =
  'After helpers that may change the packet (bpf_skb_pull_data, bpf_xdp_adjust_head, …) load data and data_end afresh and compare again.';

export const PACKET_RULES: readonly Rule[] = [
  {
    id: 'packet-range',
    title: 'Packet access beyond the checked bytes',
    pattern:
      /^invalid access to packet, off=(?<off>-?\d+) size=(?<size>\d+), R(?<reg>\d+)\(id=\d+,off=-?\d+,r=(?<range>-?\d+)\)/,
    text: CHECK_FIRST,
    what: pastEnd,
    mend: (f) =>
      f.number('range') === 0
        ? [COMPARE, SAME_POINTER, RELOAD]
        : [COMPARE, 'Raise the compared size to the last byte that is accessed.', SAME_POINTER],
  },
  {
    id: 'packet-outside',
    title: 'Packet pointer beyond the end of the packet',
    pattern: /^R(?<reg>\d+) offset is outside of the packet/,
    text: CHECK_FIRST,
    what: (f) => `${f.is()} on this branch, so nothing may be touched through it.`,
    mend: [
      'The branches are the wrong way round: access the packet where data + size <= data_end holds, leave in the other one.',
      COMPARE,
    ],
  },
  {
    id: 'packet-write',
    title: 'Program type that may not write packets',
    pattern: /^(?:cannot write into packet|the prog does not allow writes to packet data)/,
    text: 'Only some program types may store straight into packet data: XDP, traffic control, sk_skb, sk_msg, lwt_xmit and cgroup socket-option programs. Others, such as cgroup_skb programs and flow dissectors, may read it at most.',
    what: (f) => `${f.access} stores through ${f.regName}, and ${f.is()}.`,
    mend: [
      'Keep the result in a map or on the stack instead of the packet.',
      'Use a program type that may change packets, such as sched_cls or xdp.',
    ],
  },
  {
    id: 'packet-to-helper',
    title: 'Packet memory handed to a helper that cannot take it',
    pattern: /^helper access to the packet is not allowed/,
    text: 'A helper takes packet memory as an argument only if it is marked so, and the program type has direct packet access: the packet may move while other helpers run.',
    what: (f) => `${f.helper} is handed packet memory, which it does not take in this program type.`,
    mend: ['Copy the bytes to the stack first and hand the helper that copy.'],
    follow: (f) => f.argumentsOf('pkt').map((regno) => ({ kind: 'reg', regno })),
  },
  {
    id: 'packet-alignment',
    title: 'Misaligned packet access',
    pattern: /^misaligned packet access off (?<at>.+) size (?<size>\d+)/,
    text: 'With BPF_F_STRICT_ALIGNMENT packet accesses have to be aligned as on machines that need it. Packets start 2 bytes past a multiple of 4 (NET_IP_ALIGN), so that the IP header behind the Ethernet header is aligned.',
    what: (f) =>
      `${f.access} of ${f.text('size')} bytes lies at ${f.text('at')} (start, variable part, fixed offset, offset of the instruction), which is no multiple of ${f.text('size')}; ${f.is()}.`,
    mend: [
      'Load byte by byte and put the value together.',
      'Load the program without BPF_F_STRICT_ALIGNMENT where the machine takes unaligned accesses.',
    ],
  },
  {
    id: 'flow-keys-bounds',
    title: 'Access outside the flow keys',
    pattern: /^invalid access to flow keys off=(?<off>-?\d+) size=(?<size>\d+)/,
    text: 'A flow dissector fills a struct bpf_flow_keys of 56 bytes; only those may be touched.',
    what: (f) =>
      `${f.access} of ${f.text('size')} bytes at offset ${f.text('off')} does not lie inside the 56 bytes.`,
    mend: ['Access members of struct bpf_flow_keys by name.'],
  },
];
