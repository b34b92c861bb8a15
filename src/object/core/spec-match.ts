/**
 * Finds in one candidate of the target what a local spec describes: fields by name, through anonymous
 * structs and unions, array elements within bounds. Rules of libbpf's `bpf_core_spec_match`.
 */
import { isComposite } from '../btf/layout.js';
import { essentialName } from '../btf/strings.js';
import { type Budget, tooComplex } from './budget.js';
import { fieldsCompatible, type TypeRef, typesCompatible } from './compat.js';
import {
  advance,
  type CoreAccessor,
  type CoreSpec,
  emptySpec,
  isEnum,
  isEnumBased,
  isFlexibleArray,
  isTypeBased,
  MAX_SPEC_LENGTH,
} from './spec.js';
import { typesMatch } from './type-match.js';

/** The spec of the same thing in the candidate; undefined where the candidate does not have it. */
export function matchSpec(local: CoreSpec, target: TypeRef, budget: Budget): CoreSpec | undefined {
  const spec = emptySpec(target.btf, target.id, local.kind);
  if (isTypeBased(local.kind)) {
    const from = { btf: local.btf, id: local.rootId };
    const found = local.kind === 'type_matches' ? typesMatch : typesCompatible;
    return found(from, target, budget) ? spec : undefined;
  }
  if (isEnumBased(local.kind)) return matchEnumerator(local, target, spec);
  let id = target.id;
  for (const [i, accessor] of local.accessors.entries()) {
    id = target.btf.skipModifiersAndTypedefs(id);
    if (accessor.name !== undefined) {
      const next = matchMember(local, accessor, id, spec, budget);
      if (next === undefined) return undefined;
      id = next;
      continue;
    }
    if (i > 0) {
      const type = target.btf.type(id);
      if (type.kind !== 'array') return undefined;
      if (accessor.index >= type.count && !isFlexibleArray(spec, type.count)) return undefined;
      id = target.btf.skipModifiersAndTypedefs(type.type);
    }
    pushRaw(spec, accessor.index);
    spec.accessors.push({ typeId: id, index: accessor.index });
    advance(spec, accessor.index * target.btf.sizeOf(id) * 8);
  }
  return spec;
}

function pushRaw(spec: CoreSpec, index: number): void {
  if (spec.raw.length === MAX_SPEC_LENGTH) throw tooComplex();
  spec.raw.push(index);
}

function matchEnumerator(local: CoreSpec, target: TypeRef, spec: CoreSpec): CoreSpec | undefined {
  const typeId = target.btf.skipModifiersAndTypedefs(target.id);
  const type = target.btf.type(typeId);
  if (!isEnum(type)) return undefined;
  const wanted = essentialName(local.accessors[0]?.name ?? '');
  const index = type.values.findIndex((value) => essentialName(value.name) === wanted);
  const value = type.values[index];
  if (value === undefined) return undefined;
  spec.accessors.push({ typeId, index, name: value.name });
  spec.raw.push(index);
  return spec;
}

/** Extends `spec` by the named field and returns its type; leaves `spec` as it was where there is none. */
function matchMember(
  local: CoreSpec,
  accessor: CoreAccessor,
  targetId: number,
  spec: CoreSpec,
  budget: Budget,
): number | undefined {
  const id = spec.btf.skipModifiersAndTypedefs(targetId);
  const type = spec.btf.type(id);
  if (!isComposite(type)) return undefined;
  for (const [index, member] of type.members.entries()) {
    budget.spend();
    if (member.name !== '' && member.name !== accessor.name) continue;
    const offset = spec.bitOffset;
    pushRaw(spec, index);
    advance(spec, member.bitOffset);
    if (member.name === '') {
      const inner = matchMember(local, accessor, member.type, spec, budget);
      if (inner !== undefined) return inner;
    } else {
      // a field of the right name and the wrong type ends the search: this candidate is another thing
      const wanted = { btf: local.btf, id: localFieldType(local, accessor) };
      if (!fieldsCompatible(wanted, { btf: spec.btf, id: member.type })) {
        spec.raw.pop();
        spec.bitOffset = offset;
        return undefined;
      }
      spec.accessors.push({ typeId: id, index, name: member.name });
      return member.type;
    }
    spec.raw.pop();
    spec.bitOffset = offset;
  }
  return undefined;
}

function localFieldType(local: CoreSpec, accessor: CoreAccessor): number {
  const owner = local.btf.type(accessor.typeId);
  return isComposite(owner) ? (owner.members[accessor.index]?.type ?? 0) : 0;
}
