/** Dynptrs as arguments of kernel functions (`KF_ARG_PTR_TO_DYNPTR` of Linux 6.18, kernel/bpf/verifier.c). */
import type { Verifier } from '../context.js';
import { checkDynptrArg, dynptrOf } from '../dynptr/args.js';
import { DYNPTR_SKB, DYNPTR_SKB_META, DYNPTR_XDP } from '../dynptr/slots.js';
import { CONST_PTR_TO_DYNPTR } from '../reg-type.js';
import { hasSuffix } from './arg-kind.js';
import type { KfuncMeta } from './meta.js';

const MADE_BY: ReadonlyMap<string, number> = new Map([
  ['bpf_dynptr_from_skb', DYNPTR_SKB],
  ['bpf_dynptr_from_xdp', DYNPTR_XDP],
  ['bpf_dynptr_from_skb_meta', DYNPTR_SKB_META],
]);

export function checkDynptrParam(v: Verifier, meta: KfuncMeta, index: number): void {
  const { name, params } = meta.kfunc;
  const regno = index + 1;
  const uninit = hasSuffix(params[index]!, '__uninit');
  const readOnly = v.peek(regno).type === CONST_PTR_TO_DYNPTR;
  if (readOnly && uninit) {
    v.reject(14, 'verifier bug: misconfigured dynptr helper type flags');
  }
  const clones = name === 'bpf_dynptr_clone' && uninit;
  const type = clones ? meta.dynptrType : (MADE_BY.get(name) ?? 0);
  checkDynptrArg(v, regno, v.insnIdx, { uninit, readOnly, type }, clones ? meta.dynptrRef : 0);
  if (uninit) return;
  const dynptr = dynptrOf(v, v.reg(regno));
  meta.dynptrId = dynptr.id;
  meta.dynptrType = dynptr.extra;
  meta.dynptrRef = dynptr.refObjId;
}
