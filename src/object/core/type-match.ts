/**
 * `bpf_core_type_matches()`: does the target hold everything that the local type says? Stricter than
 * compatibility: names, sizes and signs count, members and enumerators must be found by name. Rules of
 * libbpf's `bpf_core_types_match`.
 */
import { essentialName } from '../btf/strings.js';
import type { BtfComposite, BtfEnum, BtfFwd, BtfMember, BtfType } from '../btf/types.js';
import { type Budget, MAX_DEPTH, tooComplex } from './budget.js';
import type { TypeRef } from './compat.js';
import { isEnum } from './spec.js';

/** Whether `target` matches; the roots' names have been compared by whoever found the candidate. */
export function typesMatch(local: TypeRef, target: TypeRef, budget: Budget): boolean {
  return match(local, target, false, MAX_DEPTH, budget);
}

function match(local: TypeRef, target: TypeRef, pointed: boolean, level: number, budget: Budget): boolean {
  if (level <= 0) throw tooComplex();
  let behindPointer = pointed;
  let [localId, targetId] = [local.id, target.id];
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    budget.spend();
    const a = local.btf.underlying(localId);
    const b = target.btf.underlying(targetId);
    if (essentialName(a.name) !== essentialName(b.name)) return false;
    if (a.kind === 'struct' || a.kind === 'union') {
      if (behindPointer) return sameDeclaration(a, b);
      return a.kind === b.kind && compositesMatch(local, a, target, b as BtfComposite, level, budget);
    }
    if (a.kind === 'fwd') return behindPointer ? sameDeclaration(a, b) : b.kind === 'fwd' && a.of === b.of;
    if (isEnum(a)) return isEnum(b) && enumsMatch(a, b);
    if (a.kind !== b.kind) return false;
    if (a.kind === 'void') return true;
    if (a.kind === 'int' && b.kind === 'int') return a.size === b.size && a.signed === b.signed;
    if (a.kind === 'array' && b.kind === 'array' && a.count !== b.count) return false;
    if (a.kind === 'ptr') behindPointer = true;
    if (a.kind === 'func_proto' && b.kind === 'func_proto') {
      if (a.params.length !== b.params.length) return false;
      for (const [i, param] of a.params.entries()) {
        const [ap, bp] = [
          { btf: local.btf, id: param.type },
          { btf: target.btf, id: b.params[i]!.type },
        ];
        if (!match(ap, bp, behindPointer, level - 1, budget)) return false;
      }
    }
    if (!follows(a) || !follows(b)) return false;
    [localId, targetId] = [a.type, b.type];
  }
  throw tooComplex();
}

/** Types whose own `type` is compared next: pointee, element, return type. */
function follows(type: BtfType): type is Extract<BtfType, { kind: 'ptr' | 'array' | 'func_proto' }> {
  return type.kind === 'ptr' || type.kind === 'array' || type.kind === 'func_proto';
}

/** Behind a pointer a declaration is enough, on either side. */
function sameDeclaration(a: BtfComposite | BtfFwd, b: BtfType): boolean {
  if (b.kind !== 'struct' && b.kind !== 'union' && b.kind !== 'fwd') return false;
  return (a.kind === 'fwd' ? a.of : a.kind) === (b.kind === 'fwd' ? b.of : b.kind);
}

function enumsMatch(a: BtfEnum, b: BtfEnum): boolean {
  if (a.size !== b.size || a.values.length > b.values.length) return false;
  const names = new Set(b.values.map((value) => essentialName(value.name)));
  return a.values.every((value) => names.has(essentialName(value.name)));
}

function compositesMatch(
  local: TypeRef,
  a: BtfComposite,
  target: TypeRef,
  b: BtfComposite,
  level: number,
  budget: Budget,
): boolean {
  if (a.members.length > b.members.length) return false;
  const byName = new Map<string, BtfMember[]>();
  for (const member of b.members) {
    const name = essentialName(member.name);
    const known = byName.get(name);
    if (known === undefined) byName.set(name, [member]);
    else known.push(member);
  }
  return a.members.every((member) => {
    const candidates = byName.get(essentialName(member.name)) ?? [];
    const from = { btf: local.btf, id: member.type };
    return candidates.some((other) =>
      match(from, { btf: target.btf, id: other.type }, false, level - 1, budget),
    );
  });
}
