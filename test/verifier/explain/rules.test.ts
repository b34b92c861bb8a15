/**
 * Which rule a message of Linux 6.18 falls under, for messages that this verifier does not produce yet, and the
 * words for register texts.
 */
import { describe, expect, test } from '@jest/globals';
import { Path } from '../../../src/verifier/explain/path.js';
import { RULES } from '../../../src/verifier/explain/rules/index.js';
import { describeValue } from '../../../src/verifier/explain/value.js';
import { requestOf } from './program.js';

describe('rules by message', () => {
  test.each([
    ['Expected an initialized dynptr as arg #2', 'dynptr-uninitialised'],
    ['arg#0 expected pointer to stack or const struct bpf_dynptr', 'dynptr-uninitialised'],
    ['cannot overwrite referenced dynptr', 'dynptr-touched'],
    ['potential write to dynptr at off=-16 disallowed', 'dynptr-touched'],
    ['dynptr has to be at a constant offset', 'dynptr-touched'],
    ['Unsupported reg type fp for bpf_dynptr_from_mem data', 'dynptr-memory'],
    ['expected an initialized iter_num as arg #0', 'iterator-state'],
    ['expected uninitialized iter_num as arg #0', 'iterator-state'],
    ['Possibly NULL pointer passed to trusted arg0', 'trusted-null'],
    ['R1 must be referenced or trusted', 'untrusted-pointer'],
    ['R1 must be a rcu pointer', 'untrusted-pointer'],
    ['arg 1 is an unacquired reference', 'untrusted-pointer'],
    ['kernel function f args#0 expected pointer to STRUCT a but R1 has a pointer to STRUCT b', 'kernel-type'],
    ['only read from bpf_array is supported', 'kernel-object-write'],
    ['no write support to nf_conn at off 128', 'kernel-object-write'],
    ['R1 is bpf_array invalid negative access: off=-8', 'kernel-object-bounds'],
    ["ldimm64 failed to find the address for kernel symbol 'runqueues'.", 'kernel-symbol'],
    ['bpf_throw kfunc (insn 16) cannot be called from callback subprog 1', 'exception-call'],
    ['calling kernel function bpf_cgroup_acquire is not allowed', 'kfunc-disallowed'],
    ['invalid read from stack off -16+4 size 8', 'stack-uninitialised'],
    ['invalid read from stack R3 off -16+0 size 16', 'stack-uninitialised'],
    ['BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region', 'leak-at-exit'],
    ['back-edge from insn 3 to 0', 'back-edge'],
    ['The sequence of 8193 jumps is too complex.', 'jump-sequence'],
    [
      'tail_calls are not allowed when call stack of previous frames is 288 bytes. Too large',
      'tail-call-stack',
    ],
    ['R1 must be referenced when passed to release function', 'release-unreferenced'],
  ])('%s', (message, id) => {
    expect(RULES.find(({ pattern }) => pattern.test(message))?.id).toBe(id);
  });
});

describe('register texts in words', () => {
  test.each([
    [undefined, 'not initialised'],
    ['-7', 'the number -7'],
    ['P0x10', 'the number 16'],
    ['fp-16', 'a pointer to the stack, fp-16'],
    ['scalar()', 'a number of any size'],
    ['scalar(smin=smin32=0,smax=umax=smax32=umax32=60,var_off=(0x0; 0x3f))', 'a number from 0 to 60'],
    ['scalar(smin=-4,smax=36)', 'a number from -4 to 36'],
    ['scalar(smax=16)', 'a number of at most 16, negative included'],
    ['scalar(umin=32)', 'a number of at least 32 (unsigned), without an upper bound'],
    ['scalar(var_off=(0x0; 0xfffffffffffffffc))', 'a number of any size of which only some bits are known'],
    ['ctx()', 'a pointer to the context'],
    ['map_ptr(map=m,ks=4,vs=8)', 'map m'],
    [
      'map_value_or_null(id=1,map=m,ks=4,vs=8)',
      'a pointer to the value of map m (8 bytes) or NULL, not yet compared with 0',
    ],
    [
      'pkt(id=2,off=4,r=14,smin=0,smax=umax=255)',
      'a pointer to the packet at offset 4 plus a variable offset from 0 to 255 with 14 checked bytes',
    ],
    ['mem(id=3,ref_obj_id=3,sz=16)', 'a pointer to 16 bytes of memory'],
    ['trusted_ptr_task_struct()', 'a trusted pointer to a struct task_struct'],
    ['mmmmmmmm', 'eight bytes of unknown contents'],
    ['????5', 'partly (the bytes not shown as ????) the number 5'],
  ])('%s', (text, words) => {
    expect(describeValue(text)).toBe(words);
  });
});

describe('paths', () => {
  const request = requestOf({
    name: '',
    rule: '',
    message: '',
    program: `
      r6 = 1
      call sub
      r0 = 0
      exit
    sub:
      r0 = r1
      exit`,
  });

  test('steps know their function, and values where they hold', () => {
    const log = [
      '0: R1=ctx() R10=fp0',
      '0: (b7) r6 = 1                        ; R6=1',
      '1: (85) call pc+2',
      'caller:',
      ' R6=1 R10=fp0',
      'callee:',
      ' frame1: R1=ctx() R10=fp0',
      '4: frame1: R1=ctx() R10=fp0',
      '4: (bf) r0 = r1                       ; frame1: R0=ctx() R1=ctx()',
      '5: (95) exit',
      'returning from callee:',
      ' frame1: R0=ctx() R1=ctx() R10=fp0',
      'to caller at 2:',
      ' R0=ctx() R6=1 R10=fp0',
      '2: (b7) r0 = 0                        ; R0=0',
      '3: (95) exit',
      'some reason',
      'processed 6 insns (limit 1000000)',
    ].join('\n');
    const path = new Path(request, log);
    expect(path.steps.map(({ slot, activation }) => [slot, activation.depth])).toEqual([
      [0, 0],
      [1, 0],
      [4, 1],
      [5, 1],
      [2, 0],
      [3, 0],
    ]);
    expect(path.errors).toEqual(['some reason']);
    const main = path.steps[0]!.activation;
    const sub = path.steps[2]!.activation;
    expect(path.steps[4]!.activation).toBe(main);
    expect(sub.parent).toBe(main);
    expect(path.before(0, main, 'R6')).toBeUndefined();
    expect(path.after(0, main, 'R6')).toBe('1');
    expect(path.before(1, main, 'R1')).toBe('ctx()');
    expect(path.before(4, main, 'R1')).toBeUndefined();
    expect(path.before(4, main, 'R0')).toBe('ctx()');
    expect(path.before(3, sub, 'R0')).toBe('ctx()');
    expect(path.before(5, main, 'R0')).toBe('0');
  });

  test('a path that is taken up again has its state behind the jump', () => {
    const path = new Path(request, '0: R1=ctx()\n0: (b7) r6 = 1 4: R1=5 R10=fp0\n4: (bf) r0 = r1\nwhy');
    expect(path.steps.map(({ slot }) => slot)).toEqual([0, 4]);
    expect(path.before(1, path.steps[1]!.activation, 'R1')).toBe('5');
  });

  test('an empty log is an empty path', () => {
    expect(new Path(request, '').steps).toEqual([]);
  });
});
