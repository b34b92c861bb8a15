/**
 * Programs that call helpers and kernel functions whose results do not depend on the machine, to be run by the kernel and by
 * ours: a table by helper. Each program is assembly; what a helper writes is folded into the result.
 */
import type { MapSpec } from './random/gen.js';

export interface HelperCase {
  readonly name: string;
  readonly type: string;
  readonly asm: string;
  readonly maps?: readonly MapSpec[];
  /** Hex. */
  readonly data?: string;
}

const MAC = 'ffffffffffff001122334455';
/** Ethernet, IPv4 with ECT(0), UDP, 24 bytes. */
export const IPV4 = `${MAC}080045020034000040004011ff99c0a801010a00000204d2162e002012340102030405060708090a0b0c0d0e0f101112131415161718`;
export const IPV6 = `${MAC}86dd602000000020114020010db800000000000000000000000120010db800000000000000000000000204d2162e00201234a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8`;

const PACKET_TYPES = ['sched_cls', 'socket_filter', 'cgroup_skb', 'lwt_xmit', 'lwt_in'];

/** Loads a constant of up to 64 bits. */
const set = (reg: number, value: number | string): string =>
  typeof value === 'number' && Math.abs(value) > 0x7fffffff ? `r${reg} = ${value} ll` : `r${reg} = ${value}`;

/** A call with the context in r1 and numbers behind it. */
const call = (name: string, ...args: (number | string)[]): string =>
  [...args.map((arg, i) => set(i + 2, arg)), 'r1 = r6', `call bpf_${name}`].join('\n');

/** Programs of control groups say yes or no: what is left of the result is its lowest bit. */
export const program = (body: string, type = ''): string =>
  `r6 = r1\n${body}\n${type === 'cgroup_skb' ? 'r0 &= 1\n' : ''}exit`;

/** Stores bytes of hex at r10 - `at`, 8 at a time. */
export function put(at: number, hex: string): string {
  const bytes = Buffer.from(hex.padEnd(Math.ceil(hex.length / 16) * 16, '0'), 'hex');
  const lines: string[] = [];
  for (let i = 0; i < bytes.length; i += 8) {
    lines.push(`r0 = ${bytes.readBigInt64LE(i)} ll`, `*(u64 *)(r10 - ${at - i}) = r0`);
  }
  return lines.join('\n');
}

const text = (value: string): string => Buffer.from(`${value}\0`, 'latin1').toString('hex');

/** Folds `size` bytes at r10 - `at` and r0 into r0. */
export function fold(at: number, size: number): string {
  const lines: string[] = ['r7 = r0'];
  for (let i = 0; i < size; i += 4) {
    lines.push('r7 *= 31', `r0 = *(u32 *)(r10 - ${at - i})`, 'r7 ^= r0');
  }
  return [...lines, 'r0 = r7'].join('\n');
}

const zero = (at: number, size: number): string => put(at, '00'.repeat(size));

/** A pointer to the stack in a register. */
const at = (reg: number, offset: number): string => `r${reg} = r10\nr${reg} += -${offset}`;

function cases(name: string, type: string, bodies: readonly string[], data = IPV4): HelperCase[] {
  return bodies.map((body, i) => ({ name: `${name} ${i}`, type, asm: program(body, type), data }));
}

const strings = (): HelperCase[] =>
  [
    '12',
    '-12',
    ' 0x1f',
    '0755',
    '',
    'abc',
    '99999999999999999999999',
    '-',
    '0x',
    '18446744073709551615',
    '9223372036854775808',
    '+5',
  ]
    .flatMap((value) => [0, 8, 10, 16, 7].map((base) => [value, base] as const))
    .flatMap(([value, base]) =>
      ['strtol', 'strtoul'].map(
        (helper): HelperCase => ({
          name: `${helper} ${JSON.stringify(value)} base ${base}`,
          type: 'sched_cls',
          data: IPV4,
          asm: program(
            `${put(64, text(value))}\n${zero(16, 8)}\n${at(1, 64)}\nr2 = ${value.length + 1}\nr3 = ${base}\n${at(4, 16)}\ncall bpf_${helper}\n${fold(16, 8)}`,
          ),
        }),
      ),
    );

