/** Room within packets: what `bpf_skb_adjust_room` answers. Errnos are Linux 6.18's. */
import { expect, test } from '@jest/globals';
import { Errno } from '../../src/abi/errno.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { load } from './helpers-support.js';

/** An Ethernet frame of 50 bytes of IPv4. */
const FRAME = Uint8Array.from({ length: 64 }, (_, i) => (i === 12 ? 8 : 0));
const ENCAP_IPV4 = 2;
const ENCAP_ETH = 64;
const DECAP_IPV4 = 128;
const DECAP_IPV6 = 256;

const adjust = (difference: number, flags: number | bigint): string =>
  `r1 = r6\nr2 = ${difference}\nr3 = 1\nr4 = ${flags} ll\ncall bpf_skb_adjust_room`;
/** The length of the inner Ethernet header is in the top byte. */
const encapEth = (length: number): bigint => BigInt(ENCAP_IPV4 | ENCAP_ETH) | (BigInt(length) << 56n);

test.each<[what: string, calls: readonly string[], errno: number]>([
  ['an IPv4 header fits in what is left', [adjust(-12, DECAP_IPV4)], 0],
  ['an IPv6 header does not', [adjust(-12, DECAP_IPV6)], Errno.ENOTSUPP],
  ['an IPv6 header just fits', [adjust(-10, DECAP_IPV6)], 0],
  ['both headers', [adjust(-10, DECAP_IPV4 | DECAP_IPV6)], Errno.EINVAL],
  ['a header is taken off, and room made', [adjust(12, DECAP_IPV4)], Errno.EINVAL],
  ['a tunnel', [adjust(20, ENCAP_IPV4)], 0],
  ['a tunnel in a tunnel', [adjust(20, ENCAP_IPV4), adjust(20, ENCAP_IPV4)], Errno.EALREADY],
  ['an inner Ethernet header', [adjust(34, encapEth(14))], 0],
  ['an inner Ethernet header that is too short', [adjust(34, encapEth(13))], Errno.EINVAL],
  ['an inner Ethernet header longer than the room', [adjust(20, encapEth(24))], Errno.EINVAL],
])('%s', (_what, calls, errno) => {
  const kernel = new Kernel();
  const prog = load(kernel, 'sched_cls', `r6 = r1\n${calls.join('\n')}\nexit`);
  const { r0 } = testRun(kernel, prog, { dataIn: FRAME });
  expect(Number(BigInt.asIntN(64, r0))).toBe(errno === 0 ? 0 : -errno);
});
