/**
 * Arguments of functions as their BTF describes them (`btf_prepare_func_args` of Linux 6.18, kernel/bpf/btf.c): global
 * functions are verified for any arguments of these types, and callers have to pass such.
 */
import type { Btf } from '../object/btf/btf.js';
import { isComposite, isScalarType } from '../object/btf/layout.js';
import type { BtfFunc, BtfType } from '../object/btf/types.js';
import { kernelBtf } from './btf/kernel-types.js';
import { kindText, nameText } from './btf/kind-text.js';
import type { FuncArg, Subprog, Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { checkContextTag, isContextType } from './func-arg-ctx.js';
import { MEM_RDONLY, PTR_MAYBE_NULL, PTR_TRUSTED, PTR_UNTRUSTED } from './reg-type.js';

const MAX_ARGS = 5;
const TAGS: ReadonlySet<string> = new Set(['ctx', 'trusted', 'untrusted', 'nonnull', 'nullable', 'arena']);

/** Reads a function's arguments once. @throws Rejection where the BTF does not say enough. */
export function prepareArgs(v: Verifier, index: number): readonly FuncArg[] {
  const subprog = v.subprogs[index]!;
  if (subprog.args !== null) return subprog.args;
  const typeId = v.request.funcInfo![index]!.typeId;
  const btf = v.btf!;
  const func = btf.type(typeId) as BtfFunc;
  const proto = btf.type(func.type);
  if (proto.kind !== 'func_proto') v.reject(ERRNO.EFAULT, `Invalid type of function ${func.name}()`);
  const { isGlobal, name } = subprog;
  if (proto.params.length > MAX_ARGS) {
    softInvalid(
      v,
      isGlobal,
      `Global function ${name}() with ${proto.params.length} > ${MAX_ARGS} args. Buggy compiler.`,
    );
  }
  if (!isScalarType(btf.underlying(proto.type))) {
    softInvalid(v, isGlobal, `Global function ${name}() doesn't return scalar. Only those are supported.`);
  }
  const reader = new ArgReader(v, btf, subprog, typeId);
  const args = proto.params.map(({ type }, i) => reader.read(type, i));
  subprog.args = args;
  return args;
}

function softInvalid(v: Verifier, isGlobal: boolean, line: string): never {
  return isGlobal ? v.invalid(line) : v.reject(ERRNO.EINVAL);
}

class ArgReader {
  readonly #v: Verifier;
  readonly #btf: Btf;
  readonly #subprog: Subprog;
  readonly #tags: ReadonlyMap<number, readonly string[]>;

  constructor(v: Verifier, btf: Btf, subprog: Subprog, typeId: number) {
    this.#v = v;
    this.#btf = btf;
    this.#subprog = subprog;
    this.#tags = argTags(btf).get(typeId) ?? new Map();
  }

  read(typeId: number, i: number): FuncArg {
    const v = this.#v;
    const { isGlobal, name } = this.#subprog;
    const tags = this.#tags.get(i) ?? [];
    if (tags.length > 0 && !isGlobal) {
      v.reject(ERRNO.EOPNOTSUPP, `arg#${i} type tag is not supported in static functions`);
    }
    if (tags.some((tag) => !TAGS.has(tag))) {
      v.reject(ERRNO.EOPNOTSUPP, `arg#${i} has unsupported set of tags`);
    }
    const type = this.#btf.underlying(typeId);
    if (type.kind === 'ptr') return this.#readPointer(type.type, i, tags);
    if (tags.length > 0) v.invalid(`arg#${i} has pointer tag, but is not a pointer type`);
    if (isScalarType(type)) return { kind: 'scalar', flags: 0, memSize: 0 };
    return softInvalid(
      v,
      isGlobal,
      `Arg#${i} type ${kindText(type.kind)} in ${name}() is not supported yet.`,
    );
  }

  #readPointer(pointee: number, i: number, tags: readonly string[]): FuncArg {
    const v: Verifier = this.#v;
    const btf = this.#btf;
    const invalidTags = (): never => v.invalid(`arg#${i} has invalid combination of tags`);
    if (tags.includes('ctx') || isContextType(v.env.type, btf, pointee)) {
      if (tags.some((tag) => tag !== 'ctx')) invalidTags();
      if (tags.length > 0) checkContextTag(v, btf, pointee, i);
      return { kind: 'ctx', flags: 0, memSize: 0 };
    }
    if (isDynptr(btf.underlying(pointee))) {
      if (tags.length > 0) invalidTags();
      return { kind: 'dynptr', flags: 0, memSize: 0 };
    }
    if (tags.includes('trusted')) {
      if (tags.includes('nonnull')) invalidTags();
      const flags = PTR_TRUSTED | (tags.includes('nullable') ? PTR_MAYBE_NULL : 0);
      return { kind: 'btf', flags, memSize: 0, btfId: this.#kernelType(pointee, i) };
    }
    if (tags.includes('untrusted')) return this.#readUntrusted(pointee, i, tags);
    if (tags.includes('arena')) {
      if (tags.some((tag) => tag !== 'arena')) {
        v.invalid(`arg#${i} arena cannot be combined with any other tags`);
      }
      return { kind: 'arena', flags: 0, memSize: 0 };
    }
    if (!this.#subprog.isGlobal) v.reject(ERRNO.EINVAL);
    if (tags.includes('nullable')) invalidTags();
    const memSize = this.#sizeOf(pointee);
    if (memSize === undefined) {
      const target = btf.underlying(pointee);
      const text = `('${kindText(target.kind)} ${target.name}')`;
      v.invalid(`arg#${i} reference type${text} size cannot be determined: -22`);
    }
    return { kind: 'mem', flags: tags.includes('nonnull') ? 0 : PTR_MAYBE_NULL, memSize };
  }

  /** Whatever is passed: it is only read, and in a way that cannot fault. */
  #readUntrusted(pointee: number, i: number, tags: readonly string[]): FuncArg {
    const v: Verifier = this.#v;
    if (tags.some((tag) => tag !== 'untrusted')) {
      v.invalid(`arg#${i} untrusted cannot be combined with any other tags`);
    }
    const target = this.#btf.underlying(pointee);
    if (target.kind === 'void' || isScalarType(target)) {
      return { kind: 'mem', flags: MEM_RDONLY | PTR_UNTRUSTED, memSize: 0 };
    }
    const btfId = this.#kernelType(pointee, i);
    const type = kernelBtf(v, 'argument of a global function').type(btfId);
    if (!isComposite(type)) {
      v.invalid(
        `arg#${i} has type ${kindText(type.kind)} '${nameText('')}', but only struct or primitive types are allowed`,
      );
    }
    return { kind: 'btf', flags: PTR_UNTRUSTED, memSize: 0, btfId };
  }

  /** The kernel's type of the same kind and name, flavours aside (`btf_get_ptr_to_btf_id`). */
  #kernelType(pointee: number, i: number): number {
    const v: Verifier = this.#v;
    const { kind, name } = this.#btf.underlying(pointee);
    const what = `arg#${i} reference type('${kindText(kind)} ${nameText(name)}')`;
    if (name === '') v.invalid(`${what} candidate matching error: -22`);
    const kernel = kernelBtf(v, 'argument of a global function');
    const found = kernel.idsByEssentialName(name).filter((id) => kernel.kindOf(id) === kind);
    if (found.length === 0) v.reject(ERRNO.ENOENT, `${what} has no matches`);
    if (found.length > 1) v.reject(ERRNO.ESRCH, `${what} is ambiguous`);
    return found[0]!;
  }

  #sizeOf(id: number): number | undefined {
    try {
      return this.#btf.sizeOf(id);
    } catch {
      return undefined;
    }
  }
}

/** `struct bpf_dynptr`, or its declaration. */
const isDynptr = (type: BtfType): boolean =>
  type.name === 'bpf_dynptr' &&
  (type.kind === 'struct' || type.kind === 'union' || (type.kind === 'fwd' && type.of === 'struct'));

type TagIndex = Map<number, Map<number, string[]>>;
const tagIndexes = new WeakMap<Btf, TagIndex>();

/** `arg:` declaration tags: function, argument, tags. */
function argTags(btf: Btf): TagIndex {
  let index = tagIndexes.get(btf);
  if (index !== undefined) return index;
  index = new Map();
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'decl_tag') continue;
    const tag = btf.type(id);
    if (tag.kind !== 'decl_tag' || !tag.name.startsWith('arg:') || tag.componentIndex < 0) continue;
    const ofFunc = index.get(tag.type) ?? new Map<number, string[]>();
    const list = ofFunc.get(tag.componentIndex) ?? [];
    list.push(tag.name.slice(4));
    ofFunc.set(tag.componentIndex, list);
    index.set(tag.type, ofFunc);
  }
  tagIndexes.set(btf, index);
  return index;
}