const RODATA: (value: string) => MapSpec = (value) => ({
  name: 'ro',
  type: 'array',
  key_size: 4,
  value_size: Math.max(8, value.length + 1),
  max_entries: 1,
  map_flags: 128,
  frozen: true,
  data: text(value).padEnd(2 * Math.max(8, value.length + 1), '0'),
});

const FORMATS: readonly (readonly [format: string, args: readonly (number | string)[]])[] = [
  ['plain', []],
  ['%d %u %x', [1, 2, 255]],
  ['%d', [-5]],
  ['%llx %ld %lu', ['0x123456789abcdef0 ll', -7, 8]],
  ['%05d|%-6d|%+d|% d', [42, 42, 42, 42]],
  ['%#x %X %08x', [255, 255, 48879]],
  ['%c%c', [65, 66]],
  ['100%% %i', [3]],
  ['%5u|%-5u|', [7, 7]],
  ['%s', [0]],
  ['%pks', [0]],
  ['%q', [1]],
  ['%d %d', [1]],
  ['%hd %hhx', [70000, 511]],
  ['%p4', [1]],
  ['%10lld|%-10llu|', [-3, 4]],
  ['%2d|%02x|%.3d', [123, 10, 4]],
];

const printing = (): HelperCase[] =>
  FORMATS.flatMap(([format, args]) =>
    [64, 8, 1].map((size): HelperCase => {
      const stores = args.map((arg, n) => `${set(0, arg)}\n*(u64 *)(r10 - ${128 - 8 * n}) = r0`);
      return {
        name: `snprintf ${JSON.stringify(format)} in ${size}`,
        type: 'sched_cls',
        data: IPV4,
        maps: [RODATA(format)],
        asm: program(
          `${zero(64, 64)}\n${stores.join('\n')}\n${at(1, 64)}\nr2 = ${size}\nr3 = map[fd:0][0]+0\n${args.length === 0 ? 'r4 = 0' : at(4, 128)}\nr5 = ${8 * args.length}\ncall bpf_snprintf\n${fold(64, 64)}`,
        ),
      };
    }),
  );

const comparing = (): HelperCase[] =>
  [
    ['abc', 'abc', 4],
    ['abc', 'abd', 4],
    ['abd', 'abc', 3],
    ['ab', 'abc', 2],
    ['ab\0x', 'ab\0y', 4],
  ].map(
    ([a, b, size]): HelperCase => ({
      name: `strncmp ${JSON.stringify([a, b, size])}`,
      type: 'xdp',
      data: IPV4,
      maps: [RODATA(b as string)],
      asm: program(
        `${put(16, text(a as string))}\n${at(1, 16)}\nr2 = ${size}\nr3 = map[fd:0][0]+0\ncall bpf_strncmp`,
      ),
    }),
  );

