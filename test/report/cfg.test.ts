/** Control flow as a graph: blocks, edges, calls, states, what the verifier refused and never reached. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { assemble } from '../../src/isa/index.js';
import { openObject, relocateObject } from '../../src/object/index.js';
import { basicBlocks, cfgDot, entryStates } from '../../src/report/cfg.js';
import { dotGraph, quoted } from '../../src/report/dot.js';
import { svgOf } from '../../src/report/svg.js';
import { requestOf, verify } from '../../src/verifier/index.js';

const LOOP = `
  r0 = 0
again:
  r0 += 1
  if r0 < 10 goto again
  call fn
  exit
fn:
  r0 = 7
  exit
`;

test('blocks begin at targets and behind jumps, and know what follows them', () => {
  const insns = assemble(LOOP);
  const blocks = basicBlocks({ insns, name: 'main', subProgs: [{ name: 'fn', insnOff: 5 }] as never });
  expect(blocks.map(({ start, end, func }) => [start, end, func])).toEqual([
    [0, 1, 'main'],
    [1, 3, 'main'],
    [3, 5, 'main'],
    [5, 7, 'fn'],
  ]);
  expect(blocks.map(({ successors }) => successors.map(({ to, how }) => `${how} ${to}`))).toEqual([
    ['next 1'],
    ['taken 1', 'next 3'],
    [],
    [],
  ]);
  expect(blocks[2]?.calls).toEqual([5]);
});

test('states come from the branch lines of the log', () => {
  const log = 'from 3 to 7: R0=1\nfrom 3 to 7: R0=1\nfrom 5 to 7 (speculative execution): R0=2 R10=fp0\n';
  expect(entryStates(log)).toEqual(new Map([[7, ['from 3: R0=1', 'from 5: R0=2 R10=fp0']]]));
});

test('a real program, with the verifier beside it, becomes a drawing', async () => {
  const file = 'programs/xdp_counter.bpf.o';
  const object = relocateObject(openObject(readFileSync(file), { file }));
  const program = object.programs[0]!;
  const result = verify(requestOf(object, program, { logLevel: 2 }));
  const dot = cfgDot(program, result);
  expect(dot).toContain('subgraph cluster_0');
  expect(dot).toMatch(/from \d+: R1=pkt\(off=14,r=14\)/);
  const svg = await svgOf(dot);
  expect(svg).toContain('<svg');
  // A box for each block.
  const boxes = [...svg.matchAll(/class="node"/g)].length;
  expect(boxes).toBe(basicBlocks(program).length);
});

test('the block that the verifier refused is red and says why', () => {
  const file = 'programs/xdp_counter.bpf.o';
  const object = relocateObject(openObject(readFileSync(file), { file }));
  const program = object.programs[0]!;
  const result = {
    ...verify(requestOf(object, program)),
    verdict: 'reject',
    insn: 4,
    message: 'because',
  } as const;
  expect(cfgDot(program, result)).toMatch(/"b4" \[.*because.*color="red"/);
});

test.each([
  ['a"b', '"a\\"b"'],
  ['a\\b', '"a\\\\b"'],
  ['a\nb', '"a\\nb"'],
])('%j is quoted', (text, expected) => {
  expect(quoted(text)).toBe(expected);
});

test('groups are frames, edges carry labels', () => {
  const nodes = [
    { id: 'a', lines: ['one', 'two'], group: 'g' },
    { id: 'b', lines: ['x'] },
  ];
  const dot = dotGraph('t', nodes, [{ from: 'a', to: 'b', label: 'l', attributes: { style: 'bold' } }]);
  expect(dot.split('\n').map((line) => line.trim())).toEqual(
    expect.arrayContaining([
      'label="g";',
      '"a" [label="one\\ltwo\\l"];',
      '"a" -> "b" [label="l", style="bold"];',
    ]),
  );
});
