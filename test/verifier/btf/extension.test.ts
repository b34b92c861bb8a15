/** Programs that trace or replace a function of another program; rules from Linux's source, since kernels at hand refuse them. */

import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../../src/isa/index.js';
import { Btf, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import {
  requestFromJson,
  type VerifyRequest,
  type VerifyResult,
  verify,
} from '../../../src/verifier/index.js';
import { intType } from '../../support/btf-types.js';
import { KERNEL } from './kernel.js';

/** Types 1 to 6: int, u64, xdp_md, pointer to it, __sk_buff, pointer to it. Then prototype and function, in turn. */
function programBtf(
  functions: readonly (readonly [name: string, params: readonly number[], linkage?: number])[],
): Btf {
  const int = (name: string, size: number): BtfType => intType(name, size, 0);
  const struct = (name: string): BtfType => ({
    kind: 'struct',
    name,
    size: 4,
    kindFlag: false,
    members: [{ name: 'data', type: 1, bitOffset: 0, bitfieldSize: 0 }],
  });
  const types: BtfType[] = [
    int('int', 4),
    int('u64', 8),
    struct('xdp_md'),
    { kind: 'ptr', name: '', type: 3 },
    struct('__sk_buff'),
    { kind: 'ptr', name: '', type: 5 },
  ];
  for (const [name, params, linkage = 1] of functions) {
    const list = params.map((type, i) => ({ name: `arg${i}`, type }));
    types.push({ kind: 'func_proto', name: '', type: 1, params: list });
    types.push({ kind: 'func', name, type: types.length, linkage });
  }
  return Btf.parse(encodeBtf(types));
}

const INT = 1;
const U64 = 2;
const XDP = 4;
const SKB = 6;
const FIRST = 8;
const SECOND = 10;
const THIRD = 12;

/** `main` calls `replaceable`, a global function, and `fixed`, a static one. */
const TARGET: VerifyRequest = {
  insns: assemble(`r6 = r1
    call replaceable
    r1 = r6
    call fixed
    r0 = 2
    exit
    replaceable: r0 = 1
    exit
    fixed: r0 = 1
    exit`),
  progType: ProgType.xdp,
  license: 'GPL',
  btf: programBtf([
    ['main', [XDP]],
    ['replaceable', [XDP]],
    ['fixed', [XDP], 0],
  ]),
  funcInfo: [
    { insnOff: 0, typeId: FIRST },
    { insnOff: 6, typeId: SECOND },
    { insnOff: 8, typeId: THIRD },
  ],
};

interface Attached {
  readonly text?: string;
  readonly params?: readonly number[];
  readonly linkage?: number;
  readonly more?: Partial<VerifyRequest>;
}

function extension({
  text = 'r0 = 1\nexit',
  params = [XDP],
  linkage = 1,
  more = {},
}: Attached): VerifyRequest {
  return {
    insns: assemble(text),
    progType: ProgType.ext,
    license: 'GPL',
    btf: programBtf([['mine', params, linkage]]),
    funcInfo: [{ insnOff: 0, typeId: FIRST }],
    attachBtfId: SECOND,
    attachTarget: TARGET,
    policy: { vmlinux: KERNEL },
    ...more,
  };
}

const judge = (what: Attached): VerifyResult => verify(extension(what));
const xdp = (text: string): string => `${text}\nr0 = 0\nexit`;

describe('extensions', () => {
  test.each<[string, string, Attached]>([
    ['of the same signature', '', {}],
    ['with the context of the target', '', { text: xdp('r0 = *(u32 *)(r1 + 0)') }],
    ['of the main function', '', { more: { attachBtfId: FIRST } }],
    [
      'with helpers of the target',
      '',
      {
        text: xdp('r2 = 0\ncall 44'),
        more: {
          attachBtfId: FIRST,
          attachTarget: {
            ...TARGET,
            insns: assemble('r2 = 0\ncall 44\nr0 = 2\nexit'),
            funcInfo: [{ insnOff: 0, typeId: FIRST }],
          },
        },
      },
    ],
    [
      'context that the target lacks',
      'invalid bpf_context access off=80 size=4',
      { text: xdp('r0 = *(u32 *)(r1 + 80)') },
    ],
    [
      'that change packets where the original does not',
      'Extension program changes packet data, while original does not',
      { text: xdp('r2 = 0\ncall 44') },
    ],
    ['of a static function', 'fixed() is not a global function', { more: { attachBtfId: THIRD } }],
    ['by a static function', 'mine() is not a global function', { linkage: 0 }],
    ['of what is no function of the target', "Subprog xdp_md doesn't exist", { more: { attachBtfId: 3 } }],
    ['of nothing', 'attach_btf_id 99 is invalid', { more: { attachBtfId: 99 } }],
    ['with more arguments', 'mine() has 2 args while replaceable() has 1 args', { params: [XDP, INT] }],
    ['with a number for a pointer', 'arg0 in mine() is INT while replaceable() has PTR', { params: [U64] }],
    [
      'with another context',
      "arg0 mine(struct __sk_buff *) doesn't match replaceable(struct xdp_md *)",
      { params: [SKB] },
    ],
    [
      'without BTF',
      'Program extension requires BTF',
      { more: { btf: undefined, funcInfo: undefined } as never },
    ],
    [
      'of extensions',
      'Cannot recursively attach',
      { more: { attachBtfId: FIRST, attachTarget: extension({}) } },
    ],
    ['without a target', 'Cannot replace kernel functions', { more: { attachTarget: undefined } as never }],
  ])('%s', (_what, message, attached) => {
    const result = judge(attached);
    expect(result.message).toBe(message);
    expect(result.verdict).toBe(message === '' ? 'accept' : 'reject');
  });

  test('a target that Linux refuses is no target', () => {
    const attachTarget = { ...TARGET, insns: assemble('r0 = r9\nexit'), funcInfo: [] };
    expect(judge({ more: { attachTarget } })).toMatchObject({
      verdict: 'unsupported',
      message: 'target program that Linux refuses (R9 !read_ok)',
    });
  });
});

describe('tracing programs on programs', () => {
  const traced = (text: string, more: Partial<VerifyRequest> = {}): VerifyResult =>
    judge({
      text: xdp(text),
      more: { progType: ProgType.tracing, expectedAttachType: AttachType.trace_fentry, logLevel: 2, ...more },
    });

  test.each<[string, string, string, Partial<VerifyRequest>?]>([
    ['no such argument', 'r0 = *(u64 *)(r1 + 16)', "func 'replaceable' doesn't have 3-th argument"],
    ['the result, before', 'r0 = *(u64 *)(r1 + 8)', "func 'replaceable' doesn't have 2-th argument"],
    ['the result, after', 'r0 = *(u64 *)(r1 + 8)', '', { expectedAttachType: AttachType.trace_fexit }],
    [
      'results cannot be changed',
      'r0 = 0',
      "can't modify return codes of BPF programs",
      { expectedAttachType: AttachType.modify_return },
    ],
    [
      'no tracepoints there',
      'r0 = 0',
      'Only FENTRY/FEXIT progs are attachable to another BPF prog',
      { expectedAttachType: AttachType.trace_raw_tp },
    ],
    ['programs do not sleep', 'r0 = 0', 'replaceable is not sleepable', { progFlags: 16 }],
  ])('%s', (...[, text, message, more]) => {
    expect(traced(text, more).message).toBe(message);
  });
});

test('recorded requests name their target', () => {
  const hex = (text: string): string => Buffer.from(encodeInsns(assemble(text))).toString('hex');
  const inner = { prog_type: 'xdp', insns: hex('r0 = 2\nexit') };
  const request = requestFromJson(
    { prog_type: 'ext', insns: hex('r0 = 1\nexit'), attach_btf_id: 5, attach_prog: inner },
    () => undefined,
  );
  expect(request.attachTarget?.progType).toBe(ProgType.xdp);
  expect(verify(request).message).toBe(
    'FENTRY/FEXIT program can only be attached to another program annotated with BTF',
  );
  let chain: object = inner;
  for (let i = 0; i < 6; i++) chain = { ...inner, attach_prog: chain };
  expect(() => requestFromJson(chain, () => undefined)).toThrow('too long a chain of programs');
});
