/** Pointers to kernel structures as arguments (`process_kf_arg_ptr_to_btf_id`, `btf_type_ids_nocast_alias`, Linux 6.18). */
import { KF } from '../../abi/kfuncs.js';
import { kernelStruct } from '../btf/kernel-types.js';
import { kindText } from '../btf/kind-text.js';
import { structIdsMatch } from '../btf/struct-walk.js';
import { structOfRegType } from '../btf/trust.js';
import type { Verifier } from '../context.js';
import type { Reg } from '../reg.js';
import { baseType, isAlloc, PTR_TO_BTF_ID } from '../reg-type.js';
import { isProjection } from './context-name.js';
import type { KfuncMeta } from './meta.js';

/** `isMap`: the parameter takes a map, whatever structure it names. */
export function checkStructParam(
  v: Verifier,
  meta: KfuncMeta,
  index: number,
  reg: Reg,
  isMap: boolean,
): void {
  const { kfunc } = meta;
  const need = isMap ? kernelStruct(v, 'bpf_map') : kfunc.params[index]!.pointee;
  const isPointer = baseType(reg.type) === PTR_TO_BTF_ID;
  const btf = isPointer ? reg.btf! : kfunc.btf;
  const id = btf.skipModifiersAndTypedefs(
    isPointer ? reg.btfId : kernelStruct(v, structOfRegType(reg.type) ?? ''),
  );
  const needName = kfunc.btf.nameOf(need);
  const name = btf.nameOf(id);
  const strict = (meta.has(KF.RELEASE) && reg.refObjId !== 0) || isNoCastAlias(name, needName);
  if (structIdsMatch(btf, id, reg.off, kfunc.btf, need, strict, !isAlloc(reg.type), (line) => v.error(line)))
    return;
  if (isProjection(needName, name)) return;
  v.invalid(
    `kernel function ${kfunc.name} args#${index} expected pointer to ${kindText(kfunc.btf.kindOf(need))} ${needName} ` +
      `but R${index + 1} has a pointer to ${kindText(btf.kindOf(id))} ${name}`,
  );
}

const INIT_SUFFIX = '___init';

/** One name is the other's with a suffix that says "not yet in use": they do not stand for each other. */
function isNoCastAlias(a: string, b: string): boolean {
  return a === b + INIT_SUFFIX || b === a + INIT_SUFFIX;
}
