/**
 * What kind of argument a kernel function's prototype asks for: by the parameter's type, the end of its name, and in part
 * by the register. Models `get_kfunc_ptr_arg_type` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import { KF } from '../../abi/kfuncs.js';
import type { Btf } from '../../object/btf/btf.js';
import { isScalarType } from '../../object/btf/layout.js';
import type { BtfType, BtfTypeId } from '../../object/btf/types.js';
import { kindText } from '../btf/kind-text.js';
import { structOfRegType } from '../btf/trust.js';
import type { Verifier } from '../context.js';
import { isNullScalar } from '../reg.js';
import { baseType, PTR_TO_BTF_ID, SCALAR_VALUE } from '../reg-type.js';
import { isContextStruct } from './context-name.js';
import type { Kfunc, KfuncParam } from './types.js';

export type ArgKind =
  | 'null'
  | 'ctx'
  | 'alloc'
  | 'refcounted_kptr'
  | 'dynptr'
  | 'iter'
  | 'list_head'
  | 'list_node'
  | 'rb_root'
  | 'rb_node'
  | 'const_str'
  | 'map'
  | 'wq'
  | 'task_work'
  | 'irq_flag'
  | 'res_spin_lock'
  | 'btf_id'
  | 'callback'
  | 'mem'
  | 'mem_size';

/** The parameter's name ends so (`btf_param_match_suffix`). */
export function hasSuffix({ name }: KfuncParam, suffix: string): boolean {
  return name.length > suffix.length && name.endsWith(suffix);
}

/** The parameter gives the size of the memory before it. */
function isSizeParam(v: Verifier, param: KfuncParam | undefined, regno: number): boolean {
  if (param === undefined || !isScalarType(param.type)) return false;
  if (v.peek(regno).type !== SCALAR_VALUE) return false;
  return hasSuffix(param, '__sz') || hasSuffix(param, '__szk');
}

/** Kernel functions that take the context, whatever their prototype says. */
const TAKE_CONTEXT = new Set(['bpf_cast_to_kern_ctx', 'bpf_session_is_return', 'bpf_session_cookie']);

const BY_STRUCT: ReadonlyMap<string, ArgKind> = new Map<string, ArgKind>([
  ['bpf_list_head', 'list_head'],
  ['bpf_list_node', 'list_node'],
  ['bpf_rb_root', 'rb_root'],
  ['bpf_rb_node', 'rb_node'],
]);
const LATER_BY_STRUCT: ReadonlyMap<string, ArgKind> = new Map<string, ArgKind>([
  ['bpf_wq', 'wq'],
  ['bpf_task_work', 'task_work'],
]);

/** Kind of pointer parameter `index`. */
export function pointerKind(v: Verifier, kfunc: Kfunc, index: number): ArgKind {
  const param = kfunc.params[index]!;
  const regno = index + 1;
  const reg = v.peek(regno);
  const target = kfunc.btf.type(param.pointee);
  const struct = target.kind === 'struct' || target.kind === 'union' ? target.name : '';
  const sized = isSizeParam(v, kfunc.params[index + 1], regno + 1);
  if (TAKE_CONTEXT.has(kfunc.name) || isContextStruct(v.progType, struct)) return 'ctx';
  if (hasSuffix(param, '__nullable') && isNullScalar(v.reg(regno)) && !sized) return 'null';
  if (hasSuffix(param, '__alloc')) return 'alloc';
  if (hasSuffix(param, '__refcounted_kptr')) return 'refcounted_kptr';
  if (struct === 'bpf_dynptr') return 'dynptr';
  if (isIterParam(kfunc, index)) return 'iter';
  const graph = BY_STRUCT.get(struct);
  if (graph !== undefined) return graph;
  if (hasSuffix(param, '__str')) return 'const_str';
  if (hasSuffix(param, '__map')) return 'map';
  const field = LATER_BY_STRUCT.get(struct);
  if (field !== undefined) return field;
  if (hasSuffix(param, '__irq_flag')) return 'irq_flag';
  if (struct === 'bpf_res_spin_lock') return 'res_spin_lock';
  if (baseType(reg.type) === PTR_TO_BTF_ID || structOfRegType(reg.type) !== undefined) {
    if (target.kind === 'struct' || target.kind === 'union') return 'btf_id';
    v.invalid(
      `kernel function ${kfunc.name} args#${index} pointer type ${kindText(target.kind)} ${target.name} is not supported`,
    );
  }
  if (target.kind === 'func_proto') return 'callback';
  return memoryKind(v, kfunc, index, target, sized);
}

/** Any memory will do, if only numbers are in it. */
function memoryKind(v: Verifier, kfunc: Kfunc, index: number, target: BtfType, sized: boolean): ArgKind {
  const isScalars = isScalarType(target) || isScalarStruct(v, kfunc.btf, kfunc.params[index]!.pointee, 0);
  if (!isScalars && !(sized && target.kind === 'void')) {
    v.invalid(
      `arg#${index} pointer type ${kindText(target.kind)} ${target.name} must point to ${sized ? 'void, ' : ''}scalar, or struct with scalar`,
    );
  }
  return sized ? 'mem_size' : 'mem';
}

const ITER_FLAGS = KF.ITER_NEW | KF.ITER_NEXT | KF.ITER_DESTROY;

function isIterParam({ flags, params }: Kfunc, index: number): boolean {
  if ((flags & ITER_FLAGS) !== 0) return index === 0;
  return hasSuffix(params[index]!, '__iter');
}

const MAX_NESTING = 3;

/** Structure of numbers, nested four deep at most (`__btf_type_is_scalar_struct`). */
export function isScalarStruct(v: Verifier, btf: Btf, id: BtfTypeId, depth: number): boolean {
  const type = btf.type(id);
  if (type.kind !== 'struct' && type.kind !== 'union') return false;
  return type.members.every((member) => {
    const memberId = btf.skipModifiersAndTypedefs(member.type);
    const inner = btf.type(memberId);
    if (inner.kind === 'struct' || inner.kind === 'union') {
      if (depth < MAX_NESTING) return isScalarStruct(v, btf, memberId, depth + 1);
      v.error('max struct nesting depth exceeded');
      return false;
    }
    if (inner.kind !== 'array') return isScalarType(inner);
    return inner.count > 0 && isScalarType(btf.underlying(inner.type));
  });
}
