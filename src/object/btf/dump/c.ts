/**
 * BTF as C that compiles: every definition after what it needs, with forward declarations where types
 * point at each other. The order and the text are those of `bpftool btf dump format c` (unsorted).
 */
import type { Btf } from '../btf.js';
import { BtfError } from '../error.js';
import type { BtfType } from '../types.js';
import { DumpBudget } from './budget.js';
import { Declarer } from './declare.js';
import { CNames } from './names.js';
import { DefinitionOrder } from './order.js';

/** Definitions of all types, or of one and what it needs; each item ends in `;` and an empty line. */
export function* dumpC(btf: Btf, ids: Iterable<number> = allIds(btf)): Generator<string> {
  const dumper = new CDumper(btf);
  for (const id of ids) yield* dumper.define(id);
}

function* allIds(btf: Btf): Generator<number> {
  for (let id = btf.base === undefined ? 1 : btf.firstId; id < btf.typeCount; id++) yield id;
}

/** The type as one would write it in a declaration of `name`: `const char *name`. */
export function cDeclaration(btf: Btf, id: number, name = ''): string {
  const budget = new DumpBudget();
  return new Declarer(btf, new CNames(btf), budget, { brief: true }).declare(id, name);
}

enum Emitted {
  No = 0,
  Open = 1,
  Yes = 2,
}

/** Compiler built-ins that BTF mentions and that no one may define. */
const BUILT_IN = '__builtin_va_list';

/** What gcc calls the element types of Arm vectors, which are no C types. */
const ARM_POLY_TYPES: Readonly<Record<string, string>> = {
  __Poly8_t: 'unsigned char',
  __Poly16_t: 'unsigned short',
  __Poly64_t: 'unsigned long long',
  __Poly128_t: 'unsigned __int128',
};

class CDumper {
  readonly #btf: Btf;
  readonly #budget = new DumpBudget();
  readonly #order: DefinitionOrder;
  readonly #names: CNames;
  readonly #declarer: Declarer;
  readonly #states: Uint8Array;
  /** Types that a forward declaration (or an early typedef) has been written for. */
  readonly #declared = new Set<number>();
  #out: string[] = [];

  constructor(btf: Btf) {
    this.#btf = btf;
    this.#order = new DefinitionOrder(btf, this.#budget);
    this.#names = new CNames(btf);
    this.#declarer = new Declarer(btf, this.#names, this.#budget);
    this.#states = new Uint8Array(btf.typeCount);
    this.#states[0] = Emitted.Yes;
  }

  define(id: number): string[] {
    if (!this.#btf.has(id)) throw new BtfError('BTF_ID', `type id ${id} does not exist`);
    this.#out = [];
    for (const next of this.#order.upTo(id)) this.#emit(next, 0);
    return this.#out;
  }

  #put(text: string): void {
    this.#out.push(`${text};\n\n`);
  }

  /** `owner` is the named type whose definition is about to be written, 0 for a definition by itself. */
  #emit(id: number, owner: number): void {
    if (this.#states[id] === Emitted.Yes) return;
    this.#budget.nest(id, () => {
      const type = this.#btf.type(id);
      if (this.#states[id] === Emitted.Open) this.#declareOpen(id, type, owner);
      else this.#emitNew(id, type, owner);
    });
  }

  /** Met again while it is being written: a declaration breaks the circle. */
  #declareOpen(id: number, type: BtfType, owner: number): void {
    if (this.#declared.has(id)) return;
    if (type.kind === 'struct' || type.kind === 'union') {
      if (id === owner || type.name === '') return;
      this.#put(this.#declarer.tag(id, type.kind));
      this.#declared.add(id);
    } else if (type.kind === 'typedef') {
      this.#putTypedef(id, type.type);
      this.#declared.add(id);
    }
  }

  #putTypedef(id: number, target: number): void {
    if (this.#btf.nameOf(id) === BUILT_IN) return;
    const name = this.#names.identifier(id);
    // old compilers leave this one without the type that it names
    if (target === 0 && name === '__gnuc_va_list') this.#put(`typedef ${BUILT_IN} ${name}`);
    else this.#put(`typedef ${this.#declarer.declare(target, name)}`);
  }

  #emitNew(id: number, type: BtfType, owner: number): void {
    switch (type.kind) {
      case 'int': {
        const alias = ARM_POLY_TYPES[type.name];
        if (alias !== undefined) this.#put(`typedef ${alias} ${type.name}`);
        this.#states[id] = Emitted.Yes;
        return;
      }
      case 'enum':
      case 'enum64':
        if (owner === 0) this.#put(this.#declarer.enumeration(id, type, 0));
        this.#states[id] = Emitted.Yes;
        return;
      case 'fwd':
        this.#put(this.#declarer.tag(id, type.of));
        this.#states[id] = Emitted.Yes;
        return;
      case 'typedef':
        this.#states[id] = Emitted.Open;
        this.#emit(type.type, id);
        if (!this.#declared.has(id)) this.#putTypedef(id, type.type);
        this.#states[id] = Emitted.Yes;
        return;
      case 'struct':
      case 'union':
        this.#emitComposite(id, type, owner);
        return;
      case 'func_proto':
        this.#emit(type.type, owner);
        for (const param of type.params) this.#emit(param.type, owner);
        return;
      case 'ptr':
      case 'array':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
        this.#emit(type.type, owner);
        return;
      default:
    }
  }

  #emitComposite(id: number, type: Extract<BtfType, { kind: 'struct' | 'union' }>, owner: number): void {
    this.#states[id] = Emitted.Open;
    if (owner === 0 || type.name === '') {
      for (const member of type.members) this.#emit(member.type, type.name === '' ? owner : id);
    } else if (!this.#declared.has(id) && id !== owner) {
      this.#put(this.#declarer.tag(id, type.kind));
      this.#declared.add(id);
    }
    if (owner === 0) this.#put(this.#declarer.composite(id, type, 0));
    this.#states[id] = owner === 0 ? Emitted.Yes : Emitted.No;
  }
}
