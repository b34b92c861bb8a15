/** The Internet checksum: RFC 1071's example, odd lengths, and updates against sums computed anew. */
import { describe, expect, test } from '@jest/globals';
import { csumAdd, csumFold, csumPartial, csumReplace2, csumReplace4 } from '../../src/kernel/net/checksum.js';

describe('sums', () => {
  test.each<[name: string, bytes: number[], sum: number]>([
    ['nothing', [], 0],
    ['the example of RFC 1071', [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0xf2dd],
    ['a single byte', [0x12], 0x12],
    ['an odd number of bytes', [0xff, 0xff, 0xff], 0xff],
    ['carries all the way', [0xff, 0xff, 0x01, 0x00, 0xff, 0xff], 0x1],
  ])('%s', (_, bytes, sum) => {
    expect(csumFold(csumPartial(Uint8Array.from(bytes), 0))).toBe(~sum & 0xffff);
  });

  test('a sum of 32 bits carries round', () => {
    expect(csumAdd(0xffffffff, 2)).toBe(2);
    expect(csumAdd(0xfffffffe, 1)).toBe(0xffffffff);
  });
});

describe('updates give what a new sum gives', () => {
  const before = Uint8Array.from([0x45, 0, 0, 60, 0x1c, 0x46, 0x40, 0, 0x40, 6]);
  const field = csumFold(csumPartial(before, 0));
  const word = (bytes: Uint8Array, at: number) => bytes[at]! | (bytes[at + 1]! << 8);

  test.each([
    [0, 1],
    [4, 0xffff],
    [8, 0x0605],
  ])('the 16-bit word at %i', (at, value) => {
    const after = before.slice();
    after.set([value & 0xff, value >> 8], at);
    expect(csumReplace2(field, word(before, at), value)).toBe(csumFold(csumPartial(after, 0)));
  });

  test('a 32-bit word', () => {
    const after = before.slice();
    after.set([9, 8, 7, 250], 4);
    const from = word(before, 4) | (word(before, 6) << 16);
    expect(csumReplace4(field, from, 0xfa070809)).toBe(csumFold(csumPartial(after, 0)));
  });
});
