/** Rejections of programs whose loader lacks CAP_PERFMON, or CAP_BPF too. */
import { MapType } from '../../../../src/abi/map-types.js';
import { type Case, MAPS } from '../program.js';

const BPF = { capabilities: { bpf: true } };
const NONE = { privileged: false };
const MASKED = 'pointer arithmetic with it prohibited for !root';

/** r0 = value of the array, 48 bytes. */
const LOOK_UP = `
      r6 = r1
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map 1
      call bpf_map_lookup_elem
      if r0 == 0 goto out`;
const OUT = `
      out:
      r0 = 0
      exit`;

export const PRIVILEGES: readonly Case[] = [
  {
    name: 'a tracing program without CAP_PERFMON',
    rule: 'refused-silently',
    message: '',
    type: 2,
    extra: BPF,
    program: `
      r0 = 0
      exit`,
  },
  {
    name: 'address returned',
    rule: 'pointer-leak',
    message: 'R0 leaks addr as return value',
    extra: BPF,
    program: `
      r0 = r10
      exit`,
  },
  {
    name: 'address stored in a map',
    rule: 'pointer-leak',
    message: 'R6 leaks addr into map',
    extra: BPF,
    program: `${LOOK_UP}
      *(u64 *)(r0 + 0) = r6${OUT}`,
  },
  {
    name: 'addresses compared',
    rule: 'pointer-leak',
    message: 'R1 pointer comparison prohibited',
    extra: BPF,
    program: `
      r0 = 0
      if r10 == r1 goto out${OUT}`,
  },
  {
    name: 'address negated',
    rule: 'pointer-leak',
    message: 'R1 pointer arithmetic prohibited',
    extra: BPF,
    program: `
      r1 = -r1
      r0 = 0
      exit`,
  },
  {
    name: 'stack never written',
    rule: 'stack-bounds',
    message: 'invalid read from stack R10 off=-8 size=8',
    extra: BPF,
    program: `
      r0 = *(u64 *)(r10 - 8)
      exit`,
  },
  {
    name: 'spilled pointer overwritten in part',
    rule: 'stack-corrupted-spill',
    message: 'attempt to corrupt spilled pointer on stack',
    extra: BPF,
    program: `
      *(u64 *)(r10 - 8) = r1
      *(u8 *)(r10 - 8) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'atomic addition to a spilled pointer',
    rule: 'spilled-pointer-read',
    message: 'leaking pointer from stack off -8',
    extra: BPF,
    program: `
      *(u64 *)(r10 - 8) = r1
      r2 = 1
      lock *(u64 *)(r10 - 8) += r2
      r0 = 0
      exit`,
  },
  {
    name: 'offset of either sign',
    rule: 'masked-sign',
    message: `R2 has unknown scalar with mixed signed bounds, ${MASKED}`,
    extra: BPF,
    program: `${LOOK_UP}
      r2 = *(u32 *)(r6 + 0)
      r2 &= 15
      r2 += -8
      r0 += 16
      r0 += r2${OUT}`,
  },
  {
    name: 'packet pointer and a variable offset',
    rule: 'masked-type',
    message: `R2 has pointer with unsupported alu operation, ${MASKED}`,
    type: 3,
    extra: { capabilities: { bpf: true, netAdmin: true } },
    program: `
      r2 = *(u32 *)(r1 + 76)
      r3 = *(u32 *)(r1 + 0)
      r3 &= 15
      r2 += r3
      r0 = 0
      exit`,
  },
  {
    name: 'one addition for two numbers',
    rule: 'masked-paths',
    message: `R0 tried to add from different maps, paths or scalars, ${MASKED}`,
    extra: BPF,
    program: `${LOOK_UP}
      r2 = *(u32 *)(r6 + 0)
      r3 = r2
      r2 &= 15
      if r3 == 0 goto add
      r2 = 3
      add:
      r0 += r2
      r1 = *(u8 *)(r0 + 0)${OUT}`,
  },
  {
    name: 'up from the lowest byte of the stack',
    rule: 'masked-limit',
    message: `R2 tried to add beyond pointer bounds, ${MASKED}`,
    extra: BPF,
    program: `
      r2 = r10
      r2 += -512
      r3 = 8
      r2 += r3
      r0 = 0
      exit`,
  },
  {
    name: 'stack address that varies',
    rule: 'stack-offset-privilege',
    message: 'R3 variable stack access prohibited for !root, var_off=(0x0; 0x7) off=-16',
    extra: BPF,
    program: `
      *(u64 *)(r10 - 8) = 0
      *(u64 *)(r10 - 16) = 0
      r2 = *(u32 *)(r1 + 0)
      r2 &= 7
      r3 = r10
      r3 += -16
      r3 += r2
      r0 = 0
      exit`,
  },
  {
    name: 'stack address above the frame',
    rule: 'stack-offset-privilege',
    message: 'R2 stack pointer arithmetic goes out of range, prohibited for !root; off=8',
    extra: BPF,
    program: `
      r2 = r10
      r2 += 8
      r0 = 0
      exit`,
  },
  {
    name: 'a loop without CAP_BPF',
    rule: 'back-edge',
    message: 'back-edge from insn 2 to 1',
    extra: NONE,
    program: `
      r0 = 0
      again:
      r0 += 1
      if r0 < 4 goto again
      exit`,
  },
  {
    name: 'a function without CAP_BPF',
    rule: 'needs-bpf',
    message: 'loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN',
    extra: NONE,
    program: `
      call f
      exit
      f:
      r0 = 0
      exit`,
  },
  {
    name: 'an arena without CAP_PERFMON',
    rule: 'needs-arena',
    message: 'CAP_BPF and CAP_PERFMON are required to use arena',
    extra: BPF,
    maps: [{ ...MAPS[0]!, name: 'arena', type: MapType.arena, keySize: 0, valueSize: 0, mapFlags: 0x400 }],
    program: `
      r1 = map 0
      r0 = 0
      exit`,
  },
];
