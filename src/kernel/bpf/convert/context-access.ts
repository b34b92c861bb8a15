/**
 * A verified program's accesses to its context and to sockets, turned into what Linux turns them into. A context lies in
 * memory as programs see it, so most accesses stay as they are; what differs is a load inside a field that the kernel
 * keeps narrower, a store to one, and a pointer to the packet, which has 64 bits. Instructions keep their places. Models
 * `convert_ctx_accesses` (kernel/bpf/verifier.c) of Linux 6.18.
 */
import { contextOf } from '../../../abi/context/index.js';
import { type ContextField, type ContextLayout, fieldAt } from '../../../abi/context/layout.js';
import { SOCK } from '../../../abi/context/skb.js';
import type { ProgType } from '../../../abi/prog-types.js';
import {
  BPF_B,
  BPF_CALL,
  BPF_DW,
  BPF_H,
  BPF_JMP,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_ST,
  BPF_STX,
  BPF_W,
  bpfClass,
  bpfMode,
  bpfSize,
} from '../../../isa/constants.js';
import type { Insn } from '../../../isa/insn.js';
import {
  baseType,
  CONST_PTR_TO_MAP,
  PTR_TO_CTX,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
} from '../../../verifier/reg-type.js';
import type { HelperCall, HelperDef } from '../../../vm/index.js';
import { type KernelField, kernelField } from './fields.js';

/** Calls that conversion puts in: numbers that no helper has. */
export const CONVERTED_CALL = -0x7000_0000;

const SIZE_BITS: Readonly<Record<number, number>> = { 1: BPF_B, 2: BPF_H, 4: BPF_W, 8: BPF_DW };

/** A converted program. */
export interface Converted {
  readonly insns: readonly Insn[];
  /** What the calls with numbers from `CONVERTED_CALL` on do. */
  readonly calls: readonly HelperDef[];
}

/** NO_QUEUE_MAPPING: a store of this or more changes nothing. */
const NO_QUEUE_MAPPING = 0xffff;

function bytesOf(code: number): number {
  const size = bpfSize(code);
  return size === BPF_W ? 4 : size === BPF_H ? 2 : size === BPF_B ? 1 : 8;
}

const withSize = (insn: Insn, bytes: number): Insn => ({
  ...insn,
  code: (insn.code & ~0x18) | SIZE_BITS[bytes]!,
});

/** The structure that a register of a type shows. */
function layoutOf(type: number, progType: ProgType): ContextLayout | undefined {
  switch (baseType(type)) {
    case PTR_TO_CTX:
      return contextOf(progType);
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
      return SOCK;
    default:
      return undefined;
  }
}

function convertLoad(insn: Insn, field: ContextField, kernel: KernelField): Insn {
  const size = bytesOf(insn.code);
  if (kernel.pointerAt !== undefined) return withSize({ ...insn, off: kernel.pointerAt }, 8);
  const sext = bpfMode(insn.code) === BPF_MEMSX;
  if (kernel.noneIsMinusOne && size === 4 && insn.off === field.offset) {
    return { ...insn, code: (insn.code & ~0xe0) | BPF_MEMSX };
  }
  // Linux shifts what it loaded only where that is wider than what was asked for, and masks it only then.
  if (size < (kernel.width ?? field.size) || size >= field.size) return insn;
  const whole = { ...insn, off: field.offset };
  return sext ? whole : withSize(whole, field.size);
}

/** `*(u32 *)(ctx + queue_mapping) = value`, from a register or an immediate. */
function queueMappingStore(insn: Insn): HelperDef {
  const fromRegister = bpfClass(insn.code) === BPF_STX;
  const run = (call: HelperCall): undefined => {
    const high = fromRegister ? call.i32[2 * insn.src + 1]! : insn.imm >> 31;
    const low = fromRegister ? call.argU32(insn.src) : insn.imm >>> 0;
    // An immediate is compared as a signed number, a register as an unsigned one.
    const skip = fromRegister ? high !== 0 || low >= NO_QUEUE_MAPPING : insn.imm >= NO_QUEUE_MAPPING;
    if (!skip) call.memory.view.setUint16(call.argU32(insn.dst) + insn.off, low & 0xffff, true);
  };
  return { kind: 'plain', name: 'store to queue_mapping', run };
}

/** Bytes of a map's `struct bpf_map` that lie at an offset. */
export type ReadMap = (header: number, offset: number, size: number) => bigint;

/** A load through a pointer to a map: what lies there is no `struct bpf_map`, so the host says what would. */
function mapLoad(insn: Insn, read: ReadMap): HelperDef {
  const size = bytesOf(insn.code);
  const run = (call: HelperCall): undefined => {
    call.i64[insn.dst] = BigInt.asIntN(64, read(call.argU32(insn.src), insn.off, size));
  };
  return { kind: 'plain', name: 'load from a map', run };
}

/** `pointerTypes`: what the verifier says each instruction goes through. */
export function convertContextAccesses(
  insns: readonly Insn[],
  progType: ProgType,
  pointerTypes: Uint32Array,
  readMap: ReadMap,
): Converted {
  const calls: HelperDef[] = [];
  const convert = (insn: Insn, slot: number): Insn => {
    const type = pointerTypes[slot]!;
    if (
      baseType(type) === CONST_PTR_TO_MAP &&
      bpfClass(insn.code) === BPF_LDX &&
      bpfMode(insn.code) === BPF_MEM
    ) {
      const imm = CONVERTED_CALL + calls.push(mapLoad(insn, readMap)) - 1;
      return { code: BPF_JMP | BPF_CALL, dst: 0, src: 0, off: 0, imm };
    }
    const layout = type === 0 ? undefined : layoutOf(type, progType);
    if (layout === undefined) return insn;
    const insnClass = bpfClass(insn.code);
    const mode = bpfMode(insn.code);
    if (mode !== BPF_MEM && mode !== BPF_MEMSX) return insn;
    const field = fieldAt(layout, insn.off);
    const kernel = field === undefined ? undefined : kernelField(layout, field.name);
    if (field === undefined || kernel === undefined) return insn;
    if (insnClass === BPF_LDX) return convertLoad(insn, field, kernel);
    if (insnClass !== BPF_ST && insnClass !== BPF_STX) return insn;
    if (kernel.hostStore !== undefined) {
      const imm = CONVERTED_CALL + calls.push(queueMappingStore(insn)) - 1;
      return { code: BPF_JMP | BPF_CALL, dst: 0, src: 0, off: 0, imm };
    }
    return kernel.width === undefined || kernel.width >= bytesOf(insn.code)
      ? insn
      : withSize(insn, kernel.width);
  };
  return { insns: insns.map(convert), calls };
}