/** Every packet helper with arguments around its limits. */
const packets = (): HelperCase[] => [
  ...[IPV4, IPV6].flatMap((data) => [
    ...[-64, -20, -14, -8, -1, 0, 1, 8, 20, 40, 200, 4095, 4096].flatMap((size) =>
      [0, 1, 2].flatMap((mode) =>
        [0, 32, 2, 4, 6, 10, 24, 128, 256, 384, 1024, 64].flatMap((flags) =>
          cases('adjust_room', 'sched_cls', [call('skb_adjust_room', size, mode, flags)], data),
        ),
      ),
    ),
    ...[0x0008, 0xdd86, 0, 0x0608].flatMap((protocol) =>
      [0, 1].flatMap((flags) =>
        cases('change_proto', 'sched_cls', [call('skb_change_proto', protocol, flags)], data),
      ),
    ),
    ...cases(
      'ecn_set_ce',
      'sched_cls',
      [call('skb_ecn_set_ce'), `${call('skb_ecn_set_ce')}\n${call('skb_ecn_set_ce')}`],
      data,
    ),
    ...cases('ecn_set_ce', 'cgroup_skb', [call('skb_ecn_set_ce')], data),
    ...cases(
      'pull_data',
      'sched_cls',
      [0, 1, 14, 54, 66, 67, 70000].map((n) => call('skb_pull_data', n)),
      data,
    ),
    ...cases(
      'change_tail',
      'sched_cls',
      [0, 13, 14, 20, 66, 100, 3000, 20000].flatMap((n) => [
        call('skb_change_tail', n, 0),
        call('skb_change_tail', n, 1),
      ]),
      data,
    ),
    ...cases(
      'change_head',
      'sched_cls',
      [0, 1, 14, 64, 300, 1000, 100000].flatMap((n) => [
        call('skb_change_head', n, 0),
        call('skb_change_head', n, 1),
      ]),
      data,
    ),
    ...cases(
      'set_tstamp',
      'sched_cls',
      [0, 1, 2, 3].flatMap((type) =>
        [0, 5].map(
          (time) =>
            `${call('skb_set_tstamp', time, type)}\nr7 = r0\nr1 = *(u64 *)(r6 + 152)\nr7 ^= r1\nr2 = *(u8 *)(r6 + 180)\nr2 <<= 8\nr7 ^= r2\nr0 = r7`,
        ),
      ),
      data,
    ),
  ]),
  ...cases(
    'change_type',
    'sched_cls',
    [0, 1, 3, 4, 5, 7].map(
      (n) => `${call('skb_change_type', n)}\nr7 = r0\nr1 = *(u32 *)(r6 + 4)\nr7 <<= 4\nr7 |= r1\nr0 = r7`,
    ),
  ),
  ...cases(
    'csum_update',
    'sched_cls',
    [0, 77].map((n) => call('csum_update', n)),
  ),
  ...cases(
    'csum_level',
    'sched_cls',
    [0, 1, 2, 3, 4].map((n) => call('csum_level', n)),
  ),
  ...cases(
    'set_hash',
    'sched_cls',
    [0, 99].map((n) => `${call('set_hash', n)}\nr1 = *(u32 *)(r6 + 68)\nr0 += r1`),
  ),
  ...cases('set_hash_invalid', 'sched_cls', [
    `${call('set_hash', 99)}\n${call('set_hash_invalid')}\nr1 = *(u32 *)(r6 + 68)\nr0 += r1`,
  ]),
  ...cases('cgroup_classid', 'sched_cls', [
    call('get_cgroup_classid'),
    call('skb_cgroup_classid'),
    call('get_route_realm'),
  ]),
  ...cases(
    'xfrm',
    'sched_cls',
    [0, 1].flatMap((flags) =>
      [28, 8].map(
        (size) =>
          `${put(32, 'ff'.repeat(32))}\nr2 = 0\n${at(3, 32)}\nr4 = ${size}\nr5 = ${flags}\nr1 = r6\ncall bpf_skb_get_xfrm_state\n${fold(32, 32)}`,
      ),
    ),
  ),
  ...cases('sk_fullsock', 'sched_cls', [
    'r1 = *(u64 *)(r6 + 168)\nif r1 == 0 goto none\ncall bpf_sk_fullsock\nif r0 == 0 goto none\nr1 = *(u32 *)(r0 + 72)\nr2 = *(u32 *)(r0 + 8)\nr3 = *(u32 *)(r0 + 12)\nr4 = *(u32 *)(r0 + 76)\nr0 = r1\nr0 <<= 8\nr0 ^= r2\nr0 <<= 4\nr0 ^= r3\nr0 ^= r4\ngoto done\nnone:\nr0 = 77\ndone:',
    'r1 = *(u64 *)(r6 + 168)\nif r1 == 0 goto none\ncall bpf_sk_fullsock\nif r0 == 0 goto none\nr1 = r0\ncall bpf_tcp_sock\nif r0 == 0 goto none\nr0 = 1\ngoto done\nnone:\nr0 = 77\ndone:',
    'r1 = *(u64 *)(r6 + 168)\nif r1 == 0 goto none\ncall bpf_get_listener_sock\nif r0 == 0 goto none\nr0 = 1\ngoto done\nnone:\nr0 = 77\ndone:',
  ]),
  ...cases(
    'redirect_neigh',
    'sched_cls',
    [0, 1].map((flags) => `r1 = 5\nr2 = 0\nr3 = 0\nr4 = ${flags}\ncall bpf_redirect_neigh`),
  ),
  ...cases(
    'redirect',
    'lwt_xmit',
    [0, 1, 2].map((flags) => `r1 = 1\nr2 = ${flags}\ncall bpf_redirect`),
  ),
  ...cases('skb_under_cgroup', 'sched_cls', []),
];

