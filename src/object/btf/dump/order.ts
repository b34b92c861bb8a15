/**
 * The order in which C can define types: whatever lies in a struct by value comes before it, whatever
 * is only pointed to may come later. Equal inputs give the order of libbpf's `btf_dump`.
 */
import type { Btf } from '../btf.js';
import { BtfError } from '../error.js';
import { referencesOf } from '../references.js';
import type { BtfType } from '../types.js';
import type { DumpBudget } from './budget.js';

enum Mark {
  None = 0,
  Open = 1,
  Done = 2,
}

/** Whether what asked must come after the type (`needed`), or a forward declaration will do (`declared`). */
type Link = 'needed' | 'declared';

export class DefinitionOrder {
  readonly #btf: Btf;
  readonly #budget: DumpBudget;
  readonly #marks: Uint8Array;
  readonly #referenced: Uint8Array;
  #queue: number[] = [];

  constructor(btf: Btf, budget: DumpBudget) {
    this.#btf = btf;
    this.#budget = budget;
    this.#marks = new Uint8Array(btf.typeCount);
    this.#marks[0] = Mark.Done;
    this.#referenced = markReferenced(btf);
  }

  /** Ids to define, in order, so that `id` is defined; what earlier calls gave is not given again. */
  upTo(id: number): number[] {
    this.#queue = [];
    this.#visit(id, false);
    return this.#queue;
  }

  #visit(id: number, pointed: boolean): Link {
    return this.#budget.nest(id, () => this.#visitNested(id, pointed));
  }

  #visitNested(id: number, pointed: boolean): Link {
    if (this.#marks[id] === Mark.Done) return 'needed';
    const type = this.#btf.type(id);
    if (this.#marks[id] === Mark.Open) {
      if ((type.kind === 'struct' || type.kind === 'union') && pointed && type.name !== '') return 'declared';
      throw new BtfError('BTF_LOOP', `type [${id}] ${type.name || '(anon)'} contains itself`);
    }
    switch (type.kind) {
      case 'ptr': {
        const link = this.#visit(type.type, true);
        this.#marks[id] = Mark.Done;
        return link;
      }
      case 'array':
        return this.#visit(type.type, false);
      case 'struct':
      case 'union':
        // behind a pointer a named one can be declared, an anonymous one has to be written in place
        if (pointed && type.name !== '') return 'declared';
        this.#marks[id] = Mark.Open;
        for (const member of type.members) this.#visit(member.type, false);
        return this.#define(id, type.name !== '');
      case 'enum':
      case 'enum64':
      case 'fwd':
        return this.#define(id, type.name !== '' || this.#referenced[id] === 0);
      case 'typedef':
        if (this.#visit(type.type, pointed) === 'declared' && pointed) return 'declared';
        return this.#define(id, true);
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
        return this.#visit(type.type, pointed);
      case 'func_proto': {
        const links = referencesOf(type).map((next) => this.#visit(next, pointed));
        return links.includes('needed') ? 'needed' : 'declared';
      }
      default:
        this.#marks[id] = Mark.Done;
        return 'declared';
    }
  }

  #define(id: number, written: boolean): Link {
    if (written) this.#queue.push(id);
    this.#marks[id] = Mark.Done;
    return 'needed';
  }
}

/** An anonymous enum that nothing refers to declares constants, and is written by itself. */
function markReferenced(btf: Btf): Uint8Array {
  const marks = new Uint8Array(btf.typeCount);
  for (let id = 1; id < btf.typeCount; id++) {
    for (const next of mentions(btf.type(id))) marks[next] = 1;
  }
  return marks;
}

function mentions(type: BtfType): number[] {
  return type.kind === 'func_proto' ? type.params.map((param) => param.type) : referencesOf(type);
}
