/**
 * Names that only a target can give a meaning: kernel functions and variables (`.ksyms`), attach targets.
 * Models libbpf's `bpf_object__resolve_ksym_*_btf_id` and `find_kernel_btf_id`; kernel modules are not looked at.
 */
import { AttachType } from '../abi/attach-types.js';
import type { Btf } from './btf/btf.js';
import { essentialName } from './btf/strings.js';
import type { BtfKind, BtfTypeId } from './btf/types.js';
import { Budget } from './core/budget.js';
import { typesCompatible } from './core/compat.js';
import { ObjectError } from './errors.js';
import { KSYMS_SECTION } from './externs.js';
import type { Extern, ProgramDef } from './types.js';

export interface SymbolInput {
  /** Types of the kernel that the programs are for. */
  readonly targetBtf?: Btf;
  /** Addresses of kernel symbols without a type (`extern const void x __ksym`), as `/proc/kallsyms` gives them. */
  readonly ksyms?: Readonly<Record<string, bigint>>;
}

/** What an extern of `.ksyms` became. `absent` is a weak one that the target does not have: 0. */
export type ResolvedKsym =
  | { readonly by: 'btf'; readonly btfId: BtfTypeId }
  | { readonly by: 'address'; readonly address: bigint }
  | { readonly by: 'absent' };

const fail = (
  extern: Extern,
  detail: string,
  code: ObjectError['code'] = 'OBJECT_UNRESOLVED_EXTERN',
): ObjectError => new ObjectError(code, detail, { section: KSYMS_SECTION, symbol: extern.name });

/** Resolves a kfunc, a ksym or an untyped symbol. Throws where a strong one is not to be had. */
export function resolveKsym(extern: Extern, local: Btf | undefined, input: SymbolInput): ResolvedKsym {
  const address =
    input.ksyms !== undefined && Object.hasOwn(input.ksyms, extern.name)
      ? input.ksyms[extern.name]
      : undefined;
  if (extern.kind === 'unknown' || extern.typeId === 0) {
    if (address !== undefined) return { by: 'address', address };
    if (extern.weak && extern.kind !== 'unknown') return { by: 'absent' };
    const what = extern.kind === 'unknown' ? 'is defined nowhere in the object' : 'has no known address';
    throw fail(extern, `symbol ${what}; give its value by name`);
  }
  if (local === undefined)
    throw fail(extern, 'a typed extern in an object without BTF', 'OBJECT_BTF_REQUIRED');
  const { targetBtf } = input;
  if (targetBtf === undefined) {
    if (extern.weak) return { by: 'absent' };
    throw fail(
      extern,
      `a kernel ${extern.kind === 'kfunc' ? 'function' : 'variable'}: give the kernel's BTF to resolve it`,
      'OBJECT_NO_TARGET_BTF',
    );
  }
  return extern.kind === 'kfunc'
    ? resolveFunc(extern, local, targetBtf)
    : resolveVar(extern, local, targetBtf);
}

function resolveFunc(extern: Extern, local: Btf, target: Btf): ResolvedKsym {
  const btfId = target.findByName(essentialName(extern.name), 'func');
  if (btfId === undefined) return missing(extern, 'function');
  const func = target.type(btfId);
  const protoId = func.kind === 'func' ? func.type : 0;
  if (typesCompatible({ btf: local, id: extern.typeId }, { btf: target, id: protoId }, new Budget()))
    return { by: 'btf', btfId };
  if (extern.weak) return { by: 'absent' };
  throw fail(
    extern,
    `its prototype [${extern.typeId}] does not agree with the target's [${protoId}]`,
    'OBJECT_BAD_EXTERN',
  );
}

function resolveVar(extern: Extern, local: Btf, target: Btf): ResolvedKsym {
  const btfId = target.findByName(extern.name, 'var');
  if (btfId === undefined) return missing(extern, 'variable');
  const variable = target.type(btfId);
  const typeId = variable.kind === 'var' ? target.skipModifiersAndTypedefs(variable.type) : 0;
  if (typesCompatible({ btf: local, id: extern.typeId }, { btf: target, id: typeId }, new Budget()))
    return { by: 'btf', btfId };
  throw fail(
    extern,
    `its type [${extern.typeId}] does not agree with the target's [${typeId}]`,
    'OBJECT_BAD_EXTERN',
  );
}

function missing(extern: Extern, what: string): ResolvedKsym {
  if (extern.weak) return { by: 'absent' };
  throw fail(extern, `the target's BTF has no such ${what}`);
}

/** How the kernel names what programs of an attach type attach to. */
function prefixOf(attachType: AttachType): [prefix: string, kind: BtfKind] {
  switch (attachType) {
    case AttachType.trace_raw_tp:
      return ['btf_trace_', 'typedef'];
    case AttachType.lsm_mac:
    case AttachType.lsm_cgroup:
      return ['bpf_lsm_', 'func'];
    case AttachType.trace_iter:
      return ['bpf_iter_', 'func'];
    default:
      return ['', 'func'];
  }
}

/** BTF id of a program's attach target in the kernel proper; undefined where it names none or none is found. */
export function attachBtfId(program: ProgramDef, target: Btf | undefined): BtfTypeId | undefined {
  const { attachTarget, attachBtf, expectedAttachType } = program;
  // freplace (attach type 0) attaches to another program, whose BTF the loader does not have
  if (!attachBtf || attachTarget === undefined || target === undefined || expectedAttachType === 0)
    return undefined;
  const [prefix, kind] = prefixOf(expectedAttachType);
  const colon = attachTarget.indexOf(':');
  if (colon >= 0 && attachTarget.slice(0, colon) !== 'vmlinux') return undefined;
  return target.findByName(prefix + attachTarget.slice(colon + 1), kind);
}
