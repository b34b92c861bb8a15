/**
 * Which types a type refers to, and the same type with those references renumbered: what reducing,
 * validating and dumping need to walk a graph of types.
 */
import type { BtfType, BtfTypeId } from './types.js';

/** Ids that `type` names, in the order of the format; 0 (`void`) included. */
export function referencesOf(type: BtfType): BtfTypeId[] {
  switch (type.kind) {
    case 'void':
    case 'int':
    case 'enum':
    case 'enum64':
    case 'fwd':
    case 'float':
      return [];
    case 'array':
      return [type.type, type.indexType];
    case 'struct':
    case 'union':
      return type.members.map((member) => member.type);
    case 'func_proto':
      return [type.type, ...type.params.map((param) => param.type)];
    case 'datasec':
      return type.vars.map((variable) => variable.type);
    default:
      return [type.type];
  }
}

/** `type` with every id in it replaced by `map(id)`. */
export function mapReferences(type: BtfType, map: (id: BtfTypeId) => BtfTypeId): BtfType {
  const withType = <T extends { readonly type: BtfTypeId }>(part: T): T => ({
    ...part,
    type: map(part.type),
  });
  switch (type.kind) {
    case 'void':
    case 'int':
    case 'enum':
    case 'enum64':
    case 'fwd':
    case 'float':
      return type;
    case 'array':
      return { ...type, type: map(type.type), indexType: map(type.indexType) };
    case 'struct':
    case 'union':
      return { ...type, members: type.members.map(withType) };
    case 'func_proto':
      return { ...type, type: map(type.type), params: type.params.map(withType) };
    case 'datasec':
      return { ...type, vars: type.vars.map(withType) };
    default:
      return withType(type);
  }
}
