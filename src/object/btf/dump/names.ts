/**
 * Names in C output. BTF may hold several types of one name, C may not: the second becomes `name___2`.
 * Tags (`struct x`) and ordinary identifiers (typedefs, enumerators) are two name spaces, as in C.
 */
import type { Btf } from '../btf.js';

export class CNames {
  readonly #btf: Btf;
  readonly #tags = new Map<string, number>();
  readonly #identifiers = new Map<string, number>();
  readonly #chosen = new Map<number, string>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** Of a struct, union, enum or forward declaration; empty where it is anonymous. */
  tag(id: number): string {
    return this.#choose(id, this.#tags);
  }

  /** Of a typedef. */
  identifier(id: number): string {
    return this.#choose(id, this.#identifiers);
  }

  /** Of an enumerator, which is an identifier of its own each time it is written. */
  enumerator(name: string): string {
    return distinct(name, this.#identifiers);
  }

  #choose(id: number, space: Map<string, number>): string {
    const known = this.#chosen.get(id);
    if (known !== undefined) return known;
    const name = this.#btf.nameOf(id);
    const kind = this.#btf.kindOf(id);
    const declaresOnly = kind === 'fwd' || (kind === 'enum' && this.#btf.vlenOf(id) === 0);
    const chosen = name === '' || declaresOnly ? name : distinct(name, space);
    this.#chosen.set(id, chosen);
    return chosen;
  }
}

function distinct(name: string, space: Map<string, number>): string {
  const count = (space.get(name) ?? 0) + 1;
  space.set(name, count);
  return count > 1 ? `${name}___${count}` : name;
}
