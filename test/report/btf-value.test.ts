/** Values by BTF, and frames in words: what `bpflab run` prints. */

import { describe, expect, test } from '@jest/globals';
import { Btf, type BtfType, encodeBtf } from '../../src/object/btf/index.js';
import { decodeValue, valueText } from '../../src/report/btf-value.js';
import { frameText } from '../../src/report/frame.js';
import { entries, lab, traffic, u32 } from '../programs/support.js';
import { intType } from '../support/btf-types.js';

const VALUES = 'flags are bit-fields, names are text, numbers too long for a double are bigints';

describe('values', () => {
  const loaded = lab('xdp_firewall');
  const btf = loaded.object.btf!;
  const rule = btf.findByName('rule', 'struct')!;

  test(VALUES, () => {
    const bytes = new Uint8Array(16);
    bytes.set(u32(2, 7, 0xffffffff, 0x7fffffff));
    expect(decodeValue(btf, rule, bytes, { left: 100 })).toEqual({
      action: 2,
      id: 7,
      hits: 0x7fffffffffffffffn,
    });
  });

  test('bytes that end early are shown as they are', () => {
    expect(decodeValue(btf, rule, u32(1, 2), { left: 100 })).toEqual({ action: 1, id: 2, hits: '0x' });
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

describe('what is too much to show', () => {
  const u8 = intType('u8', 1, 0);
  const struct = (
    kind: 'struct' | 'union',
    name: string,
    size: number,
    members: [string, number][],
  ): BtfType => ({
    kind,
    name,
    size,
    kindFlag: false,
    members: members.map(([member, type]) => ({ name: member, type, bitOffset: 0, bitfieldSize: 0 })),
  });

  test('long arrays end where the budget does, and say so', () => {
    const array: BtfType = { kind: 'array', name: '', type: 1, indexType: 1, count: 2 ** 20 };
    const btf = Btf.parse(encodeBtf([u8, array]));
    const value = decodeValue(btf, 2, new Uint8Array(2 ** 20), { left: 4 });
    expect(value).toEqual([0, 0, 0, '… 1048573 elements']);
    expect(valueText(value)).toBe('[0, 0, 0, … 1048573 elements]');
  });

  test('text and bytes without a type are left out whole', () => {
    const array: BtfType = { kind: 'array', name: '', type: 1, indexType: 1, count: 100 };
    const btf = Btf.parse(encodeBtf([{ ...u8, name: 'char' } as BtfType, array]));
    const text = Buffer.from('x'.repeat(100));
    expect(decodeValue(btf, 2, text, { left: 10 })).toBe('x'.repeat(100));
    expect(decodeValue(btf, 2, text, { left: 5 })).toBe('… 100 bytes');
    expect(decodeValue(btf, 0, text, { left: 5 })).toBe('… 100 bytes');
  });

  test('unions of unions do not double for ever', () => {
    const types: BtfType[] = [u8];
    for (let id = 2; id <= 31; id++) {
      types.push(
        struct('union', `u${id}`, 1, [
          ['a', id - 1],
          ['b', id - 1],
        ]),
      );
    }
    const budget = { left: 1000 };
    const value = decodeValue(Btf.parse(encodeBtf(types)), 31, new Uint8Array(1), budget);
    expect(JSON.stringify(value).length).toBeLessThan(100_000);
    expect(JSON.stringify(value)).toContain('… 1 members');
  });

  test('a member may have any name', () => {
    const btf = Btf.parse(encodeBtf([u8, struct('struct', 's', 1, [['__proto__', 1]])]));
    const value = decodeValue(btf, 2, Uint8Array.of(5), { left: 100 });
    expect(Object.entries(value)).toEqual([['__proto__', 5]]);
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
    [54, 'UDP [2001:db8::10]:40007 > [2001:db8:80::1]:2049'],
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
