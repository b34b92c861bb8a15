/**
 * Loads that read no packet: `ld [SKF_AD_OFF + n]` asks Linux about the packet's metadata
 * (linux/filter.h, `bpf_anc_helper`). Some are fields of `struct __sk_buff` under another name; the rest are
 * calls that whoever runs the program must serve.
 */

/** Offsets from here on, taken as unsigned 32-bit numbers, are ancillary. */
export const SKF_AD_OFF = 0xfffff000;
/** Loads relative to the network and the link-layer header. */
export const SKF_NET_OFF = -0x100000;
export const SKF_LL_OFF = -0x200000;

export type AncillaryName =
  | 'proto'
  | 'type'
  | 'ifidx'
  | 'nla'
  | 'nlan'
  | 'mark'
  | 'queue'
  | 'hatype'
  | 'rxhash'
  | 'cpu'
  | 'xor_x'
  | 'vlan_tci'
  | 'vlan_avail'
  | 'poff'
  | 'rand'
  | 'vlan_tpid';

/** Names in the order of `SKF_AD_PROTOCOL`, `SKF_AD_PKTTYPE`, …; each is 4 past the one before. Spelling: bpf_asm's. */
export const ANCILLARY: readonly AncillaryName[] = [
  'proto',
  'type',
  'ifidx',
  'nla',
  'nlan',
  'mark',
  'queue',
  'hatype',
  'rxhash',
  'cpu',
  'xor_x',
  'vlan_tci',
  'vlan_avail',
  'poff',
  'rand',
  'vlan_tpid',
];

/** What an offset asks for, or undefined where it is a packet offset or unknown. */
export function ancillaryOf(k: number): AncillaryName | undefined {
  const n = k - SKF_AD_OFF;
  return n >= 0 && n % 4 === 0 ? ANCILLARY[n / 4] : undefined;
}

/** Extensions that are calls: r1 = context, r2 = A, r3 = X, the result goes to A. */
export const CLASSIC_CALLS = ['nla', 'nlan', 'hatype', 'cpu', 'poff', 'rand'] as const;
export type ClassicCall = (typeof CLASSIC_CALLS)[number];

/** Helper numbers from here on are classic extensions, out of the way of Linux's helpers: base + `SKF_AD_*`. */
export const CLASSIC_CALL_BASE = 0x0cbf0000;

/** Default helper number of an extension call. */
export function classicCallId(name: ClassicCall): number {
  return CLASSIC_CALL_BASE + 4 * ANCILLARY.indexOf(name);
}

/** The extension that a helper number of the default numbering stands for, or undefined. */
export function classicCallOf(id: number): ClassicCall | undefined {
  return CLASSIC_CALLS.find((name) => classicCallId(name) === id);
}

/** Offsets of the fields of `struct __sk_buff` (linux/bpf.h) that converted filters read, in bytes; all are u32. */
export const SKB_OFFSETS = {
  len: 0,
  pktType: 4,
  mark: 8,
  queueMapping: 12,
  protocol: 16,
  vlanPresent: 20,
  vlanTci: 24,
  vlanProto: 28,
  ifindex: 40,
  hash: 68,
} as const;

/** Size of `struct seccomp_data` in bytes. */
export const SECCOMP_DATA_SIZE = 64;
