/**
 * The kernel's own types (`btf_vmlinux` of Linux 6.18) as the verifier asks for them: by name, by id. They come with the
 * request's policy; a rule that needs them and finds none is refused by name, never guessed.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfKind, BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';

type NameCache = Map<string, BtfTypeId | undefined>;
const namesOf = new WeakMap<Btf, NameCache>();

/** Lowest id of a type with this name and kind; remembered, since rules ask for the same few again and again. */
export function findType(btf: Btf, name: string, kind: BtfKind): BtfTypeId | undefined {
  let names = namesOf.get(btf);
  if (names === undefined) {
    names = new Map();
    namesOf.set(btf, names);
  }
  const key = `${kind} ${name}`;
  if (names.has(key)) return names.get(key);
  const id = btf.findByName(name, kind);
  names.set(key, id);
  return id;
}

/** The kernel's types; without them the program cannot be judged: `what` needs them. */
export function kernelBtf(v: Verifier, what: string): Btf {
  return v.request.policy?.vmlinux ?? v.unsupported(`${what} without the kernel's types`);
}

/** True for types of the kernel, false for those of the program. */
export function isKernelBtf(v: Verifier, btf: Btf | null): boolean {
  return btf !== null && btf === v.request.policy?.vmlinux;
}

/** Id of a kernel structure that a rule names. */
export function kernelStruct(v: Verifier, name: string): BtfTypeId {
  const btf = kernelBtf(v, `struct ${name}`);
  return findType(btf, name, 'struct') ?? v.unsupported(`struct ${name}, which the kernel's types lack`);
}