const tunnels = (): HelperCase[] => {
  const key =
    '2a000000' +
    '0102030400000000000000000000000' +
    '0' +
    '0740' +
    '0000' +
    '00000000' +
    '0a0b0c0d000000000000000000000000';
  const set_ = (flags: number, size: number, hex = key): string =>
    `${put(48, hex)}\n${at(2, 48)}\nr3 = ${size}\nr4 = ${flags}\nr1 = r6\ncall bpf_skb_set_tunnel_key`;
  const get = (flags: number, size: number): string =>
    `${put(96, 'ee'.repeat(48))}\n${at(2, 96)}\nr3 = ${size}\nr4 = ${flags}\nr1 = r6\ncall bpf_skb_get_tunnel_key\n${fold(96, 48)}`;
  return [
    ...cases('get_tunnel_key alone', 'sched_cls', [get(0, 44), get(1, 44), get(2, 44)]),
    ...[0, 1, 2, 4, 8, 16, 32].flatMap((flags) =>
      [44, 28, 24, 22, 8, 20].flatMap((size) =>
        cases(`set_tunnel_key ${flags} ${size}`, 'sched_cls', [set_(flags, size)]),
      ),
    ),
    ...[0, 1, 16, 17, 32].flatMap((flags) =>
      [44, 28, 24, 22, 8, 20].flatMap((size) =>
        [0, 1].flatMap((ipv6) =>
          cases(`set, get_tunnel_key ${ipv6} ${flags} ${size}`, 'sched_cls', [
            `${set_(ipv6, 44)}\n${get(flags, size)}`,
          ]),
        ),
      ),
    ),
    ...[0, 2, 4, 8, 16, 30].flatMap((flags) =>
      cases(`tunnel flags ${flags}`, 'sched_cls', [
        `${set_(flags, 44)}\n${get(16, 44)}`,
        `${set_(flags, 44)}\n${put(16, '0102030405060708')}\n${at(2, 16)}\nr3 = 8\nr1 = r6\ncall bpf_skb_set_tunnel_opt\n${get(16, 44)}`,
      ]),
    ),
    ...cases('tunnel_opt', 'sched_cls', [
      `${zero(16, 16)}\n${at(2, 16)}\nr3 = 8\nr1 = r6\ncall bpf_skb_set_tunnel_opt`,
      `${zero(16, 16)}\n${at(2, 16)}\nr3 = 8\nr1 = r6\ncall bpf_skb_get_tunnel_opt`,
      `${set_(0, 44)}\n${put(16, '0102030405060708')}\n${at(2, 16)}\nr3 = 8\nr1 = r6\ncall bpf_skb_set_tunnel_opt\nr8 = r0\n${zero(32, 16)}\n${at(2, 32)}\nr3 = 16\nr1 = r6\ncall bpf_skb_get_tunnel_opt\nr0 ^= r8\n${fold(32, 16)}`,
      `${set_(0, 44)}\n${put(16, '0102030405060708')}\n${at(2, 16)}\nr3 = 8\nr1 = r6\ncall bpf_skb_set_tunnel_opt\n${zero(32, 16)}\n${at(2, 32)}\nr3 = 4\nr1 = r6\ncall bpf_skb_get_tunnel_opt\n${fold(32, 16)}`,
      `${set_(0, 44)}\n${put(16, '0102030405060708')}\n${at(2, 16)}\nr3 = 6\nr1 = r6\ncall bpf_skb_set_tunnel_opt`,
    ]),
  ];
};

