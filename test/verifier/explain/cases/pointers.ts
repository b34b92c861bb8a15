/** Rejections of arithmetic. */
import type { Case } from '../program.js';
import { FOUND, LOOKUP } from './common.js';

const after = (text: string): string => `${FOUND}
      ${text}
      r0 = 0
    out:
      exit`;

export const POINTERS: readonly Case[] = [
  {
    name: 'unbounded number',
    rule: 'pointer-unbounded',
    message: 'math between map_value pointer and register with unbounded min value is not allowed',
    program: after('r1 = *(u64 *)(r0 + 0)\n r0 += r1'),
  },
  {
    name: 'far constant',
    rule: 'pointer-far-constant',
    message: 'math between map_value pointer and 2147483647 is not allowed',
    program: after('r1 = 0x7fffffff\n r0 += r1'),
  },
  {
    name: 'far offset',
    rule: 'pointer-far-constant',
    message: 'map_value pointer offset 1073741822 is not allowed',
    program: after('r0 += 0x1fffffff\n r0 += 0x1fffffff'),
  },
  {
    name: 'far value',
    rule: 'pointer-far-constant',
    message: 'fp pointer offset 1073741820 is not allowed',
    program: `
      r1 = r10
      r2 = 0x1ffffffe
      r1 += r2
      r1 += r2
      r1 += r2
      r0 = 0
      exit`,
  },
  {
    name: 'before the NULL check',
    rule: 'pointer-or-null-arithmetic',
    message: 'R0 pointer arithmetic on map_value_or_null prohibited, null-check it first',
    program: `${LOOKUP}
      r0 += 8
      if r0 == 0 goto out
      r0 = 0
    out:
      exit`,
  },
  {
    name: 'on a map',
    rule: 'pointer-opaque-arithmetic',
    message: 'R1 pointer arithmetic on map_ptr prohibited',
    program: `
      r1 = map 0
      r1 += 8
      r0 = 0
      exit`,
  },
  {
    name: 'pointer plus pointer',
    rule: 'pointer-plus-pointer',
    message: 'R0 pointer += pointer prohibited',
    program: after('r0 += r10'),
  },
  {
    name: 'bit operation',
    rule: 'pointer-operator',
    message: 'R0 bitwise operator &= on pointer prohibited',
    program: after('r0 &= 8'),
  },
  {
    name: 'division',
    rule: 'pointer-operator',
    message: 'R0 pointer arithmetic with /= operator prohibited',
    program: after('r0 /= 8'),
  },
  {
    name: '32 bits wide',
    rule: 'pointer-32-bit',
    message: 'R0 32-bit pointer arithmetic prohibited',
    program: after('w0 += 8'),
  },
  {
    name: 'number minus pointer',
    rule: 'pointer-subtracted',
    message: 'R1 tried to subtract pointer from scalar',
    program: after('r1 = 8\n r1 -= r0'),
  },
  {
    name: 'stack pointer minus number',
    rule: 'stack-pointer-subtracted',
    message: 'R1 subtraction from stack pointer prohibited',
    program: after('r1 = r10\n r2 = 8\n r1 -= r2'),
  },
  {
    name: 'division by zero',
    rule: 'division-by-zero',
    message: 'div by zero',
    program: after('r1 = 8\n r1 /= 0'),
  },
  {
    name: 'shift too far',
    rule: 'shift-range',
    message: 'invalid shift 64',
    program: after('r1 = 8\n r1 <<= 64'),
  },
];
