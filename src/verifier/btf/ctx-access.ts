/**
 * Context access of programs attached by BTF id, whose context is an array of the target's arguments: `btf_ctx_access` of
 * Linux 6.18 (kernel/bpf/btf.c).
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Btf } from '../../object/btf/btf.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfParam, BtfType, BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { returnRange } from '../env/index.js';
import { isContextType } from '../func-arg-ctx.js';
import { kernelContext } from '../kfunc/context-name.js';
import {
  baseType,
  hasUnsafeModifiers,
  MEM_RCU,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TRUSTED,
  SCALAR_VALUE,
} from '../reg-type.js';
import type { AttachInfo } from './attach-info.js';
import { argIndexAt, isSmallInt, MAX_REG_ARGS } from './func-model.js';
import { kernelBtf, kernelStruct } from './kernel-types.js';
import { kindText, nameText } from './kind-text.js';
import { rawTracepointArg } from './raw-tp-null.js';
import { pointerTagFlag } from './struct-walk.js';

/** What a load from the context yields. */
export interface CtxValue {
  readonly regType: number;
  readonly btf: Btf | null;
  readonly btfId: BtfTypeId;
  /** The result of a hook, which lies in this range. */
  readonly range?: { readonly min: number; readonly max: number };
  /** The argument comes with a reference that the program holds from its start. */
  readonly referencedOff?: number;
}

const SCALAR: CtxValue = { regType: SCALAR_VALUE, btf: null, btfId: 0 };

/** Reads `size` bytes at `off`; undefined where that is refused, with what there is to say in the log. */
export function btfCtxAccess(v: Verifier, off: number, size: number): CtxValue | undefined {
  const attach = v.attach!;
  const { btf, proto, name } = attach;
  const no = (line: string): undefined => void v.error(line);
  if (off % 8 !== 0) return no(`func '${name}' offset ${off} is not multiple of 8`);
  const index = argIndexAt(btf, proto, off);
  const skip = attach.skipsFirstArg ? 1 : 0;
  const count = (proto === null ? MAX_REG_ARGS : proto.params.length) - skip;
  if (index > count) return no(`func '${name}' doesn't have ${index + 1}-th argument`);
  if (index === count) return resultAccess(v, attach, index, size);
  if (proto === null) return SCALAR;
  const param = proto.params[index + skip]!;
  return typeAccess(v, attach, param.type, param, index, off, size);
}

/** What lies behind the arguments: the result of the function, where the program sees one. */
function resultAccess(v: Verifier, attach: AttachInfo, index: number, size: number): CtxValue | undefined {
  const { btf, proto, name } = attach;
  switch (v.env.expectedAttachType) {
    case AttachType.lsm_mac:
    case AttachType.lsm_cgroup:
    case AttachType.trace_fexit:
      if (proto === null) return SCALAR;
      break;
    case AttachType.modify_return: {
      if (proto === null) return undefined;
      const result = btf.underlying(proto.type);
      if (isSmallInt(result)) break;
      return void v.error(`ret type ${kindText(result.kind)} not allowed for fmod_ret`);
    }
    default:
      return void v.error(`func '${name}' doesn't have ${index + 1}-th argument`);
  }
  const value = typeAccess(v, attach, proto.type, undefined, index, index * 8, size);
  const range = v.env.expectedAttachType === AttachType.lsm_mac ? returnRange(v.env) : undefined;
  return value?.regType === SCALAR_VALUE && range !== undefined ? { ...value, range } : value;
}

const isNumber = (type: BtfType): boolean =>
  isSmallInt(type) || type.kind === 'enum' || type.kind === 'enum64' || isComposite(type);

