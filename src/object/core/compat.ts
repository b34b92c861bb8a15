/**
 * When two types are close enough: for reading a field (`fieldsCompatible`) and for a type relocation
 * (`typesCompatible`). Rules of libbpf's `bpf_core_fields_are_compat` and `bpf_core_types_are_compat`.
 */
import type { Btf } from '../btf/btf.js';
import { isComposite } from '../btf/layout.js';
import { essentialName } from '../btf/strings.js';
import { type Budget, MAX_DEPTH, tooComplex } from './budget.js';
import { sameCoreKind } from './spec.js';

/** A type in its BTF. */
export interface TypeRef {
  readonly btf: Btf;
  readonly id: number;
}

const strip = ({ btf, id }: TypeRef): TypeRef => ({ btf, id: btf.skipModifiersAndTypedefs(id) });

/** Structs and unions mix freely, integers and pointers do among themselves, named enums go by name. */
export function fieldsCompatible(local: TypeRef, target: TypeRef): boolean {
  let [a, b] = [local, target];
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    a = strip(a);
    b = strip(b);
    const [at, bt] = [a.btf.type(a.id), b.btf.type(b.id)];
    if (isComposite(at) && isComposite(bt)) return true;
    if (!sameCoreKind(at, bt)) return false;
    if (at.kind === 'array' && bt.kind === 'array') {
      a = { btf: a.btf, id: at.type };
      b = { btf: b.btf, id: bt.type };
      continue;
    }
    switch (at.kind) {
      case 'ptr':
      case 'float':
        return true;
      case 'fwd':
      case 'enum':
      case 'enum64': {
        const [an, bn] = [essentialName(at.name), essentialName(bt.name)];
        return an === '' || bn === '' || an === bn;
      }
      case 'int':
        return at.bitOffset === 0 && bt.kind === 'int' && bt.bitOffset === 0;
      default:
        return false;
    }
  }
  throw tooComplex();
}

/** Kinds must agree along pointers, arrays and signatures; names, sizes and members do not count. */
export function typesCompatible(local: TypeRef, target: TypeRef, budget: Budget): boolean {
  const [lt, tt] = [local.btf.type(local.id), target.btf.type(target.id)];
  if (!sameCoreKind(lt, tt)) return false;
  return compatible(local, target, MAX_DEPTH, budget);
}

function compatible(local: TypeRef, target: TypeRef, level: number, budget: Budget): boolean {
  let [a, b] = [local, target];
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    budget.spend();
    a = strip(a);
    b = strip(b);
    const [at, bt] = [a.btf.type(a.id), b.btf.type(b.id)];
    if (!sameCoreKind(at, bt)) return false;
    switch (at.kind) {
      case 'void':
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'fwd':
        return true;
      case 'int':
        return at.bitOffset === 0 && bt.kind === 'int' && bt.bitOffset === 0;
      case 'func_proto':
        if (bt.kind !== 'func_proto' || at.params.length !== bt.params.length) return false;
        for (const [i, param] of at.params.entries()) {
          if (level <= 0) throw tooComplex();
          const [ap, bp] = [
            { btf: a.btf, id: param.type },
            { btf: b.btf, id: bt.params[i]!.type },
          ];
          if (!compatible(ap, bp, level - 1, budget)) return false;
        }
        break;
      case 'ptr':
      case 'array':
        break;
      default:
        return false;
    }
    if (!('type' in bt)) return false;
    a = { btf: a.btf, id: at.type };
    b = { btf: b.btf, id: bt.type };
  }
  throw tooComplex();
}
