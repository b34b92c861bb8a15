/** What is known of a helper before any register is looked at. */
import { type HelperProto, helperProtoOf } from '../abi/helper-protos.js';
import { helperById } from '../abi/helpers.js';
import type { Verifier } from './context.js';
import { helperVariant } from './env/helper-sets.js';

/** The prototype that this kind of program gets (`get_helper_proto`); undefined where it has none. */
export function programProto(v: Verifier, id: number): HelperProto | undefined {
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
