/**
 * What reads of memory that is not there answer, by address and size: which addresses are tried at all, and as whose. The expectations are
 * those of Linux 6.18.44 on x86-64, of reads of no byte and of one.
 */
import { expect, test } from '@jest/globals';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { load } from './helpers-support.js';

const EFAULT = -14;
const ERANGE = -34;

const USER = ['0', '0x1000', '0x7fffffffe000'];
const END_OF_USER = ['0x7ffffffff000'];
const NOBODY = ['0x800000000000', '0x800000000fff', '0x800000001000', '0xffff7fffffffffff'];
const KERNEL = ['0xffff800000000000', '0xfffffffffffffff8'];
const VSYSCALL = ['0xffffffffff600000'];

const ROWS: readonly (readonly [
  helper: string,
  addresses: readonly string[],
  ofNone: number,
  ofOne: number,
])[] = [
  ['probe_read', [...USER, ...KERNEL], 0, EFAULT],
  ['probe_read', [...END_OF_USER, ...NOBODY, ...VSYSCALL], ERANGE, ERANGE],
  ['probe_read_user', [...USER, ...END_OF_USER], 0, EFAULT],
  ['probe_read_user', [...NOBODY, ...KERNEL, ...VSYSCALL], EFAULT, EFAULT],
  ['probe_read_kernel', [...USER, ...END_OF_USER, ...NOBODY, ...VSYSCALL], ERANGE, ERANGE],
  ['probe_read_kernel', KERNEL, 0, EFAULT],
  ['probe_read_str', [...USER, ...KERNEL], 0, EFAULT],
  ['probe_read_str', [...END_OF_USER, ...NOBODY, ...VSYSCALL], 0, ERANGE],
  ['probe_read_user_str', [...USER, ...END_OF_USER, ...NOBODY, ...KERNEL, ...VSYSCALL], 0, EFAULT],
  ['probe_read_kernel_str', [...USER, ...END_OF_USER, ...NOBODY, ...VSYSCALL], 0, ERANGE],
  ['probe_read_kernel_str', KERNEL, 0, EFAULT],
];

const kernel = new Kernel({ checked: true });

/** The helper's result, and the byte that it was to fill, which was 255. */
function answer(helper: string, address: string, size: number): readonly [result: number, byte: number] {
  const prog = load(
    kernel,
    'raw_tracepoint',
    `*(u64 *)(r10 - 8) = -1\nr1 = r10\nr1 += -8\nr2 = ${size}\nr3 = ${address} ll\ncall bpf_${helper}\n` +
      'r0 <<= 8\nr1 = *(u8 *)(r10 - 8)\nr0 |= r1\nexit',
  );
  const retval = testRun(kernel, prog, {}).retval | 0;
  return [retval >> 8, retval & 255];
}

test.each(ROWS)('%s of %j', (helper, addresses, ofNone, ofOne) => {
  for (const address of addresses) {
    expect([address, ...answer(helper, address, 0)]).toEqual([address, ofNone, 255]);
    expect([address, ...answer(helper, address, 1)]).toEqual([address, ofOne, 0]);
  }
});
