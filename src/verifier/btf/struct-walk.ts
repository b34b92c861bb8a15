/**
 * What lies at an offset of a structure: a number, a pointer, a nested structure, or nothing that may be touched. Models
 * `btf_struct_walk`, `btf_struct_access` and `btf_struct_ids_match` of Linux 6.18 (kernel/bpf/btf.c). Knows types only,
 * no registers. Answers are remembered for each BTF, since loops ask the same again and again.
 */

import type { Btf } from '../../object/btf/btf.js';
import { BtfError } from '../../object/btf/error.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfComposite, BtfType, BtfTypeId } from '../../object/btf/types.js';
import { ERRNO } from '../errno.js';
import { MEM_PERCPU, MEM_RCU, MEM_USER, PTR_UNTRUSTED } from '../reg-type.js';
import { nameText } from './kind-text.js';

/** Where a walk ends. */
export type Walk =
  | { readonly kind: 'scalar' }
  /** A pointer to structure `id`. `flags`: its tag, and untrusted where it lies in a union. */
  | { readonly kind: 'pointer'; readonly id: BtfTypeId; readonly flags: number; readonly field: string }
  /** A pointer to something else: no walking on, but loads through it cannot do harm. `declared`: a structure's bare name. */
  | { readonly kind: 'opaque'; readonly declared?: string }
  /** A nested structure that begins there. `flags`: untrusted where a union led to it. */
  | { readonly kind: 'struct'; readonly id: BtfTypeId; readonly flags: number }
  | { readonly kind: 'error'; readonly errno: number; readonly line: string };

const SCALAR: Walk = { kind: 'scalar' };
const OPAQUE: Walk = { kind: 'opaque' };

/** Nested structures that one walk may enter; kernels nest a few. */
const MAX_NESTING = 64;

const fail = (errno: number, line: string): Walk => ({ kind: 'error', errno, line });

/** Flags of pointers by the tag of what they point to. */
const TAG_FLAGS: ReadonlyMap<string, number> = new Map([
  ['user', MEM_USER],
  ['percpu', MEM_PERCPU],
  ['rcu', MEM_RCU],
]);

/** The flag of a pointer whose pointee has a type tag, 0 where it has none. */
export function pointerTagFlag(btf: Btf, pointee: BtfTypeId): number {
  const type = btf.type(pointee);
  return type.kind === 'type_tag' ? (TAG_FLAGS.get(type.name) ?? 0) : 0;
}

/** Type, element and size of a member, arrays of arrays as one (`__btf_resolve_size`). */
interface Resolved {
  /** Without qualifiers and array dimensions. */
  readonly id: BtfTypeId;
  readonly type: BtfType;
  /** Bytes of the whole member. */
  readonly size: number;
  readonly isArray: boolean;
  /** Elements of the array, over all dimensions. */
  readonly count: number;
}

function resolve(btf: Btf, typeId: BtfTypeId): Resolved | undefined {
  let id = btf.skipModifiersAndTypedefs(typeId);
  let type = btf.type(id);
  let count = 1;
  let isArray = false;
  for (let depth = 0; type.kind === 'array'; depth++) {
    if (depth > MAX_NESTING) return undefined;
    isArray = true;
    count *= type.count;
    id = btf.skipModifiersAndTypedefs(type.type);
    type = btf.type(id);
  }
  const unit = type.kind === 'ptr' ? btf.pointerSize : 'size' in type ? type.size : undefined;
  return unit === undefined ? undefined : { id, type, size: unit * count, isArray, count };
}

/** One walk's place: the structure it is in, and what was gathered on the way. */
class Walker {
  readonly #btf: Btf;
  readonly #size: number;
  #type: BtfComposite;
  #off: number;
  #flags: number;

  constructor(btf: Btf, type: BtfComposite, off: number, size: number, flags: number) {
    this.#btf = btf;
    this.#type = type;
    // offsets before the structure wrap round, as in Linux
    this.#off = off >>> 0;
    this.#size = size;
    this.#flags = flags;
  }

