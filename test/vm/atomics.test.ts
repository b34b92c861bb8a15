/** Atomics of both widths; load-acquire and store-release, which the public conformance suite has no tests for. */
import { describe, expect, test } from '@jest/globals';
import { LOOPS, runText } from './support.js';

const OLD = 0x1122334455667788n;
const ARG = 0x0f0f0f0ff0f0f0f0n;
const LOW = 0xffffffffn;

/** [operation, 64-bit result of old and argument] */
const OPS: readonly (readonly [string, (old: bigint, arg: bigint) => bigint])[] = [
  ['+', (old, arg) => old + arg],
  ['|', (old, arg) => old | arg],
  ['&', (old, arg) => old & arg],
  ['^', (old, arg) => old ^ arg],
];
const NAMES: Readonly<Record<string, string>> = { '+': 'add', '|': 'or', '&': 'and', '^': 'xor' };

/** Memory afterwards in r0, the source register in the second run. */
function run(statement: string, result: string, options: object): bigint {
  const text = `r1 = ${OLD} ll\n*(u64 *)(r10 - 8) = r1\nr2 = ${ARG} ll\nr0 = ${OLD} ll\n${statement}\n`;
  return runText(`${text}${result}\nexit`, options).r0;
}

const MEMORY = 'r0 = *(u64 *)(r10 - 8)';

describe.each(LOOPS)('%s', (_name, options) => {
  test.each(OPS)('lock %s', (op, apply) => {
    const mixed = (OLD & ~LOW) | (apply(OLD, ARG) & LOW);
    expect(run(`lock *(u64 *)(r10 - 8) ${op}= r2`, MEMORY, options)).toBe(
      BigInt.asUintN(64, apply(OLD, ARG)),
    );
    expect(run(`lock *(u32 *)(r10 - 8) ${op}= w2`, MEMORY, options)).toBe(mixed);
  });

  test.each(OPS)('fetching %s', (op, apply) => {
    const name = NAMES[op]!;
    const wide = `r2 = atomic64_fetch_${name}((u64 *)(r10 - 8), r2)`;
    const narrow = `w2 = atomic_fetch_${name}((u32 *)(r10 - 8), w2)`;
    expect(run(wide, MEMORY, options)).toBe(BigInt.asUintN(64, apply(OLD, ARG)));
    expect(run(wide, 'r0 = r2', options)).toBe(OLD);
    expect(run(narrow, MEMORY, options)).toBe((OLD & ~LOW) | (apply(OLD, ARG) & LOW));
    expect(run(narrow, 'r0 = r2', options)).toBe(OLD & LOW);
  });

  test('xchg', () => {
    const wide = 'r2 = atomic64_xchg((u64 *)(r10 - 8), r2)';
    const narrow = 'w2 = atomic_xchg((u32 *)(r10 - 8), w2)';
    expect(run(wide, MEMORY, options)).toBe(ARG);
    expect(run(wide, 'r0 = r2', options)).toBe(OLD);
    expect(run(narrow, MEMORY, options)).toBe((OLD & ~LOW) | (ARG & LOW));
    expect(run(narrow, 'r0 = r2', options)).toBe(OLD & LOW);
  });

  test('cmpxchg compares with r0 and always loads into it', () => {
    const wide = 'r0 = atomic64_cmpxchg((u64 *)(r10 - 8), r0, r2)';
    const narrow = 'r0 = atomic_cmpxchg((u32 *)(r10 - 8), r0, r2)';
    expect(run(wide, MEMORY, options)).toBe(ARG);
    expect(run(wide, 'r0 = r0', options)).toBe(OLD);
    expect(run(`r0 = 1\n${wide}`, MEMORY, options)).toBe(OLD);
    expect(run(`r0 = 1\n${wide}`, 'r0 = r0', options)).toBe(OLD);
    expect(run(narrow, MEMORY, options)).toBe((OLD & ~LOW) | (ARG & LOW));
    expect(run(narrow, 'r0 = r0', options)).toBe(OLD & LOW);
    expect(run(`r0 = 1\n${narrow}`, MEMORY, options)).toBe(OLD);
  });

  test.each([8, 16, 32, 64])('load-acquire of %d bits zero-extends', (width) => {
    const w = width === 64 ? 'r' : 'w';
    const text = `${w}0 = load_acquire((u${width} *)(r10 - 8))`;
    expect(run(text, 'r0 = r0', options)).toBe(BigInt.asUintN(width, OLD));
  });

  test.each([8, 16, 32, 64])('store-release of %d bits leaves the rest', (width) => {
    const w = width === 64 ? 'r' : 'w';
    const mask = (1n << BigInt(width)) - 1n;
    const text = `store_release((u${width} *)(r10 - 8), ${w}2)`;
    expect(run(text, MEMORY, options)).toBe((OLD & ~mask) | (ARG & mask));
  });

  test.each([
    ['load_acquire', 'r0 = load_acquire((u64 *)(r1 + 0))', 'load'],
    ['store_release', 'store_release((u64 *)(r1 + 0), r2)', 'store'],
    ['atomic add', 'lock *(u64 *)(r1 + 0) += r2', 'store'],
  ])('%s through a bad pointer faults', (_what, statement, kind) => {
    const { fault } = runText(`r1 = 0x1000 ll\nr2 = 1\n${statement}\nexit`, options);
    expect(fault).toMatchObject({ kind: 'bad-access', insn: 3, address: 0x1000n, size: 8 });
    expect(fault?.detail).toContain(kind);
  });
});