const mtu = (): HelperCase[] =>
  ['sched_cls', 'xdp'].flatMap((type) =>
    [0, 1, 999999].flatMap((ifindex) =>
      [0, 100, 65536, 65537, 70000].flatMap((given) =>
        [0, -50, 10, 70000].flatMap((difference) =>
          [0, 1, 2].flatMap((flags) =>
            cases(`check_mtu ${ifindex} ${given} ${difference} ${flags}`, type, [
              `r0 = ${given}\n*(u64 *)(r10 - 8) = r0\nr1 = r6\nr2 = ${ifindex}\n${at(3, 8)}\nr4 = ${difference}\nr5 = ${flags}\ncall bpf_check_mtu\n${fold(8, 8)}`,
            ]),
          ),
        ),
      ),
    ),
  );

const fib = (): HelperCase[] =>
  ['sched_cls', 'xdp'].flatMap((type) =>
    [0, 2, 10, 17].flatMap((family) =>
      [64, 63].flatMap((size) =>
        [0, 1, 64].flatMap((flags) =>
          [0, 1, 999999].flatMap((ifindex) =>
            cases(`fib_lookup ${family} ${size} ${flags} ${ifindex}`, type, [
              `${zero(64, 64)}\nr0 = ${family}\n*(u8 *)(r10 - 64) = r0\nr0 = ${ifindex}\n*(u32 *)(r10 - 56) = r0\nr1 = r6\n${at(2, 64)}\nr3 = ${size}\nr4 = ${flags}\ncall bpf_fib_lookup`,
            ]),
          ),
        ),
      ),
    ),
  );

const lookups = (): HelperCase[] =>
  ['sched_cls', 'xdp', 'cgroup_skb'].flatMap((type) =>
    ['sk_lookup_tcp', 'sk_lookup_udp', 'skc_lookup_tcp'].flatMap((helper) =>
      [12, 36, 20].flatMap((size) =>
        [0, 1].flatMap((flags) =>
          cases(`${helper} ${size} ${flags}`, type, [
            `${zero(40, 40)}\nr1 = r6\n${at(2, 40)}\nr3 = ${size}\nr4 = -1\nr5 = ${flags}\ncall bpf_${helper}\nif r0 == 0 goto none\nr1 = r0\ncall bpf_sk_release\nr0 = 1\nnone:`,
          ]),
        ),
      ),
    ),
  );

const DYNPTR_KIT = (size: number, flags: number): string =>
  `r0 = 0\n*(u64 *)(r10 - 8) = r0\n`.slice(0, 0) +
  `r1 = map[fd:0][0]+0\nr2 = ${size}\nr3 = ${flags}\n${at(4, 16)}\ncall bpf_dynptr_from_mem\nr8 = r0`;

const MEM: MapSpec = {
  name: 'mem',
  type: 'array',
  key_size: 4,
  value_size: 64,
  max_entries: 1,
  map_flags: 0,
  data: Array.from({ length: 64 }, (_, i) => (i * 3 + 1).toString(16).padStart(2, '0')).join(''),
};

