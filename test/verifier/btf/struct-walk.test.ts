/** What lies at an offset of a structure: `btf_struct_walk` in rows. Linux's own answers: test/oracle/btf-sweep.ts. */
import { describe, expect, test } from '@jest/globals';
import { isSafeField } from '../../../src/verifier/btf/safe-fields.js';
import { structAccess, structIdsMatch } from '../../../src/verifier/btf/struct-walk.js';
import { MEM_PERCPU, MEM_RCU, MEM_USER, PTR_UNTRUSTED } from '../../../src/verifier/reg-type.js';
import { KERNEL, kernelId } from './kernel.js';

const pointer = (struct: string, flags: number, field: string): object => ({
  kind: 'pointer',
  id: kernelId(struct),
  flags,
  field,
});
const error = (errno: number, line: string): object => ({ kind: 'error', errno, line });
const SCALAR = { kind: 'scalar' };

describe('structAccess', () => {
  test.each([
    ['a number', 'task_struct', 0, 4, SCALAR],
    ['part of a number', 'task_struct', 1, 2, SCALAR],
    [
      'more than a member',
      'task_struct',
      0,
      8,
      error(13, 'access beyond the end of member flags (mend:4) in struct task_struct with off 0 size 8'),
    ],
    ['a bit-field', 'task_struct', 4, 4, SCALAR],
    ['the byte of a bit-field', 'task_struct', 4, 1, SCALAR],
    ['a pointer', 'task_struct', 8, 8, pointer('mm_struct', 0, 'mm')],
    [
      'half a pointer',
      'task_struct',
      8,
      4,
      error(13, 'cannot access ptr member mm with moff 8 in struct task_struct with off 8 size 4'),
    ],
    [
      'inside a pointer',
      'task_struct',
      12,
      4,
      error(13, 'cannot access ptr member mm with moff 8 in struct task_struct with off 12 size 4'),
    ],
    ['a tagged pointer', 'task_struct', 16, 8, pointer('css_set', MEM_RCU, 'cgroups')],
    ['a user pointer', 'task_struct', 40, 8, pointer('mm_struct', MEM_USER, 'user_mem')],
    ['a per-CPU pointer', 'task_struct', 48, 8, pointer('mm_struct', MEM_PERCPU, 'percpu_mem')],
    ['an array as scratch space', 'task_struct', 28, 8, SCALAR],
    [
      'beyond an array',
      'task_struct',
      36,
      8,
      error(13, 'access beyond the end of member comm (mend:40) in struct task_struct with off 36 size 8'),
    ],
    ['a pointer in a union', 'task_struct', 56, 8, pointer('task_struct', PTR_UNTRUSTED, 'leader')],
    ['an element of an array of structures', 'task_struct', 72, 8, pointer('list_head', 0, 'next')],
    ['a nested structure', 'task_struct', 96, 8, pointer('list_head', 0, 'next')],
    ['a pointer to nothing in particular', 'task_struct', 80, 8, { kind: 'opaque' }],
    ['a hole', 'task_struct', 88, 4, error(22, "struct task_struct doesn't have field at offset 88")],
    ['the end', 'task_struct', 100, 8, error(13, 'access beyond struct task_struct at off 100 size 8')],
    ['a flexible array', 'flexible', 24, 8, pointer('list_head', 0, 'next')],
    ['before a flexible array', 'flexible', 4, 8, error(13, 'access beyond struct flexible at off 4 size 8')],
    [
      'a structure without members',
      'module_state',
      0,
      4,
      error(22, "struct module_state doesn't have field at offset 0"),
    ],
    ['no structure', 'int', 0, 4, error(22, "Type 'int' is not a struct")],
  ])('%s', (_what, struct, off, size, expected) => {
    expect(structAccess(KERNEL, kernelId(struct), off, size, true)).toEqual(expected);
  });

  test('flexible arrays can be ruled out', () => {
    expect(structAccess(KERNEL, kernelId('flexible'), 24, 8, false)).toMatchObject({ kind: 'error' });
  });
});

describe('structIdsMatch', () => {
  test.each([
    ['itself', 'sock', 0, 'sock', false, true],
    ['what it begins with', 'tcp_sock', 0, 'sock_common', false, true],
    ['what it begins with, strictly', 'tcp_sock', 0, 'sock_common', true, false],
    ['what contains it', 'sock', 0, 'tcp_sock', false, false],
    ['nested at an offset', 'task_struct', 96, 'list_head', false, true],
    ['itself at an offset', 'sock', 8, 'sock', false, false],
  ])('%s', (_what, have, off, need, strict, expected) => {
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const args = [KERNEL, kernelId(have), off, KERNEL, kernelId(need), strict, true] as const;
    expect(structIdsMatch(...args, log)).toBe(expected);
  });

  test('offsets before the structure wrap round, and the log says so', () => {
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    structIdsMatch(KERNEL, kernelId('sock'), -8, KERNEL, kernelId('tcp_sock'), false, true, log);
    expect(lines).toEqual(['access beyond struct sock at off 4294967288 size 1']);
  });
});

test.each([
  ['task_struct', 'cgroups', 'css_set', '__safe_rcu', true],
  ['task_struct', 'cgroups', 'cgroup', '__safe_rcu', false],
  ['task_struct', 'mm', 'mm_struct', '__safe_rcu', false],
  ['mm_struct', 'exe_file', 'file', '__safe_rcu_or_null', true],
  ['file', 'f_inode', 'inode', '__safe_trusted', true],
  ['file', 'f_inode', 'inode', '__safe_trusted_or_null', false],
] as const)('%s.%s to %s on the list %s: %s', (owner, field, pointee, list, expected) => {
  expect(isSafeField(KERNEL, kernelId(owner), field, kernelId(pointee), list)).toBe(expected);
});
