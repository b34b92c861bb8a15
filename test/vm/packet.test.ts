/** Legacy packet loads: network byte order, offsets from the headers, and what happens out of bounds. */
import { describe, expect, test } from '@jest/globals';
import { Engine } from '../../src/vm/index.js';
import { LOOPS, runText } from './support.js';

/** [program, r0]: the packet is the bytes 1 to 32, its network header at 14. */
const ROWS: readonly (readonly [string, bigint])[] = [
  ['r0 = *(u8 *)skb[0]', 0x01n],
  ['r0 = *(u16 *)skb[12]', 0x0d0en],
  ['r0 = *(u32 *)skb[28]', 0x1d1e1f20n],
  ['r7 = 4\nr0 = *(u16 *)skb[r7 + 8]', 0x0d0en],
  ['r7 = -1\nr0 = *(u8 *)skb[r7 + 1]', 0x01n],
  ['r0 = *(u8 *)skb[-1048576]', 0x0fn],
  ['r0 = *(u16 *)skb[-1048574]', 0x1112n],
  ['r0 = *(u8 *)skb[-2097152]', 0x01n],
];
const OUTSIDE: readonly string[] = [
  'r0 = *(u32 *)skb[29]',
  'r0 = *(u8 *)skb[32]',
  'r0 = *(u8 *)skb[2147483647]',
  'r0 = *(u8 *)skb[-1]',
  'r0 = *(u8 *)skb[-2097153]',
  'r7 = 31\nr0 = *(u16 *)skb[r7 + 0]',
];

describe.each(LOOPS)('%s', (_name, options) => {
  const engine = new Engine();
  const region = engine.alloc(32);
  region.bytes.set(Array.from({ length: 32 }, (_, i) => i + 1));
  const run = (text: string) =>
    runText(`r6 = r1\n${text}\nr0 += 1\nexit`, { ...options, engine, packet: { region, networkOffset: 14 } });

  test.each(ROWS)('%s', (text, value) => {
    expect(run(text).r0).toBe(value + 1n);
  });

  test.each(OUTSIDE)('out of bounds ends the program with 0: %s', (text) => {
    const { r0, fault } = run(text);
    expect(fault).toBeUndefined();
    expect(r0).toBe(0n);
  });

  test('out of bounds in a function returns 0 from it', () => {
    const text = 'r6 = r1\ncall pc+2\nr0 += 5\nexit\nr6 = r1\nr0 = *(u8 *)skb[99]\nexit';
    expect(runText(text, { ...options, engine, packet: { region } }).r0).toBe(5n);
  });

  test('without a packet everything is out of bounds', () => {
    expect(runText('r6 = r1\nr0 = *(u8 *)skb[0]\nr0 = 1\nexit', { ...options, engine }).r0).toBe(0n);
  });

  test('a length shorter than the region counts', () => {
    const short = { ...options, engine, packet: { region, length: 4 } };
    expect(runText('r6 = r1\nr0 = *(u32 *)skb[0]\nexit', short).r0).toBe(0x01020304n);
    expect(runText('r6 = r1\nr0 = *(u32 *)skb[1]\nexit', short).r0).toBe(0n);
  });
});
