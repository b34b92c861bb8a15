/**
 * What a relocation's question evaluates to for one spec: offset, size, sign, shifts, ids, existence,
 * enumerator values. Values are unsigned 64-bit numbers, as libbpf computes them (`bpf_core_calc_relo`).
 */
import type { Btf } from '../btf/btf.js';
import { isComposite } from '../btf/layout.js';
import type { BtfMember, BtfType } from '../btf/types.js';
import { CoreError } from './error.js';
import { type CoreSpec, isEnum, isEnumBased, isTypeBased } from './spec.js';

export interface CoreValue {
  readonly value: bigint;
  /** Whether the instruction must hold the local value: not where compilers may choose (bit-fields, ids). */
  readonly validate: boolean;
  /** For `byte_off` of a plain field: bytes that a load or store of it moves, and its type. */
  readonly accessSize?: number;
  readonly accessType?: number;
}

const U64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** The value for a spec that exists; `absentValue` has the other case. */
export function evaluate(spec: CoreSpec): CoreValue {
  if (isTypeBased(spec.kind)) return typeValue(spec);
  if (isEnumBased(spec.kind)) return enumValue(spec);
  if (spec.kind === 'field_exists') return { value: 1n, validate: true };
  const accessor = spec.accessors[spec.accessors.length - 1]!;
  if (accessor.name === undefined) return elementValue(spec, accessor.typeId);
  const owner = spec.btf.type(accessor.typeId);
  if (!isComposite(owner)) throw new CoreError('CORE_BAD_SPEC', `type [${accessor.typeId}] has no members`);
  return fieldValue(spec, owner.members[accessor.index]!);
}

/** What existence, size and id questions answer for a thing that is not there; undefined: poison. */
export function absentValue(kind: CoreSpec['kind']): CoreValue | undefined {
  if (kind === 'field_exists' || kind === 'enumval_exists') return { value: 0n, validate: true };
  return isTypeBased(kind) ? { value: 0n, validate: true } : undefined;
}

function typeValue(spec: CoreSpec): CoreValue {
  switch (spec.kind) {
    case 'local_type_id':
    case 'target_type_id':
      // linkers renumber types without patching instructions
      return { value: BigInt(spec.rootId), validate: false };
    case 'type_size':
      return { value: BigInt(spec.btf.sizeOf(spec.rootId)), validate: true };
    default:
      return { value: 1n, validate: true };
  }
}

function enumValue(spec: CoreSpec): CoreValue {
  if (spec.kind === 'enumval_exists') return { value: 1n, validate: true };
  const accessor = spec.accessors[0]!;
  const type = spec.btf.type(accessor.typeId);
  const value = isEnum(type) ? type.values[accessor.index]?.value : undefined;
  if (value === undefined)
    throw new CoreError('CORE_BAD_SPEC', `type [${accessor.typeId}] has no enumerators`);
  // 32-bit enumerators count as signed here whatever their enum says, as in libbpf
  return { value: U64(type.kind === 'enum' ? BigInt.asIntN(32, value) : value), validate: true };
}

/** Bytes of the innermost element: loads and stores move elements, never arrays. */
function accessSize(btf: Btf, id: number): number {
  let at = btf.skipModifiersAndTypedefs(id);
  for (
    let type = btf.type(at), depth = 0;
    type.kind === 'array' && depth < 32;
    type = btf.type(at), depth++
  ) {
    at = btf.skipModifiersAndTypedefs(type.type);
  }
  return btf.sizeOf(at);
}

function elementValue(spec: CoreSpec, typeId: number): CoreValue {
  switch (spec.kind) {
    case 'byte_off':
      return {
        value: BigInt(Math.floor(spec.bitOffset / 8)),
        validate: true,
        accessSize: accessSize(spec.btf, typeId),
        accessType: typeId,
      };
    case 'byte_sz':
      return { value: BigInt(spec.btf.sizeOf(typeId)), validate: true };
    default:
      throw new CoreError('CORE_UNSUPPORTED', `${spec.kind} cannot be asked of an array element`);
  }
}

interface Storage {
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
  /** Bits of the value itself. */
  readonly bits: number;
}

function fieldValue(spec: CoreSpec, member: BtfMember): CoreValue {
  const { btf, bitOffset } = spec;
  const typeId = btf.skipModifiersAndTypedefs(member.type);
  const type = btf.type(typeId);
  const bitfield = member.bitfieldSize > 0;
  const storage = bitfield
    ? bitfieldStorage(bitOffset, member.bitfieldSize, type)
    : plainStorage(bitOffset, btf.sizeOf(typeId));
  const endBit = bitOffset + storage.bits - storage.offset * 8;
  switch (spec.kind) {
    case 'byte_off': {
      const value = BigInt(storage.offset);
      if (bitfield) return { value, validate: false };
      return { value, validate: true, accessSize: accessSize(btf, typeId), accessType: typeId };
    }
    case 'byte_sz':
      return { value: BigInt(storage.size), validate: !bitfield };
    case 'signed':
      return { value: isSigned(type) ? 1n : 0n, validate: true };
    case 'lshift_u64': {
      const shift =
        btf.endian === 'little' ? 64 - endBit : (8 - storage.size) * 8 + (bitOffset - storage.offset * 8);
      return { value: U64(BigInt(shift)), validate: !bitfield };
    }
    case 'rshift_u64':
      return { value: U64(BigInt(64 - storage.bits)), validate: true };
    default:
      throw new CoreError('CORE_UNSUPPORTED', `${spec.kind} cannot be asked of a field`);
  }
}

const plainStorage = (bitOffset: number, size: number): Storage => ({
  offset: Math.floor(bitOffset / 8),
  size,
  bits: size * 8,
});

/** The smallest aligned load, from the declared type's size up, that covers the bit-field. */
function bitfieldStorage(bitOffset: number, bits: number, type: BtfType): Storage {
  let size = 'size' in type ? type.size : 0;
  if (size < 1) throw new CoreError('CORE_BAD_SPEC', `a ${type.kind} cannot be a bit-field`);
  for (;;) {
    const offset = Math.floor(Math.floor(bitOffset / 8) / size) * size;
    if (bitOffset + bits - offset * 8 <= size * 8) return { offset, size, bits };
    if (size >= 8) throw new CoreError('CORE_UNSUPPORTED', 'no 64-bit load covers the bit-field');
    size *= 2;
  }
}

function isSigned(type: BtfType): boolean {
  return (isEnum(type) || type.kind === 'int') && type.signed;
}

/**
 * Whether a load or store may change its size from the local to the target field's: only where zero
 * extension keeps the value, that is for pointers and for integers none of which is signed.
 */
export function sizeMayChange(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  const [a, b] = [local.type(localId), target.type(targetId)];
  if (a.kind === 'ptr' && b.kind === 'ptr') return true;
  return a.kind === 'int' && b.kind === 'int' && a.encoding !== SIGNED && b.encoding !== SIGNED;
}

/** `BTF_INT_SIGNED` and nothing else. */
const SIGNED = 1;
