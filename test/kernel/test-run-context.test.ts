/**
 * How much of its context a program has to be given in a test run: all that it uses, as Linux 6.18.44 recorded it. Random programs
 * found the difference.
 */
import { expect, test } from '@jest/globals';
import type { AttachType } from '../../src/abi/attach-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { SyscallError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';

const EINVAL = 22;
const SLEEPABLE = 16;

const ROWS: readonly (readonly [type: ProgTypeName, asm: string, given: number, errno: number])[] = [
  ['raw_tracepoint', 'r0 = *(u64 *)(r1 + 40)', 40, EINVAL],
  ['raw_tracepoint', 'r0 = *(u64 *)(r1 + 40)', 48, 0],
  ['raw_tracepoint', 'r0 = *(u32 *)(r1 + 8)', 8, EINVAL],
  ['raw_tracepoint', 'r0 = 0\nif r0 == 0 goto +1\nr0 = *(u64 *)(r1 + 40)', 8, 0],
  ['syscall', 'r0 = *(u8 *)(r1 + 9)', 9, EINVAL],
  ['syscall', 'r0 = *(u8 *)(r1 + 9)', 10, 0],
];

test.each(ROWS)('%s, %j, given %i bytes', (type, asm, given, errno) => {
  const kernel = new Kernel();
  const prog = kernel.bpf.progLoad(
    {
      name: 'prog',
      section: type,
      type: ProgType[type],
      expectedAttachType: 0 as AttachType,
      progFlags: type === 'syscall' ? SLEEPABLE : 0,
      autoload: true,
      insns: assemble(`${asm}\nr0 = 7\nexit`),
      subProgs: [],
      funcInfo: [],
      lineInfo: [],
    },
    [],
  );
  const run = (): number => testRun(kernel, prog, { ctxIn: new Uint8Array(given) }).retval;
  if (errno === 0) expect(run()).toBe(7);
  else expect(run).toThrow(expect.objectContaining({ errno, constructor: SyscallError }));
});
