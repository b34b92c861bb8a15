/**
 * A smaller BTF that holds chosen types and what their layout needs. A pointer to a struct or union
 * that was not chosen becomes a pointer to a forward declaration, which is what keeps the result small.
 */
import type { Btf } from './btf.js';
import { encodeBtf } from './encode.js';
import { mapReferences, referencesOf } from './references.js';
import type { BtfType, BtfTypeId } from './types.js';

/**
 * Encodes the types `roots` of `btf` and what they need, in ascending order of their old ids. Types
 * reached by value are kept whole, structs and unions reached through pointers only where they are roots.
 */
export function reduceBtf(btf: Btf, roots: Iterable<BtfTypeId>): Uint8Array {
  const reach = new Reach(btf, new Set(roots));
  const ids = reach.ids();
  const renumbered = new Map<BtfTypeId, BtfTypeId>([[0, 0]]);
  for (const [i, id] of ids.entries()) renumbered.set(id, i + 1);
  const types = ids.map((id): BtfType => {
    const type = btf.type(id);
    if (!reach.isWhole(id) && (type.kind === 'struct' || type.kind === 'union')) {
      return { kind: 'fwd', name: type.name, of: type.kind };
    }
    return mapReferences(type, (old) => renumbered.get(old) ?? 0);
  });
  return encodeBtf(types, { endian: btf.endian });
}

/** What is reached from the roots, and how: by value, or only through pointers and signatures. */
class Reach {
  readonly #btf: Btf;
  readonly #roots: ReadonlySet<BtfTypeId>;
  readonly #byValue = new Set<BtfTypeId>([0]);
  readonly #byPointer = new Set<BtfTypeId>([0]);
  readonly #queue: [id: BtfTypeId, pointed: boolean][] = [];

  constructor(btf: Btf, roots: ReadonlySet<BtfTypeId>) {
    this.#btf = btf;
    this.#roots = roots;
    for (const id of roots) this.#queue.push([id, false]);
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) this.#visit(...next);
  }

  ids(): BtfTypeId[] {
    const all = new Set([...this.#byValue, ...this.#byPointer]);
    all.delete(0);
    return [...all].sort((a, b) => a - b);
  }

  isWhole(id: BtfTypeId): boolean {
    return this.#byValue.has(id);
  }

  #visit(id: BtfTypeId, pointed: boolean): void {
    const type = this.#btf.type(id);
    const composite = type.kind === 'struct' || type.kind === 'union';
    if (pointed && composite && type.name !== '' && !this.#roots.has(id)) {
      this.#byPointer.add(id);
      return;
    }
    const seen = pointed && !composite ? this.#byPointer : this.#byValue;
    if (seen.has(id)) return;
    seen.add(id);
    // a signature's structs are passed by value, and such a parameter must have a size
    const byValue = composite || type.kind === 'func_proto' || type.kind === 'array';
    for (const next of referencesOf(type))
      this.#queue.push([next, type.kind === 'ptr' || (pointed && !byValue)]);
  }
}