function typeAccess(
  v: Verifier,
  attach: AttachInfo,
  typeId: BtfTypeId,
  param: BtfParam | undefined,
  index: number,
  off: number,
  size: number,
): CtxValue | undefined {
  const { btf, name } = attach;
  const no = (line: string): undefined => void v.error(line);
  const type = btf.underlying(typeId);
  if (isNumber(type)) return SCALAR;
  if (type.kind !== 'ptr') {
    const kind = kindText(type.kind);
    return no(
      `func '${name}' arg${index} '${nameText(type.name)}' has type ${kind}. Only pointer access is allowed`,
    );
  }
  if (size !== 8) return no(`func '${name}' size ${size} must be 8`);
  const known = attach.args.find((arg) => arg.off === off);
  if (known !== undefined && baseType(known.regType) === PTR_TO_BUF && mayBeNull(known.regType)) {
    return { regType: known.regType, btf: null, btfId: 0 };
  }
  const pointee = btf.underlying(type.type);
  if (pointee.kind === 'void' || pointee.kind === 'int') return SCALAR;
  if (v.target !== null) return contextOfTarget(v, v.target.env.type, type.type);
  if (known !== undefined) {
    if (known.btfId === 0) return no(`invalid btf_id for context argument offset ${off}`);
    return {
      regType: known.regType,
      btf,
      btfId: known.btfId,
      ...(known.referenced && { referencedOff: off }),
    };
  }
  return pointerAccess(v, attach, type.type, param, index);
}

/** What functions of programs are called with is the kernel's side of the context, or numbers. */
function contextOfTarget(v: Verifier, progType: number, pointee: BtfTypeId): CtxValue | undefined {
  const struct = kernelContext(progType);
  if (struct === undefined || !isContextType(progType, v.attach!.btf, pointee)) return undefined;
  return { regType: PTR_TO_BTF_ID, btf: kernelBtf(v, `struct ${struct}`), btfId: kernelStruct(v, struct) };
}

/** A pointer of which only the prototype speaks. */
function pointerAccess(
  v: Verifier,
  attach: AttachInfo,
  pointee: BtfTypeId,
  param: BtfParam | undefined,
  index: number,
): CtxValue | undefined {
  const { btf, name } = attach;
  let regType = PTR_TO_BTF_ID | (attach.trusted ? PTR_TRUSTED : 0);
  if (param?.name.endsWith('__nullable') === true) regType |= PTR_MAYBE_NULL;
  let mayBeError = false;
  if (v.env.expectedAttachType === AttachType.trace_raw_tp) {
    const known = rawTracepointArg(name, index);
    if (known.maybeNull) regType |= PTR_MAYBE_NULL;
    mayBeError = known.maybeError;
  }
  // the RCU tag says nothing about arguments
  regType |= pointerTagFlag(btf, pointee) & ~MEM_RCU;
  const id = btf.skipModifiersAndTypedefs(pointee);
  const type = btf.type(id);
  if (type.kind === 'fwd' && v.request.policy?.vmlinuxPartial === true) {
    v.unsupported(`struct ${type.name}, which the kernel's types at hand only declare`);
  }
  if (!isComposite(type)) {
    return void v.error(`func '${name}' arg${index} type ${kindText(type.kind)} is not a struct`);
  }
  v.log.write(
    `func '${name}' arg${index} has btf_id ${id} type ${kindText(type.kind)} '${nameText(type.name)}'\n`,
  );
  if (mayBeError) {
    v.log.write(`marking pointer arg${index} as scalar as it may encode error`);
    return SCALAR;
  }
  return { regType, btf, btfId: promoted(v, btf, id, regType) };
}

/** Congestion control sees sockets as the TCP sockets that they are. */
function promoted(v: Verifier, btf: Btf, id: BtfTypeId, regType: number): BtfTypeId {
  const { type, attach } = v.env;
  if (type !== ProgType.struct_ops || attach?.name !== 'tcp_congestion_ops') return id;
  if (hasUnsafeModifiers(regType) || btf.nameOf(id) !== 'sock') return id;
  return kernelStruct(v, 'tcp_sock');
}
