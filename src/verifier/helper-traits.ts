/** What is known of helpers and kernel functions before any register is looked at. */
import { type HelperProto, helperProtoOf } from '../abi/helper-protos.js';
import { helperById } from '../abi/helpers.js';
import { KF } from '../abi/kfuncs.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { helperVariant } from './env/index.js';
import { kfuncOf } from './kfunc/desc.js';
import { isHelperCall, isKfuncCall } from './subprogs.js';

/** The prototype that this kind of program gets (`get_helper_proto`); undefined where it has none. */
function programProto(v: Verifier, id: number): HelperProto | undefined {
  const helper = helperById(id);
  if (helper === undefined) return undefined;
  const variant = helperVariant(v.env, helper.name);
  return variant === undefined ? undefined : helperProtoOf(id, variant);
}

export function helperMightSleep(v: Verifier, id: number): boolean {
  return programProto(v, id)?.mightSleep === true;
}

/** `bpf_helper_changes_pkt_data`. */
export function helperChangesPacket(id: number): boolean {
  return helperProtoOf(id)?.changesPacket === true;
}

/** What a call clobbers (`get_call_summary`). */
export interface CallSummary {
  readonly params: number;
  readonly returnsVoid: boolean;
  /** Leaves all other registers alone. */
  readonly fastcall: boolean;
}

/** Undefined for functions of the program, and for what it may not call. */
export function callSummary(v: Verifier, insn: Insn): CallSummary | undefined {
  if (isHelperCall(insn)) {
    const proto = programProto(v, insn.imm);
    if (proto === undefined) return undefined;
    const { args, ret, allowFastcall } = proto;
    return { params: args.length, returnsVoid: ret.kind === 'void', fastcall: allowFastcall };
  }
  const kfunc = isKfuncCall(insn) ? kfuncOf(v, insn) : undefined;
  if (kfunc?.allowed !== true) return undefined;
  return {
    params: kfunc.params.length,
    returnsVoid: kfunc.ret.kind === 'void',
    fastcall: (kfunc.flags & KF.FASTCALL) !== 0,
  };
}
