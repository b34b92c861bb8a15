/**
 * Access specs: the compiler's `0:1:2` turned into named steps through local types, and back into the
 * notation that libbpf logs. The raw form has one index for each level, anonymous members included;
 * the accessors hold only what has a meaning in another kernel: field names and array indexes.
 */
import type { Btf } from '../btf/btf.js';
import type { CoreRelo, CoreReloKind } from '../btf/btf-ext.js';
import { isComposite } from '../btf/layout.js';
import type { BtfEnum, BtfType } from '../btf/types.js';
import { CoreError } from './error.js';

/** Deepest spec, as in libbpf (`BPF_CORE_SPEC_MAX_LEN`). */
export const MAX_SPEC_LENGTH = 64;

export interface CoreAccessor {
  /** What is stepped into: the struct or union that has the field, or the array's element type. */
  readonly typeId: number;
  /** Member, element or enumerator index. */
  readonly index: number;
  /** Field or enumerator name; absent for array elements and for the root. */
  readonly name?: string;
}

export interface CoreSpec {
  readonly btf: Btf;
  readonly rootId: number;
  readonly kind: CoreReloKind;
  readonly accessors: CoreAccessor[];
  readonly raw: number[];
  /** From the start of the root type. */
  bitOffset: number;
}

const FIELD_KINDS: ReadonlySet<CoreReloKind> = new Set([
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
]);

const isFieldBased = (kind: CoreReloKind): boolean => FIELD_KINDS.has(kind);

export const isEnumBased = (kind: CoreReloKind): boolean =>
  kind === 'enumval_exists' || kind === 'enumval_value';

export const isTypeBased = (kind: CoreReloKind): boolean => !isFieldBased(kind) && !isEnumBased(kind);

export const isEnum = (type: BtfType): type is BtfEnum => type.kind === 'enum' || type.kind === 'enum64';

/** The same kind, or enums of whichever width. */
export const sameCoreKind = (a: BtfType, b: BtfType): boolean =>
  a.kind === b.kind || (isEnum(a) && isEnum(b));

export function emptySpec(btf: Btf, rootId: number, kind: CoreReloKind): CoreSpec {
  return { btf, rootId, kind, accessors: [], raw: [], bitOffset: 0 };
}

/** Moves the offset on; offsets are 32-bit in BTF, and so they are here. */
export function advance(spec: CoreSpec, bits: number): void {
  spec.bitOffset += bits;
  if (spec.bitOffset > 0xffffffff) throw new CoreError('CORE_BAD_SPEC', 'field offset exceeds 4 Gbit');
}

/** Turns a relocation record into a spec of the local types. Throws `CORE_BAD_SPEC`. */
export function parseSpec(btf: Btf, relo: CoreRelo): CoreSpec {
  const spec = emptySpec(btf, relo.typeId, relo.kind);
  if (isTypeBased(relo.kind)) {
    if (relo.accessStr !== '0') throw badSpec(relo, 'a type relocation has the access string 0');
    return spec;
  }
  spec.raw.push(...parseAccess(relo));
  const first = spec.raw[0]!;
  const rootId = btf.skipModifiersAndTypedefs(relo.typeId);
  if (isEnumBased(relo.kind)) {
    const type = btf.type(rootId);
    if (!isEnum(type)) throw badSpec(relo, `type [${rootId}] is no enum`);
    if (spec.raw.length > 1) throw badSpec(relo, 'an enumerator has a single index');
    const value = type.values[first];
    if (value === undefined) throw badSpec(relo, `enum [${rootId}] has no enumerator ${first}`);
    spec.accessors.push({ typeId: rootId, index: first, name: value.name });
    return spec;
  }
  spec.accessors.push({ typeId: rootId, index: first });
  advance(spec, first * btf.sizeOf(rootId) * 8);
  walkFields(spec, rootId, relo);
  return spec;
}

function walkFields(spec: CoreSpec, rootId: number, relo: CoreRelo): void {
  const { btf } = spec;
  let id = rootId;
  for (const index of spec.raw.slice(1)) {
    id = btf.skipModifiersAndTypedefs(id);
    const type = btf.type(id);
    if (isComposite(type)) {
      const member = type.members[index];
      if (member === undefined) throw badSpec(relo, `${type.kind} [${id}] has no member ${index}`);
      advance(spec, member.bitOffset);
      if (member.name !== '') spec.accessors.push({ typeId: id, index, name: member.name });
      id = member.type;
    } else if (type.kind === 'array') {
      if (index >= type.count && !isFlexibleArray(spec, type.count)) {
        throw badSpec(relo, `index ${index} is outside array [${id}] of ${type.count}`);
      }
      id = btf.skipModifiersAndTypedefs(type.type);
      spec.accessors.push({ typeId: id, index });
      advance(spec, index * btf.sizeOf(id) * 8);
    } else {
      throw badSpec(relo, `type [${id}], a ${type.kind}, has neither members nor elements`);
    }
  }
}

/** Whether the array just reached is the last member of its struct and has no length of its own. */
export function isFlexibleArray(spec: CoreSpec, count: number): boolean {
  const last = spec.accessors[spec.accessors.length - 1];
  if (last?.name === undefined || count > 0) return false;
  const owner = spec.btf.type(last.typeId);
  return isComposite(owner) && last.index === owner.members.length - 1;
}

function parseAccess(relo: CoreRelo): number[] {
  if (!/^\d+(:\d+)*$/.test(relo.accessStr)) throw badSpec(relo, 'malformed access string');
  const indexes = relo.accessStr.split(':').map(Number);
  if (indexes.length > MAX_SPEC_LENGTH)
    throw badSpec(relo, `access string has over ${MAX_SPEC_LENGTH} levels`);
  if (indexes.some((index) => index > 0x7fffffff))
    throw badSpec(relo, 'index in the access string is too large');
  return indexes;
}

function badSpec(relo: CoreRelo, detail: string): CoreError {
  return new CoreError('CORE_BAD_SPEC', `[${relo.typeId}] + ${JSON.stringify(relo.accessStr)}: ${detail}`);
}

/** The spec as libbpf logs it: `<byte_off> [2] struct task_struct.pid (0:37 @ offset 1234)`. */
export function formatSpec(spec: CoreSpec): string {
  const type = spec.btf.type(spec.rootId);
  const kind = type.kind === 'void' ? 'unknown' : type.kind;
  const head = `<${spec.kind}> [${spec.rootId}] ${kind} ${type.name === '' ? '<anon>' : type.name}`;
  if (isTypeBased(spec.kind)) return head;
  if (isEnumBased(spec.kind)) {
    const accessor = spec.accessors[0];
    const owner = accessor === undefined ? undefined : spec.btf.type(accessor.typeId);
    const value = owner !== undefined && isEnum(owner) ? owner.values[accessor!.index] : undefined;
    return value === undefined ? head : `${head}::${value.name} = ${value.value}`;
  }
  let path = '';
  spec.accessors.forEach((accessor, i) => {
    if (accessor.name !== undefined) path += `.${accessor.name}`;
    else if (i > 0 || accessor.index > 0) path += `[${accessor.index}]`;
  });
  const bit = spec.bitOffset % 8;
  const offset = `${Math.floor(spec.bitOffset / 8)}${bit === 0 ? '' : `.${bit}`}`;
  return `${head}${path} (${spec.raw.join(':')} @ offset ${offset})`;
}
