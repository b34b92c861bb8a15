/**
 * Functions as trampolines see them: which argument lies where in the context, and which prototypes no trampoline
 * can serve. Models `get_ctx_arg_idx`, `btf_distill_func_proto` and `btf_type_is_small_int` of Linux 6.18 (kernel/bpf/btf.c).
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfFuncProto, BtfType } from '../../object/btf/types.js';
import { kindText } from './kind-text.js';

const SLOT = 8;
/** Arguments that a trampoline passes on (`MAX_BPF_FUNC_ARGS`), and those of a target that is not described. */
const MAX_ARGS = 12;
export const MAX_REG_ARGS = 5;
/** Structures up to this size are passed in registers. */
const MAX_STRUCT_ARG = 16;

/** Bytes that an argument of this type takes in the context. */
function slotBytes(type: BtfType): number {
  if (type.kind === 'ptr') return SLOT;
  return 'size' in type ? Math.ceil(type.size / SLOT) * SLOT : 0;
}

/**
 * The argument at byte `off` of the context; the number of arguments for the function's result, one more for what lies
 * beyond.
 */
export function argIndexAt(btf: Btf, proto: BtfFuncProto | null, off: number): number {
  if (proto === null) return Math.floor(off / SLOT);
  let end = 0;
  for (const [i, { type }] of proto.params.entries()) {
    end += slotBytes(btf.underlying(type));
    if (off < end) return i;
  }
  end += slotBytes(btf.underlying(proto.type));
  return off < end ? proto.params.length : proto.params.length + 1;
}

/** Integers that fit a register. */
export function isSmallInt(type: BtfType): boolean {
  return type.kind === 'int' && type.size <= SLOT;
}

const sizeIn = (type: BtfType): number | undefined => {
  if (type.kind === 'void') return 0;
  if (type.kind === 'ptr') return SLOT;
  return type.kind === 'int' ||
    type.kind === 'enum' ||
    type.kind === 'enum64' ||
    type.kind === 'struct' ||
    type.kind === 'union'
    ? type.size
    : undefined;
};

/** Why no trampoline can call a program for this function, as the log says it; undefined: one can. */
export function modelProblem(btf: Btf, proto: BtfFuncProto, name: string): string | undefined {
  const { params } = proto;
  if (params.length > MAX_ARGS) return `The function ${name} has ${params.length} arguments. Too many.`;
  const result = btf.underlying(proto.type);
  if (sizeIn(result) === undefined || result.kind === 'struct' || result.kind === 'union') {
    return `The function ${name} return type ${kindText(result.kind)} is unsupported.`;
  }
  for (const [i, { type }] of params.entries()) {
    if (i === params.length - 1 && type === 0) {
      return `The function ${name} with variable args is unsupported.`;
    }
    const arg = btf.underlying(type);
    const size = sizeIn(arg);
    if (size === undefined || size > MAX_STRUCT_ARG) {
      return `The function ${name} arg${i} type ${kindText(arg.kind)} is unsupported.`;
    }
    if (size === 0) return `The function ${name} has malformed void argument.`;
  }
  return undefined;
}
