/** Rejections around spin locks in map values, and of calls of global functions: both need BTF. */

import { ProgType } from '../../../../src/abi/prog-types.js';
import { Btf, encodeBtf } from '../../../../src/object/btf/index.js';
import type { VerifyMap } from '../../../../src/verifier/index.js';
import { intType } from '../../../support/btf-types.js';
import { type Case, MAPS } from '../program.js';

const member = (name: string, type: number, byte: number) => ({
  name,
  type,
  bitOffset: byte * 8,
  bitfieldSize: 0,
});

/** 1 int, 2 lock, 3 value, 4 prototype of a function of an int, 5 main, 6 helper, a global function. */
const TYPES = Btf.parse(
  encodeBtf([
    intType(),
    { kind: 'struct', name: 'bpf_spin_lock', size: 4, kindFlag: false, members: [member('val', 1, 0)] },
    {
      kind: 'struct',
      name: 'value',
      size: 8,
      kindFlag: false,
      members: [member('lock', 2, 0), member('count', 1, 4)],
    },
    { kind: 'func_proto', name: '', type: 1, params: [{ name: 'x', type: 1 }] },
    { kind: 'func', name: 'main', type: 4, linkage: 0 },
    { kind: 'func', name: 'helper', type: 4, linkage: 1 },
  ]),
);

const LOCKED: VerifyMap = {
  ...MAPS[1]!,
  name: 'locked',
  valueSize: 8,
  btf: TYPES,
  btfKeyTypeId: 1,
  btfValueTypeId: 3,
};

/** Slots 0 to 7: the value in r6. */
const VALUE = `
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map 0
      call bpf_map_lookup_elem
      if r0 == 0 goto out
      r6 = r0`;

const END = `
    out:
      r0 = 0
      exit`;

const type = ProgType.sched_cls;
const maps = [LOCKED, MAPS[0]!];

export const LOCKS: readonly Case[] = [
  {
    name: 'helper called under a lock',
    rule: 'call-under-lock',
    message: 'function calls are not allowed while holding a lock',
    type,
    maps,
    program: `${VALUE}
      r1 = r6
      call bpf_spin_lock
      call bpf_get_prandom_u32
      r1 = r6
      call bpf_spin_unlock${END}`,
  },
  {
    name: 'lock still held at exit',
    rule: 'leak-at-exit',
    message: 'BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region',
    type,
    maps,
    program: `${VALUE}
      r1 = r6
      call bpf_spin_lock
      r1 = *(u32 *)(r6 + 4)
      if r1 == 0 goto out
      r1 = r6
      call bpf_spin_unlock${END}`,
  },
  {
    name: 'unlock without lock',
    rule: 'lock-unbalanced',
    message: 'bpf_spin_unlock without taking a lock',
    type,
    maps,
    program: `${VALUE}
      r1 = r6
      call bpf_spin_unlock${END}`,
  },
  {
    name: 'lock written directly',
    rule: 'map-special-field',
    message: 'bpf_spin_lock cannot be accessed directly by load/store',
    type,
    maps,
    program: `${VALUE}
      *(u32 *)(r6 + 0) = 0${END}`,
  },
  {
    name: 'address beside the lock',
    rule: 'map-field-missing',
    message: "off 4 doesn't point to 'struct bpf_spin_lock' that is at 0",
    type,
    maps,
    program: `${VALUE}
      r1 = r6
      r1 += 4
      call bpf_spin_lock${END}`,
  },
  {
    name: 'map without BTF',
    rule: 'map-field-missing',
    message: "map 'array' has to have BTF in order to use bpf_spin_lock",
    type,
    maps: [MAPS[1]!],
    program: `${VALUE}
      r1 = r6
      call bpf_spin_lock${END}`,
  },
  {
    name: 'lock in a tracing program',
    rule: 'lock-in-tracing',
    message: 'tracing progs cannot use bpf_spin_lock yet',
    type: ProgType.kprobe,
    maps,
    program: `
      r1 = map 0
      r0 = 0
      exit`,
  },
  {
    name: 'pointer for a number of a global function',
    rule: 'global-arguments',
    message: 'R1 is not a scalar',
    type,
    program: `
      call helper
      r0 = 0
      exit
    helper:
      r0 = r1
      exit`,
    extra: {
      btf: TYPES,
      funcInfo: [
        { insnOff: 0, typeId: 5 },
        { insnOff: 3, typeId: 6 },
      ],
    },
  },
  {
    name: 'second lock',
    rule: 'call-under-lock',
    message: 'function calls are not allowed while holding a lock',
    type,
    maps,
    program: `${VALUE}
      r1 = r6
      call bpf_spin_lock
      r1 = r6
      call bpf_spin_lock${END}`,
  },
  {
    name: 'function information of another program',
    rule: 'func-info',
    message: 'nonzero insn_off 1 for the first func info record',
    type,
    program: `
      r0 = 0
      exit`,
    extra: { btf: TYPES, funcInfo: [{ insnOff: 1, typeId: 5 }] },
  },
  {
    name: 'tail call in a function without BTF',
    rule: 'subprogram-without-btf',
    message: 'tail_call is not allowed in subprogs without BTF',
    type,
    program: `
      call sub
      exit
    sub:
      r2 = map 3
      r3 = 0
      call bpf_tail_call
      r0 = 0
      exit`,
  },
];
