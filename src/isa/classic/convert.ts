/**
 * Classic BPF to eBPF as `bpf_convert_filter` of net/core/filter.c (Linux 6.18) does it: A is r0, X is
 * r7, the context r6, M[k] the stack word at fp − 4(k+1), r2 a scratch register.
 *
 * Two things differ, because Linux's result speaks of `struct sk_buff` and kernel addresses: packet
 * loads stay `LD_ABS` and `LD_IND`, and metadata comes from `struct __sk_buff` or from calls numbered
 * by the host (`ConvertOptions.callId`). What a program computes is the same.
 */
import * as C from '../constants.js';
import { makeInsn } from '../encode.js';
import type { Insn } from '../insn.js';
import {
  type AncillaryName,
  ancillaryOf,
  type ClassicCall,
  classicCallId,
  SECCOMP_DATA_SIZE,
  SKB_OFFSETS,
} from './ancillary.js';
import type { SockFilter } from './insn.js';
import { checkLinuxJumps } from './linux-size.js';
import { type ClassicJump, type ClassicRow, findClassic } from './opcodes.js';
import { checkClassic, checkSeccomp } from './validate.js';

/** Registers that hold the classic machine. */
export const CLASSIC_REGS = { a: 0, tmp: 2, ctx: 6, x: 7, fp: C.BPF_REG_FP } as const;

export interface ConvertOptions {
  /** `socket` (default): context is `struct __sk_buff`; `seccomp`: `struct seccomp_data`, no packet. */
  readonly context?: 'socket' | 'seccomp';
  /** Helper numbers that the host serves extension calls under; default `classicCallId`. */
  readonly callId?: (name: ClassicCall) => number;
}

export interface ConvertedFilter {
  readonly insns: Insn[];
  /** First slot of each classic instruction, for whoever reports faults in classic terms. */
  readonly slots: readonly number[];
  /** Extension calls that occur, which the host has to serve. */
  readonly calls: ReadonlySet<ClassicCall>;
}

/**
 * Check a classic program as Linux does, and convert it.
 * @throws ClassicError when Linux would refuse it.
 */
export function convertClassic(filter: readonly SockFilter[], options: ConvertOptions = {}): ConvertedFilter {
  const seccomp = options.context === 'seccomp';
  if (seccomp) checkSeccomp(filter);
  else checkClassic(filter);
  checkLinuxJumps(filter, seccomp);
  return new Converter(options).convert(filter);
}

/** One eBPF instruction; `to` is the classic instruction that a jump leads to. */
interface Step {
  readonly insn: Insn;
  readonly to?: number;
}

const { a: A, x: X, tmp: TMP, ctx: CTX, fp: FP } = CLASSIC_REGS;

/** The comparison that holds when the other does not; `jset` has none. */
const INVERSE: Readonly<Partial<Record<ClassicJump, string>>> = { jeq: 'jne', jgt: 'jle', jge: 'jlt' };

function step(name: string, operands: Partial<Insn> = {}): Step {
  return { insn: makeInsn(name, operands) };
}

function jumpTo(to: number, name: string, operands: Partial<Insn> = {}): Step {
  return { insn: makeInsn(name, operands), to };
}

class Converter {
  private readonly calls = new Set<ClassicCall>();

  constructor(private readonly options: ConvertOptions) {}

  convert(filter: readonly SockFilter[]): ConvertedFilter {
    const steps: Step[] = [
      step('mov32_imm', { dst: A, imm: 0 }),
      step('mov32_imm', { dst: X, imm: 0 }),
      step('mov64_reg', { dst: CTX, src: 1 }),
    ];
    const slots: number[] = [];
    filter.forEach((insn, pc) => {
      slots.push(steps.length);
      steps.push(...this.expand(insn, pc, findClassic(insn.code)!));
    });
    steps.forEach(({ insn, to }, slot) => {
      if (to !== undefined) insn.off = slots[to]! - slot - 1;
    });
    return { insns: steps.map((s) => ({ ...s.insn })), slots, calls: this.calls };
  }

  private expand(insn: SockFilter, pc: number, row: ClassicRow): Step[] {
    const imm = insn.k | 0;
    switch (row.form) {
      case 'alu':
        if (row.operand === 'k') return [step(`${row.op}32_imm`, { dst: A, imm })];
        return [
          ...(row.op === 'div' || row.op === 'mod' ? ZERO_DIVISOR : []),
          step(`${row.op}32_reg`, { dst: A, src: X }),
        ];
      case 'neg':
        return [step('neg32', { dst: A })];
      case 'ja':
        return [jumpTo(pc + 1 + insn.k, 'ja')];
      case 'jump':
        return jump(insn, pc, row.op, row.operand);
      case 'ret':
        return [...(row.operand === 'k' ? [step('mov32_imm', { dst: A, imm })] : []), step('exit')];
      case 'tax':
        return [step('mov64_reg', { dst: X, src: A })];
      case 'txa':
        return [step('mov64_reg', { dst: A, src: X })];
      default:
        return this.load(insn.k, row);
    }
  }

