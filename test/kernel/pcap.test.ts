/** Capture files: byte orders, resolutions, and what is refused. */
import { describe, expect, test } from '@jest/globals';
import { PcapError } from '../../src/kernel/errors.js';
import { readPcap } from '../../src/kernel/net/pcap.js';
import { traffic } from '../programs/support.js';

interface Shape {
  readonly magic?: number;
  readonly little?: boolean;
  readonly linkType?: number;
  readonly frames?: readonly {
    readonly seconds: number;
    readonly fraction: number;
    readonly data: number[];
    readonly wire?: number;
  }[];
}

function capture({ magic = 0xa1b2c3d4, little = true, linkType = 1, frames = [] }: Shape): Uint8Array {
  const words: number[] = [magic, little ? 0x00040002 : 0x00020004, 0, 0, 65535, linkType];
  const out: number[] = [];
  const word = (value: number) => {
    const bytes = [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
    out.push(...(little ? bytes : bytes.reverse()));
  };
  for (const value of words) word(value);
  for (const { seconds, fraction, data, wire = data.length } of frames) {
    for (const value of [seconds, fraction, data.length, wire]) word(value);
    out.push(...data);
  }
  return Uint8Array.from(out);
}

describe('pcap', () => {
  const frames = [
    { seconds: 10, fraction: 500, data: [1, 2, 3], wire: 1500 },
    { seconds: 11, fraction: 0, data: [] },
  ];

  test.each([
    ['little-endian, microseconds', { magic: 0xa1b2c3d4, little: true }, 10_000_500_000n],
    ['big-endian, microseconds', { magic: 0xa1b2c3d4, little: false }, 10_000_500_000n],
    ['little-endian, nanoseconds', { magic: 0xa1b23c4d, little: true }, 10_000_000_500n],
    ['big-endian, nanoseconds', { magic: 0xa1b23c4d, little: false }, 10_000_000_500n],
  ])('%s', (_, shape, timeNs) => {
    const [first, second] = readPcap(capture({ ...shape, frames }));
    expect(first).toEqual({ timeNs, data: Uint8Array.from([1, 2, 3]), wireLength: 1500 });
    expect(second?.data.length).toBe(0);
  });

  test.each([
    ['nothing', new Uint8Array(0), 'PCAP_MAGIC'],
    ['text', Buffer.from('hello, world, this is no capture'), 'PCAP_MAGIC'],
    ['pcapng', Uint8Array.from([0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0]), 'PCAP_MAGIC'],
    ['half a header', capture({}).subarray(0, 20), 'PCAP_TRUNCATED'],
    ['raw IP', capture({ linkType: 101 }), 'PCAP_LINK_TYPE'],
    ['half a record header', capture({ frames }).subarray(0, 30), 'PCAP_TRUNCATED'],
    ['half a frame', capture({ frames }).subarray(0, 41), 'PCAP_TRUNCATED'],
    [
      'a frame of 4 GiB',
      Uint8Array.from([...capture({}), ...Array(8).fill(0), 255, 255, 255, 255, 0, 0, 0, 0]),
      'PCAP_RECORD',
    ],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => readPcap(bytes)).toThrow(PcapError);
    expect(() => readPcap(bytes)).toThrow(expect.objectContaining({ code }));
  });

  test('the committed capture', () => {
    const all = traffic();
    expect(all).toHaveLength(64);
    expect(all.at(-1)).toMatchObject({ wireLength: 1042 });
    expect(all.at(-1)!.data).toHaveLength(64);
  });
});