  walk(flexibleArrays: boolean): Walk {
    for (let depth = 0; depth < MAX_NESTING; depth++) {
      const type = this.#type;
      if (type.kind === 'union' && type.members.length !== 1) this.#flags |= PTR_UNTRUSTED;
      const end = (this.#off + this.#size) >>> 0;
      const found = end > type.size ? this.#beyondEnd(flexibleArrays) : this.#amongMembers(end);
      if (found !== undefined) return found;
    }
    throw new BtfError('BTF_LOOP', `struct ${this.#type.name} nests more than ${MAX_NESTING} structures`);
  }

  /** Behind the structure only a flexible array may follow. Undefined: goes on in an element of it. */
  #beyondEnd(flexibleArrays: boolean): Walk | undefined {
    const { name, members } = this.#type;
    const line = `access beyond struct ${nameText(name)} at off ${this.#off} size ${this.#size}`;
    const last = members.at(-1);
    if (!flexibleArrays || last === undefined) return fail(ERRNO.EACCES, line);
    const array = this.#btf.type(this.#btf.skipModifiersAndTypedefs(last.type));
    const start = last.bitOffset >>> 3;
    if (array.kind !== 'array' || array.count !== 0 || this.#off < start) return fail(ERRNO.EACCES, line);
    const element = this.#btf.type(this.#btf.skipModifiersAndTypedefs(array.type));
    if (element.kind === 'int') return SCALAR;
    if (!isComposite(element) || element.size === 0) return fail(ERRNO.EACCES, line);
    this.#off = (this.#off - start) % element.size;
    this.#type = element;
    return undefined;
  }

  /** Undefined: the walk goes on in a nested structure. */
  #amongMembers(accessEnd: number): Walk | undefined {
    const off = this.#off;
    const { name, members } = this.#type;
    for (const member of members) {
      const start = member.bitOffset >>> 3;
      if (accessEnd <= start) break;
      if (member.bitfieldSize !== 0) {
        const end = (member.bitOffset + member.bitfieldSize + 7) >>> 3;
        if (off <= start && end <= off + this.#size) return SCALAR;
        continue;
      }
      if (off < start) break;
      const field = resolve(this.#btf, member.type);
      if (field === undefined) return fail(ERRNO.EFAULT, `field ${nameText(member.name)} doesn't have size`);
      if (off >= start + field.size) continue;
      const unit = field.isArray ? field.size / field.count : field.size;
      const at = field.isArray ? start + Math.floor((off - start) / unit) * unit : start;
      return this.#inMember(member.name, field, at, unit, start + field.size);
    }
    return fail(ERRNO.EINVAL, `struct ${nameText(name)} doesn't have field at offset ${off | 0}`);
  }

  /** `at`, `unit`: of the array's element; `end`: of the member. */
  #inMember(field: string, { id, type }: Resolved, at: number, unit: number, end: number): Walk | undefined {
    const off = this.#off;
    const size = this.#size;
    if (isComposite(type)) {
      if (off === at) return { kind: 'struct', id, flags: this.#flags };
      this.#type = type;
      this.#off = off - at;
      return undefined;
    }
    const name = nameText(this.#type.name);
    const shown = nameText(field);
    if (type.kind === 'ptr') {
      if (unit !== size || off !== at) {
        return fail(
          ERRNO.EACCES,
          `cannot access ptr member ${shown} with moff ${at} in struct ${name} with off ${off} size ${size}`,
        );
      }
      const pointee = this.#btf.skipModifiersAndTypedefs(type.type);
      const target = this.#btf.type(pointee);
      if (target.kind === 'fwd') return { kind: 'opaque', declared: target.name };
      if (!isComposite(target)) return OPAQUE;
      const flags = this.#flags | pointerTagFlag(this.#btf, type.type);
      return { kind: 'pointer', id: pointee, flags, field };
    }
    if (off + size > end && (this.#flags & PTR_UNTRUSTED) === 0) {
      return fail(
        ERRNO.EACCES,
        `access beyond the end of member ${shown} (mend:${end}) in struct ${name} with off ${off} size ${size}`,
      );
    }
    return SCALAR;
  }
}

/**
 * One step into structure `id`: to what lies at `off`, or to the outermost nested structure that begins there. `flags`:
 * what earlier steps gathered.
 */
function step(
  btf: Btf,
  id: BtfTypeId,
  off: number,
  size: number,
  flexibleArrays: boolean,
  flags: number,
): Walk {
  const type = btf.underlying(id);
  if (!isComposite(type)) return fail(ERRNO.EINVAL, `Type '${nameText(type.name)}' is not a struct`);
  return new Walker(btf, type, off, size, flags).walk(flexibleArrays);
}

type Answers = Map<number, Map<number, Walk>>;
const answersOf = new WeakMap<Btf, Answers>();
/** Structures whose answers are remembered, for each BTF. */
const MAX_REMEMBERED = 4096;

/** What `size` bytes at `off` of structure `id` are; nested structures are entered to the end. */
export function structAccess(
  btf: Btf,
  id: BtfTypeId,
  off: number,
  size: number,
  flexibleArrays: boolean,
): Walk {
  let answers = answersOf.get(btf);
  if (answers === undefined) {
    answers = new Map();
    answersOf.set(btf, answers);
  }
  let ofType = answers.get(id);
  if (ofType === undefined) {
    if (answers.size >= MAX_REMEMBERED) answers.clear();
    ofType = new Map();
    answers.set(id, ofType);
  }
  const key = off * 32 + size * 2 + (flexibleArrays ? 1 : 0);
  const known = ofType.get(key);
  if (known !== undefined) return known;
  const answer = walkToEnd(btf, id, off, size, flexibleArrays);
  ofType.set(key, answer);
  return answer;
}

function walkToEnd(btf: Btf, id: BtfTypeId, off: number, size: number, flexibleArrays: boolean): Walk {
  let found = step(btf, id, off, size, flexibleArrays, 0);
  for (let depth = 0; found.kind === 'struct'; depth++) {
    if (depth > MAX_NESTING) throw new BtfError('BTF_LOOP', `type [${id}] contains itself`);
    found = step(btf, found.id, 0, size, flexibleArrays, found.flags);
  }
  return found;
}

/**
 * Does a pointer to structure `id` plus `off` point to a `needId`, as such or nested at its start? `strict`: as such
 * only. `log` is told why a walk came to nothing, as Linux writes it although it may not matter.
 */
export function structIdsMatch(
  btf: Btf,
  id: BtfTypeId,
  off: number,
  needBtf: Btf,
  needId: BtfTypeId,
  strict: boolean,
  flexibleArrays: boolean,
  log: (line: string) => void,
): boolean {
  const same = (other: BtfTypeId): boolean => btf === needBtf && other === needId;
  if (off === 0 && same(id)) return true;
  if (strict) return false;
  let at = id;
  let offset = off;
  let flags = 0;
  for (let depth = 0; depth < MAX_NESTING; depth++) {
    const found = step(btf, at, offset, 1, flexibleArrays, flags);
    if (found.kind === 'error') log(found.line);
    if (found.kind !== 'struct') return false;
    if (same(found.id)) return true;
    at = found.id;
    flags = found.flags;
    offset = 0;
  }
  return false;
}
