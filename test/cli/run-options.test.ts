/** Options of `bpflab run`: what goes together, and what their values may be. */
import { describe, expect, test } from '@jest/globals';
import { UsageError } from '../../src/cli/errors.js';
import {
  checkTogether,
  cpuCount,
  hexBytes,
  positive,
  progType,
  type RunOptions,
  repeatCount,
} from '../../src/cli/run-options.js';

describe('what goes together', () => {
  const BYTES = Uint8Array.of(1);

  test.each<[file: string | undefined, options: RunOptions]>([
    ['x.o', {}],
    ['x.o', { hex: BYTES, ctxIn: '-', dataOut: 'x', repeat: 3, json: true }],
    ['x.o', { pcap: '-', prog: 'p', cpus: 2, seed: 1, fuel: 9, btf: 'kernel' }],
    [undefined, { raw: '95', mem: BYTES, fuel: 1, seed: 2, json: true }],
  ])('%s %j', (file, options) => {
    expect(() => checkTogether(file, options)).not.toThrow();
  });

  test.each<[file: string | undefined, options: RunOptions, error: RegExp]>([
    ['x.o', { raw: '95' }, /^an object file and --raw exclude each other$/],
    [undefined, { raw: '95', ctxIn: 'x' }, /^--raw has no use for --ctx-in$/],
    [undefined, { raw: '95', pcap: 'x' }, /^--raw has no use for --pcap$/],
    ['x.o', { mem: BYTES }, /^--mem goes with --raw/],
    ['x.o', { pcap: 'x', hex: BYTES }, /^--pcap and --hex exclude each other$/],
    ['x.o', { pcap: 'x', dataIn: 'x' }, /^--pcap and --data-in exclude each other$/],
    ['x.o', { pcap: 'x', dataOut: 'x' }, /^--pcap and --data-out exclude each other$/],
    ['x.o', { pcap: 'x', repeat: 2 }, /^--pcap and --repeat exclude each other$/],
    ['x.o', { dataIn: 'x', hex: BYTES }, /^--data-in and --hex exclude each other$/],
    ['x.o', { dataIn: '-', ctxIn: '-' }, /standard input$/],
    ['x.o', { hex: BYTES, dataOut: '-' }, /use --json/],
    ['x.o', { hex: BYTES, ctxOut: '-' }, /use --json/],
  ])('not %s %j', (file, options, error) => {
    expect(() => checkTogether(file, options)).toThrow(UsageError);
    expect(() => checkTogether(file, options)).toThrow(error);
  });
});

describe('values', () => {
  test.each<[read: (text: string) => unknown, text: string, value: unknown]>([
    [positive, '1', 1],
    [positive, '9007199254740991', Number.MAX_SAFE_INTEGER],
    [repeatCount, '4294967295', 0xffffffff],
    [cpuCount, '64', 64],
    [progType, 'xdp', 6],
    [hexBytes, '0x01:02 fF', Uint8Array.of(1, 2, 255)],
    [hexBytes, '', new Uint8Array(0)],
  ])('%p: %s', (read, text, value) => {
    expect(read(text)).toEqual(value);
  });

  test.each<[read: (text: string) => unknown, texts: string[]]>([
    [positive, ['0', '-1', '1e9', '1.5', '', ' 1', '0x10', '9007199254740992', '１']],
    [repeatCount, ['0', '4294967296']],
    [cpuCount, ['0', '65']],
    [progType, ['', 'nonsense', 'constructor', '__proto__']],
    [hexBytes, ['0', 'abc', 'zz', 'é']],
  ])('%p refuses %j', (read, texts) => {
    for (const text of texts) expect(() => read(text)).toThrow(/wanted|can be|has no such|Pairs/);
  });
});
