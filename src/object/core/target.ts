/**
 * The kernel that a program is relocated for: its BTF, and its modules' where they are known. Finds the
 * types that could be meant by a local one; nothing in it depends on the object, so it can be shared.
 */
import type { Btf } from '../btf/btf.js';
import type { TypeRef } from './compat.js';
import { sameCoreKind } from './spec.js';

export class CoreTarget {
  readonly vmlinux: Btf;
  readonly modules: readonly Btf[];

  /** `modules` are split BTF on top of `vmlinux`. */
  constructor(vmlinux: Btf, modules: readonly Btf[] = []) {
    this.vmlinux = vmlinux;
    this.modules = modules;
  }

  /**
   * Types of the same kind whose names agree up to a `___flavour`, by ascending id; modules are only
   * asked where the kernel proper has none (libbpf's `bpf_core_find_cands`).
   */
  candidates(local: TypeRef): TypeRef[] {
    const type = local.btf.type(local.id);
    if (type.name === '') return [];
    const inBtf = (btf: Btf, from: number): TypeRef[] =>
      btf
        .idsByEssentialName(type.name)
        .filter((id) => id >= from && sameCoreKind(btf.type(id), type))
        .map((id) => ({ btf, id }));
    const found = inBtf(this.vmlinux, 1);
    return found.length > 0 ? found : this.modules.flatMap((module) => inBtf(module, module.firstId));
  }
}
