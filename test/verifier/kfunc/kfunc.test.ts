/** Programs that call kernel functions, against the recorded answers of Linux; which program types may call what. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { allKfuncs, KF, kfuncByName, mayCallKfunc } from '../../../src/abi/kfuncs.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import { Btf, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { type VerifyRequest, type VerifyResult, verify } from '../../../src/verifier/index.js';
import { intType } from '../../support/btf-types.js';
import { KFUNC_CASES } from './cases.js';
import { bind, KERNEL } from './kernel.js';

function judge(type: string, text: string, more: Partial<VerifyRequest> = {}): VerifyResult {
  return verify({
    insns: assemble(bind(text)),
    progType: ProgType[type as keyof typeof ProgType],
    ...(type === 'syscall' && { progFlags: 16 }),
    license: 'GPL',
    policy: { vmlinux: KERNEL },
    ...more,
  });
}

describe('as Linux', () => {
  test.each(KFUNC_CASES)('%s (%s)', (_name, type, text, [errno, message, processed]) => {
    expect(judge(type, text)).toMatchObject({
      verdict: errno === 0 ? 'accept' : 'reject',
      errno,
      message,
      processed,
    });
  });
});

test('the handler that the kernel appends counts as a function where an address is left without its own', () => {
  const text =
    'r0 = *(u32 *)(r1 + 12); if r0 < 1 goto +2; r1 = 0; kcall bpf_throw; .insn 0x18, 2, 4, 0, 2; .insn 0, 0, 0, 0, 0; exit; exit';
  const types: readonly BtfType[] = [
    intType(),
    { kind: 'ptr', name: '', type: 0 },
    { kind: 'func_proto', name: '', type: 1, params: [{ name: 'ctx', type: 2 }] },
    ...['main', 'f'].map((name): BtfType => ({ kind: 'func', name, type: 3, linkage: 0 })),
  ];
  const functions = {
    btf: Btf.parse(encodeBtf(types)),
    funcInfo: [
      { insnOff: 0, typeId: 4 },
      { insnOff: 7, typeId: 5 },
    ],
  };
  expect(judge('xdp', text, functions)).toMatchObject({
    errno: 14,
    message: 'verifier bug: No program to jit at insn 9 (subprog < 0)',
    processed: 6,
  });
});

describe('what calls a kernel function', () => {
  const CALL = 'kcall bpf_rcu_read_lock; kcall bpf_rcu_read_unlock; r0 = 0; exit';

  test('only programs with a licence that suits', () => {
    expect(judge('sched_cls', CALL, { license: 'Proprietary' })).toMatchObject({
      errno: 22,
      message: 'cannot call kernel function from non-GPL compatible program',
    });
  });

  test('only where the kernel is known', () => {
    expect(judge('sched_cls', CALL, { policy: {} })).toMatchObject({
      verdict: 'unsupported',
      message: "kernel function call without the kernel's types",
    });
  });

  test.each([
    [7, 'kernel btf_id 7 is not a function'],
    [1 << 20, 'kernel btf_id 1048576 is not a function'],
    [-3, 'invalid kernel function btf_id -3'],
  ])('id %i', (id, message) => {
    const insns = assemble('r0 = 0\ncall kfunc#1\nexit');
    insns[1]!.imm = id;
    expect(judge('sched_cls', CALL, { insns })).toMatchObject({ errno: 22, message });
  });

  test('a function that is none of those to be called', () => {
    expect(judge('sched_cls', 'kcall not_callable; exit')).toMatchObject({
      errno: 13,
      message: 'calling kernel function not_callable is not allowed',
    });
  });

  test('the log names it', () => {
    expect(judge('sched_cls', CALL, { logLevel: 2 }).log).toMatch(/\(85\) call bpf_rcu_read_lock#\d+/);
  });
});

describe('sets', () => {
  const may = (name: string, type: number, expectedAttachType = 0): boolean =>
    mayCallKfunc({ type, expectedAttachType }, kfuncByName(name)!);

  test.each([
    ['bpf_iter_num_new', ProgType.socket_filter, 0, true],
    ['bpf_task_acquire', ProgType.sched_cls, 0, true],
    ['bpf_task_acquire', ProgType.raw_tracepoint, 0, false],
    ['bpf_task_acquire', ProgType.kprobe, 0, false],
    ['bpf_cpumask_create', ProgType.xdp, 0, false],
    ['bpf_dynptr_from_xdp', ProgType.xdp, 0, true],
    ['bpf_dynptr_from_skb', ProgType.xdp, 0, false],
    ['bpf_sock_destroy', ProgType.tracing, AttachType.trace_iter, true],
    ['bpf_sock_destroy', ProgType.tracing, AttachType.trace_fentry, false],
    ['bpf_get_file_xattr', ProgType.lsm, AttachType.lsm_mac, true],
    ['bpf_get_file_xattr', ProgType.tracing, AttachType.trace_iter, false],
    ['bpf_session_cookie', ProgType.kprobe, AttachType.trace_kprobe_session, true],
    ['bpf_session_cookie', ProgType.kprobe, 0, false],
    ['bpf_modify_return_test', ProgType.tracing, AttachType.trace_iter, false],
  ] as const)('%s from type %i, attach type %i: %p', (name, type, attach, allowed) => {
    expect(may(name, type, attach)).toBe(allowed);
  });

  test('every function is listed once, and iterators with all three of theirs', () => {
    const names = [...allKfuncs()].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(250);
    const made = [...allKfuncs()].filter(({ flags }) => (flags & KF.ITER_NEW) !== 0);
    for (const { name } of made) {
      const of = (role: string): number => kfuncByName(name.replace(/_new$/, `_${role}`))?.flags ?? 0;
      expect([of('next') & KF.ITER_NEXT, of('destroy') & KF.ITER_DESTROY]).toEqual([
        KF.ITER_NEXT,
        KF.ITER_DESTROY,
      ]);
    }
  });
});
