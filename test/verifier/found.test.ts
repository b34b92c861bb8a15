/**
 * What random programs found out about us, made small: each row once had another verdict, errno, reason or count here than
 * in Linux 6.18.44, where the expectation was recorded. `funcs`: first instructions of functions that have BTF.
 */

import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import { assemble } from '../../src/isa/index.js';
import { Btf, type BtfType, encodeBtf } from '../../src/object/btf/index.js';
import { requestFromJson, verify } from '../../src/verifier/index.js';
import { intType } from '../support/btf-types.js';

type Row = readonly [
  name: string,
  type: string,
  text: string,
  linux: readonly [
    errno: number,
    message: string,
    processed: number,
    total: number,
    peak: number,
    stack?: string,
  ],
  funcs: readonly number[],
  maps: readonly object[],
];

const TYPES: readonly BtfType[] = [
  intType(),
  { kind: 'ptr', name: '', type: 0 },
  { kind: 'func_proto', name: '', type: 1, params: [{ name: 'ctx', type: 2 }] },
  ...['main', 'f0', 'f1', 'f2'].map((name): BtfType => ({ kind: 'func', name, type: 3, linkage: 0 })),
];
const FIRST_FUNC = 4;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const BTF = encodeBtf(TYPES);

/** `r2 = function at +distance`, which the assembler has no words for. */
const address = (distance: number): string => `.insn 0x18, 2, 4, 0, ${distance}; .insn 0, 0, 0, 0, 0`;

/** `r1 = map number 0`. */
const MAP = '.insn 0x18, 1, 1, 0, 0; .insn 0, 0, 0, 0, 0';
const BLOOM = { name: 'bloom', type: 'bloom_filter', key_size: 0, value_size: 16, max_entries: 4 };

const ROWS: readonly Row[] = [
  [
    'the last function only has its address taken',
    'raw_tracepoint',
    `r9 = *(u32 *)(r1 + 0); r1 = r9; r2 = 0; call f; ${address(4)}; exit; f: call 14; exit; exit`,
    [14, 'verifier bug: No program to jit at insn 9 (subprog < 0)', 8, 1, 1],
    [0, 7, 9],
    [],
  ],
  [
    'the last functions are dead, one for a branch that is never taken',
    'raw_tracepoint',
    `r8 = 0; ${address(9)}; call f; r3 = r8; if w3 s>= w0 goto +1; exit; call g; exit; f: r0 = 1; exit; exit; g: exit`,
    [14, 'verifier bug: No program to jit at insn 8 (subprog < 0)', 8, 0, 0],
    [0, 9, 11, 12],
    [],
  ],
  [
    'packet pointers at the end prune only their like',
    'sched_cls',
    'r6 = r1; r3 = *(u32 *)(r6 + 52); r8 = *(u32 *)(r1 + 36); if w3 > w3 goto +4; r8 = r3; if r8 == 1 goto +2; r0 = 0; exit; ' +
      'r9 = *(u32 *)(r1 + 76); r4 = *(u32 *)(r1 + 80); r5 = r9; if r4 <= r5 goto +1; if w3 s>= 0 goto +0; r1 = 1; r2 = r8; call f; ' +
      'r1 = *(u64 *)(r10 - 56); exit; f: *(u8 *)(r10 - 6) = r2; if w1 <= 0 goto +1; r0 = 0; exit',
    [0, '', 41, 4, 4],
    [],
    [],
  ],
  [
    'a may_goto before a jump that goes away stays',
    'xdp',
    'r6 = r1; w9 = 0; may_goto +2; if r9 <= 0 goto +1; r8 = *(u16 *)(r10 - 208); r4 = *(u32 *)(r6 + 12); r0 = r4; exit',
    [0, '', 10, 1, 1, '16'],
    [],
    [],
  ],
  [
    'too many jumps at a may_goto',
    'socket_filter',
    `${'may_goto +0; '.repeat(8200)}r0 = 0; exit`,
    [12, 'The sequence of 8193 jumps is too complex.', 8193, 8193, 8193],
    [],
    [],
  ],
  [
    'too many jumps at a comparison',
    'socket_filter',
    `r0 = *(u32 *)(r1 + 0); ${Array.from({ length: 8200 }, (_, i) => `if r0 == ${i} goto +0; `).join('')}r0 = 0; exit`,
    [14, 'The sequence of 8193 jumps is too complex.', 8194, 1024, 1024],
    [],
    [],
  ],
  [
    'what a bloom filter is asked about stays as it was',
    'xdp',
    `*(u64 *)(r10 - 8) = 0; *(u64 *)(r10 - 16) = 0; r2 = r10; r2 += -16; ${MAP}; call 89; r9 = *(u64 *)(r10 - 16); ` +
      'if r9 == 1 goto +2; r0 = 0; exit; r0 = *(u64 *)(r9 + 0); exit',
    [0, '', 10, 0, 0, '16'],
    [],
    [BLOOM],
  ],
  [
    'what a bloom filter is asked about has to be there',
    'xdp',
    `*(u64 *)(r10 - 8) = 0; *(u64 *)(r10 - 16) = 0; r2 = r10; r2 += -15; ${MAP}; call 89; r0 = 0; exit`,
    [22, 'invalid read from stack R2 off=-15 size=16', 6, 0, 0],
    [],
    [BLOOM],
  ],
  [
    'numbers a constant away from different ones are not linked alike',
    'socket_filter',
    'call 5; r6 = r0; call 5; r7 = r0; r6 &= 255; r7 &= 255; if r0 > 5 goto +3; r8 = r7; r8 += 1; goto +2; r8 = r6; ' +
      'r8 += 1; if r7 > 3 goto +4; r1 = r10; r1 += -16; r1 += r8; *(u8 *)(r1 + 0) = 0; r0 = 0; exit',
    [22, 'invalid variable-offset write to stack R1 var_off=(0x0; 0x1ff) off=-16 size=1', 26, 2, 2],
    [],
    [],
  ],
  [
    'registers that a walk backwards may not ask for at a call are named with all others',
    'socket_filter',
    `r6 = r1; r9 = *(u32 *)(r1 + 0); may_goto +24; r3 = *(u32 *)(r6 + 4); if r3 > 7 goto +7; ${'r3 += 1; '.repeat(6)}goto +1; call 5; ` +
      'r0 = 0; r1 = 0; r2 = 0; r3 = 0; r4 = 0; r5 = 0; r0 = *(u8 *)skb[0]; r0 &= 7; r1 = r10; r1 += -16; r1 += r0; ' +
      '*(u8 *)(r1 + 0) = 0; r5 = 1; goto -25; r0 = 0; exit',
    [14, 'verifier bug: backtracking call unexpected regs 208', 31, 2, 3],
    [],
    [],
  ],
];

describe('found by random programs', () => {
  test.each(ROWS)('%s', (_name, type, text, [errno, message, processed, total, peak, stack], funcs, maps) => {
    const insns = hex(encodeInsns(assemble(text.replaceAll('; ', '\n'))));
    const info = new Uint32Array(funcs.flatMap((start, i) => [start, FIRST_FUNC + i]));
    const request = {
      prog_type: type,
      insns,
      maps,
      ...(funcs.length > 0 && { btf: hex(BTF), func_info: hex(new Uint8Array(info.buffer)) }),
    };
    expect(verify(requestFromJson(request, () => Btf.parse(BTF)))).toMatchObject({
      verdict: errno === 0 ? 'accept' : 'reject',
      errno,
      message,
      processed,
      totalStates: total,
      peakStates: peak,
      ...(stack !== undefined && { stackDepth: stack }),
    });
  });
});