  private load(k: number, row: ClassicRow): Step[] {
    const imm = k | 0;
    const seccomp = this.options.context === 'seccomp';
    const reg = 'reg' in row && row.reg === 'x' ? X : A;
    switch (row.form) {
      case 'imm':
        return [step('mov32_imm', { dst: reg, imm })];
      case 'mem':
        return [step('ldx_u32', { dst: reg, src: FP, off: scratch(k) })];
      case 'st':
        return [step('stx32', { dst: FP, src: reg, off: scratch(k) })];
      case 'len':
        if (seccomp) return [step('mov32_imm', { dst: reg, imm: SECCOMP_DATA_SIZE })];
        return [step('ldx_u32', { dst: reg, src: CTX, off: SKB_OFFSETS.len })];
      case 'ld_abs': {
        if (seccomp) return [step('ldx_u32', { dst: A, src: CTX, off: k })];
        const ancillary = ancillaryOf(k);
        return ancillary === undefined ? [step(`ld_abs${row.width}`, { imm })] : this.ancillary(ancillary);
      }
      case 'ld_ind':
        return [step(`ld_ind${row.width}`, { src: X, imm })];
      default:
        return headerLength(imm);
    }
  }

  private ancillary(name: AncillaryName): Step[] {
    switch (name) {
      case 'ifidx':
        return [...NO_DEVICE, step('mov64_reg', { dst: A, src: TMP })];
      case 'hatype':
        return [...NO_DEVICE, ...this.call(name)];
      case 'nla':
      case 'nlan':
      case 'cpu':
      case 'poff':
      case 'rand':
        return this.call(name);
      case 'xor_x':
        return [step('xor32_reg', { dst: A, src: X })];
      default: {
        const [off, networkOrder] = ANCILLARY_FIELDS[name];
        const load = step('ldx_u32', { dst: A, src: CTX, off });
        return networkOrder ? [load, step('be16', { dst: A })] : [load];
      }
    }
  }

  private call(name: ClassicCall): Step[] {
    this.calls.add(name);
    return [
      step('mov64_reg', { dst: 1, src: CTX }),
      step('mov64_reg', { dst: 2, src: A }),
      step('mov64_reg', { dst: 3, src: X }),
      step('call_helper', { imm: (this.options.callId ?? classicCallId)(name) }),
    ];
  }
}

/** Classic programs end with 0 when they divide by zero. */
const ZERO_DIVISOR: readonly Step[] = [
  step('jne64_imm', { dst: X, off: 2, imm: 0 }),
  step('mov32_imm', { dst: A, imm: 0 }),
  step('exit'),
];

/** Without a device the program ends with A as it is. No device has index 0. */
const NO_DEVICE: readonly Step[] = [
  step('ldx_u32', { dst: TMP, src: CTX, off: SKB_OFFSETS.ifindex }),
  step('jne64_imm', { dst: TMP, off: 1, imm: 0 }),
  step('exit'),
];

/** Classic operands are unsigned, eBPF immediates are not: what has bit 31 set goes through a register. */
function jump({ jt, jf, k }: SockFilter, pc: number, op: ClassicJump, operand: 'k' | 'x'): Step[] {
  const imm = k | 0;
  const throughTmp = operand === 'k' && imm < 0;
  const before = throughTmp ? [step('mov32_imm', { dst: TMP, imm })] : [];
  const byReg = operand === 'x' || throughTmp;
  const suffix = byReg ? '64_reg' : '64_imm';
  const operands = byReg ? { dst: A, src: throughTmp ? TMP : X } : { dst: A, imm };
  const onTrue = pc + 1 + jt;
  const onFalse = pc + 1 + jf;
  const inverse = INVERSE[op];
  if (jf === 0) return [...before, jumpTo(onTrue, op + suffix, operands)];
  if (jt === 0 && inverse !== undefined) return [...before, jumpTo(onFalse, inverse + suffix, operands)];
  return [...before, jumpTo(onTrue, op + suffix, operands), jumpTo(onFalse, 'ja')];
}

/** X = 4 * (packet[k] & 0xf), A kept: the packet load goes through A, so A waits in X. */
function headerLength(imm: number): Step[] {
  return [
    step('mov64_reg', { dst: X, src: A }),
    step('ld_abs8', { imm }),
    step('and32_imm', { dst: A, imm: 0xf }),
    step('lsh32_imm', { dst: A, imm: 2 }),
    step('mov64_reg', { dst: TMP, src: X }),
    step('mov64_reg', { dst: X, src: A }),
    step('mov64_reg', { dst: A, src: TMP }),
  ];
}

type FieldName = Exclude<AncillaryName, ClassicCall | 'ifidx' | 'xor_x'>;

/** [offset in `struct __sk_buff`, in network byte order]. */
const ANCILLARY_FIELDS: Readonly<Record<FieldName, readonly [number, boolean]>> = {
  proto: [SKB_OFFSETS.protocol, true],
  type: [SKB_OFFSETS.pktType, false],
  mark: [SKB_OFFSETS.mark, false],
  queue: [SKB_OFFSETS.queueMapping, false],
  rxhash: [SKB_OFFSETS.hash, false],
  vlan_tci: [SKB_OFFSETS.vlanTci, false],
  vlan_avail: [SKB_OFFSETS.vlanPresent, false],
  vlan_tpid: [SKB_OFFSETS.vlanProto, true],
};

/** Stack offset of M[k]. */
function scratch(k: number): number {
  return -4 * (k + 1);
}