const dynptrs = (): HelperCase[] => {
  const one = (name: string, body: string): HelperCase => ({
    name,
    type: 'sched_cls',
    data: IPV4,
    maps: [MEM],
    asm: program(body),
  });
  return [
    ...[0, 1].flatMap((flags) =>
      [0, 1, 64].map((size) =>
        one(`dynptr_from_mem ${size} ${flags}`, `${DYNPTR_KIT(size, flags)}\nr0 = r8`),
      ),
    ),
    ...[0, 1, 60, 63, 64].flatMap((offset) =>
      [1, 4, 8].flatMap((size) =>
        [0, 1].flatMap((flags) => [
          one(
            `dynptr_read ${offset} ${size} ${flags}`,
            `${DYNPTR_KIT(64, 0)}\n${zero(32, 8)}\n${at(1, 32)}\nr2 = ${size}\n${at(3, 16)}\nr4 = ${offset}\nr5 = ${flags}\ncall bpf_dynptr_read\n${fold(32, 8)}`,
          ),
          one(
            `dynptr_write ${offset} ${size} ${flags}`,
            `${DYNPTR_KIT(64, 0)}\n${put(32, '0102030405060708')}\n${at(1, 16)}\nr2 = ${offset}\n${at(3, 32)}\nr4 = ${size}\nr5 = ${flags}\ncall bpf_dynptr_write\nr7 = r0\nr1 = map[fd:0][0]+0\nr2 = *(u64 *)(r1 + 56)\nr7 ^= r2\nr0 = r7`,
          ),
        ]),
      ),
    ),
    ...[0, 8, 60].flatMap((offset) =>
      [4, 8].map((size) =>
        one(
          `dynptr_data ${offset} ${size}`,
          `${DYNPTR_KIT(64, 0)}\n${at(1, 16)}\nr2 = ${offset}\nr3 = ${size}\ncall bpf_dynptr_data\nif r0 == 0 goto none\nr0 = *(u32 *)(r0 + 0)\nnone:`,
        ),
      ),
    ),
    one(
      'null dynptr',
      `${DYNPTR_KIT(64, 1)}\n${zero(32, 8)}\n${at(1, 32)}\nr2 = 4\n${at(3, 16)}\nr4 = 0\nr5 = 0\ncall bpf_dynptr_read`,
    ),
  ];
};

