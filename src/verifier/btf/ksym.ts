/**
 * Kernel variables and functions by BTF id, as `LD_IMM64` names them (`.ksyms` with a type): `check_pseudo_btf_id` of
 * Linux 6.18 (kernel/bpf/verifier.c).
 */
import type { Btf } from '../../object/btf/btf.js';
import { BtfError } from '../../object/btf/error.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { MEM_PERCPU, MEM_RDONLY, PTR_TO_BTF_ID, PTR_TO_MEM } from '../reg-type.js';
import type { KernelSymbol } from './attach-info.js';
import { findType, kernelBtf } from './kernel-types.js';

const memory = (memSize: number): KernelSymbol => ({
  regType: PTR_TO_MEM | MEM_RDONLY,
  btf: null,
  btfId: 0,
  memSize,
});

/** The symbol that the `LD_IMM64` at slot `i` takes the address of. */
export function resolveSymbol(v: Verifier, i: number): KernelSymbol {
  const id = v.insns[i]!.imm;
  if (v.insns[i + 1]!.imm !== 0) v.unsupported('address of a symbol of a kernel module');
  const btf = kernelBtf(v, 'address of a kernel symbol');
  if (!btf.has(id)) v.reject(ERRNO.ENOENT, `ldimm64 insn specifies invalid btf_id ${id}.`);
  const type = btf.type(id);
  if (type.kind !== 'var' && type.kind !== 'func') {
    v.invalid(`pseudo btf_id ${id} in ldimm64 isn't KIND_VAR or KIND_FUNC`);
  }
  if (type.kind === 'func') return memory(0);
  if (!v.env.config.features.has('kallsyms_all')) {
    v.reject(ERRNO.ENOENT, `ldimm64 failed to find the address for kernel symbol '${type.name}'.`);
  }
  const target = btf.underlying(type.type);
  if (isPerCpu(btf, id)) {
    return { regType: PTR_TO_BTF_ID | MEM_PERCPU, btf, btfId: type.type, memSize: 0 };
  }
  if (isComposite(target)) return { regType: PTR_TO_BTF_ID, btf, btfId: type.type, memSize: 0 };
  return memory(sizeOf(v, btf, type.type, 'ldimm64 '));
}

/** Bytes of a variable. `prefix`: how the line begins that says it has no size. */
export function sizeOf(v: Verifier, btf: Btf, id: BtfTypeId, prefix: string): number {
  try {
    return btf.sizeOf(id);
  } catch (error) {
    if (!(error instanceof BtfError)) throw error;
    const name = btf.nameOf(btf.skipModifiersAndTypedefs(id));
    return v.invalid(`${prefix}unable to resolve the size of type '${name}': -22`);
  }
}

const perCpuVars = new WeakMap<Btf, ReadonlySet<BtfTypeId>>();

function isPerCpu(btf: Btf, id: BtfTypeId): boolean {
  let vars = perCpuVars.get(btf);
  if (vars === undefined) {
    const section = findType(btf, '.data..percpu', 'datasec');
    const type = section === undefined ? undefined : btf.type(section);
    vars = new Set(type?.kind === 'datasec' ? type.vars.map((variable) => variable.type) : []);
    perCpuVars.set(btf, vars);
  }
  return vars.has(id);
}
