/** Iterators as arguments of kernel functions (`process_iter_arg`, `btf_check_iter_arg` of Linux 6.18). */

import { AttachType } from '../../abi/attach-types.js';
import { KF } from '../../abi/kfuncs.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Verifier } from '../context.js';
import { checkIterArg, type IterRole, requireStack } from '../iter/args.js';
import type { KfuncMeta } from './meta.js';

export function checkIterParam(v: Verifier, meta: KfuncMeta, index: number): void {
  const { kfunc } = meta;
  if (kfunc.name === 'bpf_iter_css_task_new' && !mayWalkCssTasks(v)) {
    v.invalid('css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs');
  }
  requireStack(v, index + 1);
  const id = kfunc.params[index]!.pointee;
  const type = kfunc.btf.type(id);
  if (type.kind !== 'struct' || !type.name.startsWith('bpf_iter_')) {
    v.invalid(`expected valid iter pointer as arg #${index}`);
  }
  const place = checkIterArg(
    v,
    index + 1,
    { btf: kfunc.btf, id, size: type.size },
    roleOf(meta),
    meta.has(KF.RCU_PROTECTED),
    kfunc.name,
  );
  if (place === undefined) return;
  meta.iter = place;
  meta.refObjId = place.ref;
}

function roleOf(meta: KfuncMeta): IterRole {
  if (meta.has(KF.ITER_NEW)) return 'new';
  if (meta.has(KF.ITER_NEXT)) return 'next';
  return meta.has(KF.ITER_DESTROY) ? 'destroy' : 'other';
}

/** Elsewhere the lock that the walk takes could be held already (`check_css_task_iter_allowlist`). */
function mayWalkCssTasks(v: Verifier): boolean {
  if (v.progType === ProgType.lsm) return true;
  return (v.progType === ProgType.tracing && v.attachType === AttachType.trace_iter) || v.inSleepable;
}
