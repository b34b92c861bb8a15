/** Rejections of stack accesses. */
import type { Case } from '../program.js';

export const STACK: readonly Case[] = [
  {
    name: 'above the frame pointer',
    rule: 'stack-bounds',
    message: 'invalid write to stack R10 off=8 size=8',
    program: `
      *(u64 *)(r10 + 8) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'below the stack, through a copy',
    rule: 'stack-bounds',
    message: 'invalid write to stack R1 off=-520 size=8',
    program: `
      r1 = r10
      r1 += -520
      *(u64 *)(r1 + 0) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'unknown index',
    rule: 'stack-unbounded',
    message: 'invalid unbounded variable-offset write to stack R3',
    program: `
      r2 = *(u32 *)(r1 + 0)
      r3 = r10
      r3 += r2
      *(u8 *)(r3 - 8) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'index that leaves the stack',
    rule: 'stack-unbounded',
    message: 'invalid variable-offset read from stack R3 var_off=(0x0; 0xf) off=-8 size=1',
    program: `
      *(u64 *)(r10 - 8) = 0
      r2 = *(u32 *)(r1 + 0)
      r2 &= 15
      r3 = r10
      r3 += -8
      r3 += r2
      r0 = *(u8 *)(r3 + 0)
      exit`,
  },
  {
    name: 'misaligned',
    rule: 'stack-misaligned',
    message: 'misaligned stack access off 0+0+-6 size 4',
    program: `
      *(u32 *)(r10 - 6) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'pointer read back in part',
    rule: 'stack-partial-fill',
    message: 'invalid size of register fill',
    program: `
      *(u64 *)(r10 - 8) = r1
      r0 = *(u32 *)(r10 - 8)
      exit`,
  },
  {
    name: 'pointer saved in part',
    rule: 'stack-partial-spill',
    message: 'invalid size of register spill',
    program: `
      *(u32 *)(r10 - 8) = r1
      r0 = 0
      exit`,
  },
  {
    name: "stack address left in the caller's frame",
    rule: 'stack-to-caller',
    message: 'cannot spill pointers to stack into stack frame of the caller',
    program: `
      r1 = r10
      r1 += -8
      call sub
      r0 = 0
      exit
    sub:
      r2 = r10
      r2 += -8
      *(u64 *)(r1 + 0) = r2
      r0 = 0
      exit`,
  },
  {
    name: 'stack address returned',
    rule: 'stack-returned',
    message: 'cannot return stack pointer to the caller',
    program: `
      call sub
      r0 = 0
      exit
    sub:
      r0 = r10
      exit`,
  },
  {
    name: 'frame pointer written',
    rule: 'frame-pointer',
    message: 'frame pointer is read only',
    program: `
      r10 += -8
      r0 = 0
      exit`,
  },
];
