/** Values by BTF, and frames in words: what `bpflab run` prints. */
import { describe, expect, test } from '@jest/globals';
import { decodeValue, valueText } from '../../src/report/btf-value.js';
import { frameText } from '../../src/report/frame.js';
import { entries, lab, traffic, u32 } from '../programs/support.js';

const VALUES = 'flags are bit-fields, names are text, numbers too long for a double are bigints';

describe('values', () => {
  const loaded = lab('xdp_firewall');
  const btf = loaded.object.btf!;
  const rule = btf.findByName('rule', 'struct')!;

  test(VALUES, () => {
    const bytes = new Uint8Array(16);
    bytes.set(u32(2, 7, 0xffffffff, 0x7fffffff));
    expect(decodeValue(btf, rule, bytes)).toEqual({ action: 2, id: 7, hits: 0x7fffffffffffffffn });
  });

  test('bytes that end early are shown as they are', () => {
    expect(decodeValue(btf, rule, u32(1, 2))).toEqual({ action: 1, id: 2, hits: '0x' });
  });

  test('global data comes by variable', () => {
    expect(entries(loaded, 'xdp_fire.rodata')).toEqual([[0, { default_action: 2 }]]);
  });

  test.each([
    [5, '5'],
    [5n, '5'],
    [true, 'true'],
    ['text', '"text"'],
    ['0x1f', '0x1f'],
    [[1, [2, 3]], '[1, [2, 3]]'],
    [{ a: 1, b: { c: 'x' } }, '{a: 1, b: {c: "x"}}'],
  ])('%p as text', (value, text) => {
    expect(valueText(value)).toBe(text);
  });
});

describe('frames', () => {
  test.each([
    [0, 'ARP'],
    [4, 'TCP 192.0.2.10:50000 > 198.51.100.80:80 [S]'],
    [17, 'TCP [2001:db8::10]:50001 > [2001:db8:80::1]:443 [S]'],
    [28, 'vlan 42, TCP 192.0.2.10:50002 > 192.0.2.20:631 [S]'],
    [37, 'ICMP 192.0.2.10 > 198.51.100.80'],
    [53, 'UDP fragment 192.0.2.10 > 198.51.100.80'],
    [55, 'UDP [2001:db8::10]:40005 > [2001:db8:80::1]:53'],
    [56, 'ICMPv6 2001:db8::10 > ff02::1:ff00:1'],
    [58, 'vlan 100, vlan 42, UDP 192.0.2.10:40006 > 198.51.100.53:53'],
    [59, 'GRE 192.0.2.10 > 198.51.100.80'],
    [60, 'LLDP'],
    [61, 'IPv4, damaged'],
  ])('frame %i of the capture: %s', (index, text) => {
    expect(frameText(traffic()[index]!.data)).toBe(text);
  });

  test('any bytes at all are described', () => {
    for (const { data } of traffic()) {
      for (let length = 0; length <= data.length; length++)
        expect(frameText(data.subarray(0, length))).not.toBe('');
    }
  });
});
