/** Listings and summaries of our own programs: what stands beside an instruction, and the columns of a table. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { openObject, relocateObject } from '../../src/object/index.js';
import { type ListingOptions, programListing } from '../../src/report/disasm.js';
import { inspectText, summarise } from '../../src/report/inspect.js';
import { table } from '../../src/report/table.js';

const open = (name: string) =>
  openObject(readFileSync(new URL(`../../programs/${name}.bpf.o`, import.meta.url)), { file: name });

describe('listings', () => {
  const loadable = relocateObject(open('xdp_counter'));
  const lines = (options: ListingOptions) =>
    programListing(loadable, loadable.programs[0]!, options).split('\n');

  test('instructions under their function, jumps with their targets', () => {
    expect(lines({}).slice(0, 6)).toEqual([
      'count_packets: xdp, section xdp, 199 slots',
      'count_packets:',
      '     0: w2 = 0x9',
      '     1: w6 = *(u32 *)(r1 + 0x4)',
      '     2: w7 = *(u32 *)(r1 + 0x0)',
      '     3: if w7 == 0x0 goto +0xa6              ; to 170',
    ]);
  });

  test('the target of a jump is a line of the listing', () => {
    const all = lines({});
    const targets = all.flatMap((line) => /; to (\d+)$/.exec(line)?.[1] ?? []);
    const slots = new Set(all.flatMap((line) => /^ +(\d+): /.exec(line)?.[1] ?? []));
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !slots.has(target))).toEqual([]);
  });

  test('maps and helpers by name, and bytes', () => {
    expect(lines({}).some((line) => /ld_pseudo\tr1, 0x1, 0x0 +; map counters$/.test(line))).toBe(true);
    expect(lines({}).some((line) => /call 0x1 +; bpf_map_lookup_elem#1$/.test(line))).toBe(true);
    expect(lines({ bytes: true })[2]).toBe('     0: b4 02 00 00 09 00 00 00  w2 = 0x9');
  });

  test('source lines, once where they repeat', () => {
    const faint = (text: string) => `<${text}>`;
    const all = lines({ source: true, faint });
    expect(all[2]).toBe('<; int count_packets(struct xdp_md *ctx) @ xdp_counter.bpf.c:74>');
    const sources = all.filter((line) => line.startsWith('<; '));
    expect(sources.every((line, i) => line !== sources[i + 1])).toBe(true);
  });
});

test('a summary counts what the object holds', () => {
  const summary = summarise(open('xdp_dispatch'));
  expect(summary.programs).toHaveLength(5);
  const text = inspectText(summary, (heading) => heading);
  expect(text).toMatch(/stages +prog_array +4 +4 +5/);
  expect(text).toMatch(/44 types in \d+ bytes; 5 functions, 107 source lines, 0 CO-RE relocations/);
  expect(text).toMatch(/and 116 in \.BTF and \.BTF\.ext/);
});

test('columns are as wide as their widest cell, colours apart', () => {
  const rows = [
    ['1', '\u001b[1mlong\u001b[22m'],
    ['200', 'x'],
  ];
  expect(table(['n', 'a'], rows, { align: ['right', 'left'], indent: 1 }).split('\n')).toEqual([
    '   n  a',
    '   1  \u001b[1mlong\u001b[22m',
    ' 200  x',
  ]);
});
