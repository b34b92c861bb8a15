/**
 * Sizes, alignments and chains of references: questions whose answers need other types. All walks are
 * bounded, so that cyclic BTF ends in `BTF_LOOP`. Rules as in libbpf's `btf__resolve_size` and `btf__align_of`.
 */
import { BtfError } from './error.js';
import { MAX_RESOLVE_DEPTH } from './format.js';
import type { BtfComposite, BtfMember, BtfModifier, BtfType, BtfTypeId } from './types.js';

/** What these questions need of a BTF. */
export interface TypeSource {
  type(id: BtfTypeId): BtfType;
  readonly pointerSize: number;
}

export function isModifier(type: BtfType): type is BtfModifier {
  return (
    type.kind === 'const' || type.kind === 'volatile' || type.kind === 'restrict' || type.kind === 'type_tag'
  );
}

export function isComposite(type: BtfType): type is BtfComposite {
  return type.kind === 'struct' || type.kind === 'union';
}

/** A number: an integer or an enumeration (`btf_type_is_scalar`). */
export const isScalarType = ({ kind }: BtfType): boolean =>
  kind === 'int' || kind === 'enum' || kind === 'enum64';

function loop(id: BtfTypeId): BtfError {
  return new BtfError(
    'BTF_LOOP',
    `type [${id}] refers to itself, or through more than ${MAX_RESOLVE_DEPTH} types`,
  );
}

/** The id past all qualifiers and type tags, and past typedefs where `typedefs`. */
export function skipModifiers(btf: TypeSource, id: BtfTypeId, typedefs: boolean): BtfTypeId {
  let at = id;
  for (let depth = 0; depth <= MAX_RESOLVE_DEPTH; depth++) {
    const type = btf.type(at);
    if (isModifier(type) || (typedefs && type.kind === 'typedef')) at = type.type;
    else return at;
  }
  throw loop(id);
}

/** Bytes. Throws `BTF_NO_SIZE` for `void`, functions, prototypes and forward declarations. */
export function sizeOf(btf: TypeSource, id: BtfTypeId): number {
  let at = id;
  let count = 1;
  for (let depth = 0; depth <= MAX_RESOLVE_DEPTH; depth++) {
    const type = btf.type(at);
    switch (type.kind) {
      case 'int':
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'float':
      case 'datasec':
        return checkSize(id, type.size * count);
      case 'ptr':
        return checkSize(id, btf.pointerSize * count);
      case 'array':
        count = checkSize(id, count * type.count);
        at = type.type;
        break;
      case 'typedef':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
      case 'decl_tag':
      case 'var':
        at = type.type;
        break;
      default:
        throw new BtfError('BTF_NO_SIZE', `type [${id}] has no size: it is a ${type.kind}`);
    }
  }
  throw loop(id);
}

function checkSize(id: BtfTypeId, size: number): number {
  if (size > 0xffffffff) throw new BtfError('BTF_NO_SIZE', `size of type [${id}] exceeds 4 GiB`);
  return size;
}

/** Bytes; 1 for a packed struct or union. Throws as `sizeOf` does. */
export function alignOf(btf: TypeSource, id: BtfTypeId): number {
  return alignWithin(btf, id, new Map());
}

/** `seen`: results, and 0 for a composite that is still being asked about. */
function alignWithin(btf: TypeSource, id: BtfTypeId, seen: Map<BtfTypeId, number>): number {
  let at = id;
  for (let depth = 0; depth <= MAX_RESOLVE_DEPTH; depth++) {
    const type = btf.type(at);
    switch (type.kind) {
      case 'int':
      case 'enum':
      case 'enum64':
      case 'float':
        return Math.max(1, Math.min(btf.pointerSize, type.size));
      case 'ptr':
        return btf.pointerSize;
      case 'struct':
      case 'union':
        return alignOfComposite(btf, at, type, seen);
      case 'array':
      case 'typedef':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
      case 'var':
        at = type.type;
        break;
      default:
        throw new BtfError('BTF_NO_SIZE', `type [${id}] has no alignment: it is a ${type.kind}`);
    }
  }
  throw loop(id);
}

function alignOfComposite(
  btf: TypeSource,
  id: BtfTypeId,
  type: BtfComposite,
  seen: Map<BtfTypeId, number>,
): number {
  const known = seen.get(id);
  if (known === 0 || seen.size > MAX_NESTED_COMPOSITES) throw loop(id);
  if (known !== undefined) return known;
  seen.set(id, 0);
  let result = 1;
  let packed = false;
  for (const member of type.members) {
    const align = alignWithin(btf, member.type, seen);
    result = Math.max(result, align);
    if (member.bitfieldSize === 0 && member.bitOffset % (8 * align) !== 0) packed = true;
  }
  if (packed || type.size % result !== 0) result = 1;
  seen.set(id, result);
  return result;
}

/** Composites looked at for one alignment; the deepest of a kernel nests a few dozen. */
const MAX_NESTED_COMPOSITES = 4096;

/** A member of a struct or union, found through anonymous members as C finds it. */
export interface FoundMember {
  readonly member: BtfMember;
  /** The innermost composite that holds it. */
  readonly owner: BtfTypeId;
  /** Bits from the start of the type that was asked. */
  readonly bitOffset: number;
}

/** Looks `name` up in the struct or union `id` (modifiers and typedefs skipped); undefined where it is not. */
export function findMember(btf: TypeSource, id: BtfTypeId, name: string): FoundMember | undefined {
  return name === '' ? undefined : new MemberSearch(btf, name).in(id, 0);
}

/** Members looked at for one name, so that a type that contains itself ends in an error. */
const MAX_MEMBERS = 100_000;

class MemberSearch {
  readonly #btf: TypeSource;
  readonly #name: string;
  #left = MAX_MEMBERS;

  constructor(btf: TypeSource, name: string) {
    this.#btf = btf;
    this.#name = name;
  }

  in(id: BtfTypeId, depth: number): FoundMember | undefined {
    const owner = skipModifiers(this.#btf, id, true);
    const type = this.#btf.type(owner);
    if (!isComposite(type)) return undefined;
    if (depth > MAX_NESTED_MEMBERS) throw loop(id);
    for (const member of type.members) {
      if (--this.#left < 0) throw loop(id);
      if (member.name === this.#name) return { member, owner, bitOffset: member.bitOffset };
      if (member.name !== '') continue;
      const inner = this.in(member.type, depth + 1);
      if (inner !== undefined) return { ...inner, bitOffset: member.bitOffset + inner.bitOffset };
    }
    return undefined;
  }
}

/** Anonymous structs and unions inside each other; C compilers promise 63. */
const MAX_NESTED_MEMBERS = 128;
