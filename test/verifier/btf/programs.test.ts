/**
 * Programs attached by BTF id and what they do with pointers to kernel structures, on a kernel in miniature: errno and
 * the line that says why, or what the log knows of the loaded register. Linux's own answers: test/oracle/btf-sweep.ts.
 */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import { type VerifyRequest, type VerifyResult, verify } from '../../../src/verifier/index.js';
import { KERNEL, kernelId } from './kernel.js';

const SLEEPABLE = 16;

const TARGETS = {
  'tp task_seen': [ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_task_seen'],
  'tp kfree_skb': [ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_kfree_skb'],
  'tp mr_integ_alloc': [ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_mr_integ_alloc'],
  'tp on a function': [ProgType.tracing, AttachType.trace_raw_tp, 'do_work'],
  'iter task': [ProgType.tracing, AttachType.trace_iter, 'bpf_iter_task'],
  'iter bpf_map_elem': [ProgType.tracing, AttachType.trace_iter, 'bpf_iter_bpf_map_elem'],
  'iter nothing': [ProgType.tracing, AttachType.trace_iter, 'bpf_iter_nothing'],
  'iter do_little': [ProgType.tracing, AttachType.trace_iter, 'do_little'],
  'fentry do_little': [ProgType.tracing, AttachType.trace_fentry, 'do_little'],
  'fentry do_work': [ProgType.tracing, AttachType.trace_fentry, 'do_work'],
  'fentry migrate_disable': [ProgType.tracing, AttachType.trace_fentry, 'migrate_disable'],
  'fexit do_little': [ProgType.tracing, AttachType.trace_fexit, 'do_little'],
  'fexit do_exit': [ProgType.tracing, AttachType.trace_fexit, 'do_exit'],
  'fmod_ret do_little': [ProgType.tracing, AttachType.modify_return, 'do_little'],
  'fmod_ret security_file_open': [ProgType.tracing, AttachType.modify_return, 'security_file_open'],
  'fentry on a structure': [ProgType.tracing, AttachType.trace_fentry, 'task_struct'],
  'lsm file_open': [ProgType.lsm, AttachType.lsm_mac, 'bpf_lsm_file_open'],
  'lsm task_free': [ProgType.lsm, AttachType.lsm_mac, 'bpf_lsm_task_free'],
  'lsm vm_enough_memory': [ProgType.lsm, AttachType.lsm_mac, 'bpf_lsm_vm_enough_memory'],
  'lsm do_little': [ProgType.lsm, AttachType.lsm_mac, 'do_little'],
  'lsm_cgroup task_free': [ProgType.lsm, AttachType.lsm_cgroup, 'bpf_lsm_task_free'],
  freplace: [ProgType.ext, 0, 'do_little'],
  'tcp_cc init': [ProgType.struct_ops, 0, 'tcp_congestion_ops'],
  'tcp_cc ssthresh': [ProgType.struct_ops, 1, 'tcp_congestion_ops'],
  'tcp_cc flags': [ProgType.struct_ops, 2, 'tcp_congestion_ops'],
  'tcp_cc 7': [ProgType.struct_ops, 7, 'tcp_congestion_ops'],
  'dummy test_1': [ProgType.struct_ops, 0, 'bpf_dummy_ops'],
  'dummy test_2': [ProgType.struct_ops, 1, 'bpf_dummy_ops'],
  'struct_ops sock': [ProgType.struct_ops, 0, 'sock'],
} as const;
type TargetName = keyof typeof TARGETS;

function judge(target: TargetName, text: string, more: Partial<VerifyRequest> = {}): VerifyResult {
  const [progType, expectedAttachType, name] = TARGETS[target];
  return verify({
    insns: assemble(text.replaceAll('; ', '\n')),
    progType,
    expectedAttachType,
    attachBtfId: kernelId(name),
    license: 'GPL',
    logLevel: 2,
    policy: { vmlinux: KERNEL },
    ...more,
  });
}

/** The last register or stack state of the log that names r0. */
const stateOfR0 = (log: string): string | undefined => [...log.matchAll(/ R0=([^ ]*\))/g)].at(-1)?.[1];

describe('what a program may hang on', () => {
  const END = 'r0 = 0; exit';
  test.each<[TargetName, string, string, Partial<VerifyRequest>?]>([
    ['tp task_seen', END, ''],
    ['tp on a function', END, 'attach_btf_id N is not a typedef'],
    ['iter task', END, ''],
    ['iter task', END, '', { progFlags: SLEEPABLE }],
    [
      'tp task_seen',
      END,
      'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
      { progFlags: SLEEPABLE },
    ],
    ['iter nothing', END, ''],
    ['iter do_little', END, ''],
    ['fentry do_little', END, ''],
    ['fentry do_little', END, 'do_little is not sleepable', { progFlags: SLEEPABLE }],
    ['fentry do_work', END, 'The function do_work arg2 type STRUCT is unsupported.'],
    ['fentry on a structure', END, 'attach_btf_id N is not a function'],
    ['fentry migrate_disable', END, "Attaching tracing programs to function 'migrate_disable' is rejected."],
    ['fexit do_exit', END, "Attaching fexit/fmod_ret to __noreturn function 'do_exit' is rejected."],
    ['fmod_ret do_little', END, 'do_little() is not modifiable'],
    ['fmod_ret security_file_open', END, ''],
    ['lsm file_open', END, ''],
    [
      'lsm file_open',
      'r0 = 1; exit',
      'At program exit the register R0 has smin=1 smax=1 should have been in [-4095, 0]',
    ],
    ['lsm file_open', END, 'LSM programs must have a GPL compatible license', { license: 'Proprietary' }],
    ['lsm vm_enough_memory', END, 'attach_btf_id N points to disabled hook bpf_lsm_vm_enough_memory'],
    ['lsm do_little', END, 'attach_btf_id N points to wrong type name do_little'],
    ['lsm_cgroup task_free', 'r0 = 1; exit', ''],
    ['freplace', END, 'Cannot replace kernel functions'],
    ['tcp_cc init', END, ''],
    [
      'tcp_cc init',
      END,
      'struct ops programs must have a GPL compatible license',
      { license: 'Proprietary' },
    ],
    ['tcp_cc flags', END, 'attach to invalid member flags(@idx 2) of struct tcp_congestion_ops'],
    ['tcp_cc 7', END, 'attach to invalid member idx 7 of struct tcp_congestion_ops'],
    [
      'dummy test_1',
      END,
      'attach to unsupported member test_1 of struct bpf_dummy_ops',
      { progFlags: SLEEPABLE },
    ],
    ['struct_ops sock', END, 'attach_btf_id N is not a supported struct'],
    ['tp task_seen', END, 'attach_btf_id N is invalid', { attachBtfId: 4000 }],
    ['tp task_seen', END, 'Tracing programs must provide btf_id', { attachBtfId: 0 }],
  ])('%s: %s', (...[target, text, message, more]) => {
    const result = judge(target, text, more);
    expect(result.message.replace(/(?<=attach_btf_id )\d+/, 'N')).toBe(message);
    // an iterator without a target is refused without a word
    const silent = target === 'iter nothing' || target === 'iter do_little';
    expect(result.verdict).toBe(message === '' && !silent ? 'accept' : 'reject');
  });
});

describe('what is in the context', () => {
  test.each<[TargetName, string, string]>([
    ['tp task_seen', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_task_struct()'],
    ['tp task_seen', 'r0 = *(u64 *)(r1 + 8)', 'trusted_ptr_or_null_task_struct(id=1)'],
    ['tp task_seen', 'r0 = *(u64 *)(r1 + 16)', 'scalar()'],
    ['tp kfree_skb', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_sock()'],
    ['tp kfree_skb', 'r0 = *(u64 *)(r1 + 24)', 'trusted_ptr_or_null_sock(id=1)'],
    ['tp mr_integ_alloc', 'r0 = *(u64 *)(r1 + 24)', 'scalar()'],
    ['iter task', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_bpf_iter_meta()'],
    ['iter task', 'r0 = *(u64 *)(r1 + 8)', 'trusted_ptr_or_null_task_struct(id=1)'],
    ['iter bpf_map_elem', 'r0 = *(u64 *)(r1 + 16)', 'rdonly_buf_or_null(id=1)'],
    ['iter bpf_map_elem', 'r0 = *(u64 *)(r1 + 24)', 'buf_or_null(id=1)'],
    ['fentry do_little', 'r0 = *(u64 *)(r1 + 0)', 'ptr_task_struct()'],
    ['fexit do_little', 'r0 = *(u64 *)(r1 + 16)', 'scalar()'],
    ['lsm file_open', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_file()'],
    ['lsm task_free', 'r0 = *(u64 *)(r1 + 0)', 'ptr_task_struct()'],
    ['lsm file_open', 'r0 = *(u64 *)(r1 + 8)', 'scalar(smin=smin32=-4095,smax=smax32=0)'],
    ['tcp_cc ssthresh', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_tcp_sock()'],
    ['dummy test_1', 'r0 = *(u64 *)(r1 + 0)', 'trusted_ptr_or_null_bpf_dummy_ops_state(id=1)'],
  ])('%s: %s', (target, text, expected) => {
    expect(stateOfR0(judge(target, `${text}; r0 = 0; exit`).log.replace(/ R0=0\b/g, ''))).toBe(expected);
  });

  test.each<[TargetName, string, string]>([
    ['tp task_seen', 'r0 = *(u32 *)(r1 + 0)', "func 'task_seen' size 4 must be 8"],
    ['tp task_seen', 'r0 = *(u32 *)(r1 + 4)', "func 'task_seen' offset 4 is not multiple of 8"],
    ['tp task_seen', 'r0 = *(u64 *)(r1 + 24)', "func 'task_seen' doesn't have 4-th argument"],
    ['tp task_seen', '*(u64 *)(r1 + 0) = 0', 'invalid bpf_context access off=0 size=8'],
    ['fentry do_little', 'r0 = *(u64 *)(r1 + 16)', "func 'do_little' doesn't have 3-th argument"],
    [
      'fmod_ret security_file_open',
      'r0 = *(u64 *)(r1 + 24)',
      "func 'security_file_open' doesn't have 3-th argument",
    ],
  ])('refused: %s: %s', (target, text, message) => {
    expect(judge(target, `${text}; r0 = 0; exit`)).toMatchObject({ verdict: 'reject', errno: 13, message });
  });
});

describe('walks through kernel structures', () => {
  const TASK = 'r6 = *(u64 *)(r1 + 0)';
  test.each<[string, TargetName, string, string]>([
    ['an ordinary pointer is no longer trusted', 'tp task_seen', 'r0 = *(u64 *)(r6 + 8)', 'ptr_mm_struct()'],
    ['RCU protects', 'tp task_seen', 'r0 = *(u64 *)(r6 + 16)', 'rcu_ptr_css_set()'],
    [
      'and what it protects leads on',
      'tp task_seen',
      'r7 = *(u64 *)(r6 + 16); r0 = *(u64 *)(r7 + 0)',
      'rcu_ptr_cgroup()',
    ],
    ['a union proves nothing', 'tp task_seen', 'r0 = *(u64 *)(r6 + 56)', 'untrusted_ptr_task_struct()'],
    [
      'nor does what follows',
      'tp task_seen',
      'r7 = *(u64 *)(r6 + 56); r0 = *(u64 *)(r7 + 16)',
      'untrusted_ptr_css_set()',
    ],
    ['memory of no type', 'tp task_seen', 'r0 = *(u64 *)(r6 + 80)', 'rdonly_untrusted_mem(sz=0)'],
    ['which may be read', 'tp task_seen', 'r7 = *(u64 *)(r6 + 80); r0 = *(u64 *)(r7 + 4000)', 'scalar()'],
    ['fields that are always safe', 'lsm file_open', 'r0 = *(u64 *)(r6 + 0)', 'trusted_ptr_inode()'],
    ['arguments of functions promise nothing', 'fentry do_little', 'r0 = *(u64 *)(r6 + 16)', 'ptr_css_set()'],
    ['a fixed offset', 'tp task_seen', 'r6 += 8; r0 = *(u64 *)(r6 + 0)', 'ptr_mm_struct()'],
    ['per-CPU memory', 'tp task_seen', 'r0 = *(u64 *)(r6 + 48)', 'percpu_ptr_mm_struct()'],
  ])('%s', (_what, target, text, expected) => {
    expect(stateOfR0(judge(target, `${TASK}; ${text}; r0 = 0; exit`).log.replace(/ R0=0\b/g, ''))).toBe(
      expected,
    );
  });

  test('in programs that may sleep nothing holds RCU', () => {
    const text = `r6 = *(u64 *)(r1 + 8); if r6 == 0 goto end; r0 = *(u64 *)(r6 + 16); end: r0 = 0; exit`;
    const { log } = judge('iter task', text, { progFlags: SLEEPABLE });
    expect(log).toContain('R0=untrusted_ptr_css_set()');
  });

  test.each<[string, TargetName, string, string, Partial<VerifyRequest>?]>([
    [
      'nothing there',
      'tp task_seen',
      'r0 = *(u32 *)(r6 + 88)',
      "struct task_struct doesn't have field at offset 88",
    ],
    [
      'in front',
      'tp task_seen',
      'r0 = *(u32 *)(r6 - 4)',
      'R6 is ptr_task_struct invalid negative access: off=-4',
    ],
    [
      'user memory',
      'tp task_seen',
      'r7 = *(u64 *)(r6 + 40); r0 = *(u32 *)(r7 + 0)',
      'R7 is ptr_mm_struct access user memory: off=0',
    ],
    [
      'per-CPU memory',
      'tp task_seen',
      'r7 = *(u64 *)(r6 + 48); r0 = *(u32 *)(r7 + 0)',
      'R7 is ptr_mm_struct access percpu memory: off=0',
    ],
    [
      'an unknown offset',
      'tp task_seen',
      'r7 = *(u32 *)(r6 + 0); r7 &= 4; r6 += r7; r0 = *(u32 *)(r6 + 0)',
      'R6 is ptr_task_struct invalid variable offset: off=0, var_off=(0x0; 0x4)',
    ],
    [
      'perhaps nothing at all',
      'tp task_seen',
      'r7 = *(u64 *)(r1 + 8); r0 = *(u32 *)(r7 + 0)',
      "R7 invalid mem access 'trusted_ptr_or_null_'",
    ],
    ['stores', 'tp task_seen', '*(u32 *)(r6 + 0) = 1', 'only read is supported'],
    [
      'without the GPL',
      'tp task_seen',
      'r0 = *(u32 *)(r6 + 0)',
      "Cannot access kernel 'struct task_struct' from non-GPL compatible program",
      { license: 'Proprietary' },
    ],
    ['stores of congestion control', 'tcp_cc init', '*(u32 *)(r6 + 40) = 1', ''],
    ['to other fields', 'tcp_cc init', '*(u32 *)(r6 + 44) = 1', 'no write support to tcp_sock at off 44'],
    [
      'through a pointer that proves nothing',
      'tcp_cc init',
      'r7 = *(u64 *)(r6 + 32); *(u32 *)(r7 + 40) = 1',
      'only read is supported',
    ],
    [
      'beyond a field',
      'tcp_cc init',
      '*(u64 *)(r6 + 40) = 1',
      'write access at off 40 with size 8 beyond the member of tcp_sock ended at 44',
    ],
  ])('%s', (...[, target, text, message, more]) => {
    expect(judge(target, `${TASK}; ${text}; r0 = 0; exit`, more).message).toBe(message);
  });

  test('null is told by a comparison, and known where it cannot be', () => {
    const text = `r6 = *(u64 *)(r1 + 8); if r6 == 0 goto end; r0 = *(u32 *)(r6 + 0); if r6 != 0 goto end; r0 = *(u64 *)(r10 + 8); end: r0 = 0; exit`;
    expect(judge('tp task_seen', text)).toMatchObject({ verdict: 'accept', processed: 8 });
  });
});

describe('helpers', () => {
  const TASK = 'r6 = *(u64 *)(r1 + 0)';
  test.each<[string, TargetName, string, string]>([
    ['the current task', 'tp task_seen', 'call 158; r0 = *(u32 *)(r0 + 0)', ''],
    [
      'a task where a task is wanted',
      'tp task_seen',
      'r1 = r6; r2 = r10; r2 += -64; r3 = 64; r4 = 0; call 141',
      '',
    ],
    [
      'a structure of another type',
      'tp task_seen',
      'r1 = *(u64 *)(r6 + 8); r2 = r10; r2 += -64; r3 = 64; r4 = 0; call 141',
      'R1 is of type mm_struct but task_struct is expected',
    ],
    [
      'an untrusted pointer',
      'tp task_seen',
      'r1 = *(u64 *)(r6 + 56); r2 = r10; r2 += -64; r3 = 64; r4 = 0; call 141',
      'R1 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_',
    ],
    [
      'a pointer that may be null',
      'tp task_seen',
      'r6 = *(u64 *)(r1 + 8); r1 = r6; r2 = r10; r2 += -64; r3 = 64; r4 = 0; call 141',
      'R1 type=trusted_ptr_or_null_ expected=ptr_, trusted_ptr_, rcu_ptr_',
    ],
    [
      'any socket as its common part',
      'tp kfree_skb',
      'r1 = r6; call 137; if r0 == 0 goto end; r0 = *(u32 *)(r0 + 40)',
      '',
    ],
    [
      'a cast that may fail',
      'tp kfree_skb',
      'r1 = r6; call 137; r0 = *(u32 *)(r0 + 40)',
      "R0 invalid mem access 'ptr_or_null_'",
    ],
    [
      'memory that is only read',
      'iter task',
      'r1 = r6; r1 = *(u64 *)(r6 + 0); r2 = r6; r3 = 8; call 127',
      '',
    ],
    [
      'memory that is written',
      'tp task_seen',
      'r1 = r6; r2 = 8; r3 = r6; call 113',
      'bpf_probe_read_kernel() may write into memory pointed by R1 type=trusted_ptr_',
    ],
    [
      'a variable that is not per-CPU',
      'tp task_seen',
      'r1 = r6; call 154',
      'R1 type=trusted_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_',
    ],
  ])('%s', (_what, target, text, message) => {
    const result = judge(target, `${TASK}; ${text}; end: r0 = 0; exit`);
    expect(result.message).toBe(message);
    expect(result.verdict).toBe(message === '' ? 'accept' : 'reject');
  });

  test('bpf_this_cpu_ptr of a per-CPU pointer', () => {
    const text = `${TASK}; r1 = *(u64 *)(r6 + 48); call 154; r0 = *(u32 *)(r0 + 0); r0 = 0; exit`;
    expect(judge('tp task_seen', text).log).toContain('R0=ptr_mm_struct()');
  });

  test('bpf_per_cpu_ptr may find no such CPU', () => {
    const text = `${TASK}; r1 = *(u64 *)(r6 + 48); r2 = 9; call 153; r0 = 0; exit`;
    expect(judge('tp task_seen', text).log).toContain('R0=ptr_or_null_mm_struct(id=1)');
  });
});

describe('map pointers', () => {
  const maps = [{ name: 'm', type: 2, keySize: 4, valueSize: 8, maxEntries: 1, mapFlags: 0 }];
  test.each([
    ['a number', 'r0 = *(u32 *)(r1 + 0)', ''],
    ['a pointer', 'r2 = *(u64 *)(r1 + 8); r0 = *(u32 *)(r2 + 0)', ''],
    ['in front', 'r0 = *(u32 *)(r1 - 4)', 'R1 is bpf_array invalid negative access: off=-4'],
    ['behind', 'r0 = *(u32 *)(r1 + 16)', 'access beyond struct bpf_array at off 16 size 4'],
    ['stores', '*(u32 *)(r1 + 0) = 1', 'only read from bpf_array is supported'],
  ])('%s', (_what, text, message) => {
    const result = judge('tp task_seen', `r1 = map[fd:0]; ${text}; r0 = 0; exit`, { maps });
    expect(result.message).toBe(message);
  });
});

describe('addresses of kernel symbols', () => {
  test.each([
    ['a function', `btf_id[${kernelId('do_little')}]`, '', 'rdonly_mem(sz=0)'],
    [
      'a variable of a kernel that does not give addresses out',
      `btf_id[${kernelId('counters')}]`,
      "ldimm64 failed to find the address for kernel symbol 'counters'.",
      undefined,
    ],
    [
      'a structure',
      `btf_id[${kernelId('sock')}]`,
      `pseudo btf_id ${kernelId('sock')} in ldimm64 isn't KIND_VAR or KIND_FUNC`,
      undefined,
    ],
    ['nothing', 'btf_id[4000]', 'ldimm64 insn specifies invalid btf_id 4000.', undefined],
  ])('%s', (...[, symbol, message, state]) => {
    const result = judge('tp task_seen', `r0 = ${symbol}; r0 = 0; exit`);
    expect(result.message).toBe(message);
    if (state !== undefined) expect(result.log).toContain(`R0=${state}`);
  });
});

test('without the kernel’s types nothing is guessed', () => {
  const result = judge('tp task_seen', 'r0 = 0; exit', { policy: {} });
  expect(result).toMatchObject({
    verdict: 'unsupported',
    message: "program attached by BTF id without the kernel's types",
  });
});