const misc = (): HelperCase[] => [
  ...PACKET_TYPES.flatMap((type) => [
    ...cases(
      'load_bytes',
      type,
      [0, 4, 12, 60, 65, 66, 67].map(
        (n) =>
          `${zero(16, 8)}\nr1 = r6\nr2 = ${n}\n${at(3, 16)}\nr4 = 4\ncall bpf_skb_load_bytes\n${fold(16, 8)}`,
      ),
    ),
  ]),
  ...['sched_cls', 'socket_filter', 'cgroup_skb'].flatMap((type) =>
    [0, 1, 2].flatMap((header) =>
      cases(
        'load_bytes_relative',
        type,
        [0, 12, 50, 66, -4].map(
          (n) =>
            `${zero(16, 8)}\nr1 = r6\nr2 = ${n}\n${at(3, 16)}\nr4 = 4\nr5 = ${header}\ncall bpf_skb_load_bytes_relative\n${fold(16, 8)}`,
        ),
      ),
    ),
  ),
  ...cases(
    'store_bytes',
    'sched_cls',
    [0, 14, 60, 64].flatMap((n) =>
      [0, 1, 2, 4].map(
        (flags) =>
          `${put(16, '0102030405060708')}\nr1 = r6\nr2 = ${n}\n${at(3, 16)}\nr4 = 4\nr5 = ${flags}\ncall bpf_skb_store_bytes`,
      ),
    ),
  ),
  ...cases('vlan', 'sched_cls', [
    `${call('skb_vlan_push', 0x0081, 100)}`,
    `${call('skb_vlan_push', 0xa888, 100)}\n${call('skb_vlan_push', 0x0081, 7)}`,
    `${call('skb_vlan_push', 0x1234, 100)}\n${call('skb_vlan_pop')}`,
    call('skb_vlan_pop'),
  ]),
  ...cases('xdp', 'xdp', [
    ...[-300, -216, -64, -1, 0, 1, 40, 52, 53, 70].map((n) => call('xdp_adjust_head', n)),
    ...[-64, -52, -51, 0, 1, 100, 3000, 4000].map((n) => call('xdp_adjust_tail', n)),
    ...[-32, -33, -256, -4, 0, 4].map((n) => call('xdp_adjust_meta', n)),
    call('xdp_get_buff_len'),
    ...[0, 1].map((flags) => `r1 = 1\nr2 = ${flags}\ncall bpf_redirect`),
  ]),
  ...cases('get_ns_current_pid_tgid', 'xdp', [
    `${put(16, 'ffffffffffffffff')}\nr1 = 1\nr2 = 2\n${at(3, 16)}\nr4 = 8\ncall bpf_get_ns_current_pid_tgid\n${fold(16, 8)}`,
  ]),
  ...cases('current', 'sched_cls', [
    'r1 = 5\ncall bpf_get_current_ancestor_cgroup_id',
    'call bpf_get_numa_node_id',
  ]),
  ...cases(
    'probe_read',
    'raw_tracepoint',
    [
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = 0\ncall bpf_probe_read_kernel\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = 16\ncall bpf_probe_read_user\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = -4096\ncall bpf_probe_read_kernel\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = -4096\ncall bpf_probe_read_kernel_str\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${put(32, text('hello'))}\n${at(1, 16)}\nr2 = 8\n${at(3, 32)}\ncall bpf_probe_read_kernel_str\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${put(32, text('hello wor'))}\n${at(1, 16)}\nr2 = 4\n${at(3, 32)}\ncall bpf_probe_read_kernel_str\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = 0\ncall bpf_probe_read\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = 0\ncall bpf_probe_read_str\n${fold(16, 8)}`,
      `${put(16, 'ffffffffffffffff')}\n${at(1, 16)}\nr2 = 8\nr3 = 1\ncall bpf_get_branch_snapshot`,
    ],
    '',
  ),
  ...cases(
    'send_signal',
    'raw_tracepoint',
    ['r1 = 65\ncall bpf_send_signal', 'r1 = 99\ncall bpf_send_signal_thread'],
    '',
  ),
  ...cases('loop', 'xdp', ['r0 = 0', 'r1 = 5\nr2 = subprog[+3]\nr3 = 0\nr4 = 1\ncall bpf_loop'].slice(0, 1)),
];

/** What programs do to their context where test runs make it up. */
const contexts = (): HelperCase[] => [
  ...[0, 5, 14, 60, 200].flatMap((nhoff) =>
    [0, 14, 40, 300].flatMap((thoff) =>
      cases(`flow keys ${nhoff} ${thoff}`, 'flow_dissector', [
        `r7 = *(u64 *)(r6 + 144)\nr8 = *(u16 *)(r7 + 10)\nr1 = ${nhoff}\n*(u16 *)(r7 + 0) = r1\nr1 = ${thoff}\n*(u16 *)(r7 + 2) = r1\n*(u16 *)(r7 + 12) = r8\nr0 = 0`,
      ]),
    ),
  ),
  ...cases(
    'flow load_bytes',
    'flow_dissector',
    [0, 12, 62, 63, 66].map(
      (n) =>
        `${zero(16, 8)}\nr1 = r6\nr2 = ${n}\n${at(3, 16)}\nr4 = 4\ncall bpf_skb_load_bytes\n${fold(16, 8)}\nr1 = *(u64 *)(r6 + 144)\n*(u32 *)(r1 + 16) = r0\nr0 = 0`,
    ),
  ),
  ...cases('flow packet', 'flow_dissector', [
    'r1 = *(u32 *)(r6 + 76)\nr2 = *(u32 *)(r6 + 80)\nr3 = r1\nr3 += 20\nr0 = 2\nif r3 > r2 goto none\nr4 = *(u32 *)(r1 + 12)\nr5 = *(u64 *)(r6 + 144)\n*(u32 *)(r5 + 16) = r4\nr0 = 0\nnone:',
  ]),
];

export function helperCases(): HelperCase[] {
  return [
    ...strings(),
    ...printing(),
    ...comparing(),
    ...packets(),
    ...tunnels(),
    ...mtu(),
    ...fib(),
    ...lookups(),
    ...dynptrs(),
    ...misc(),
    ...contexts(),
  ];
}
