/**
 * CO-RE for one object: resolves each relocation against the target and patches its instruction.
 * Candidates must agree on the answer; where there is none, existence and size questions answer 0 and
 * everything else is poisoned. Models libbpf's `bpf_core_calc_relo_insn` and its callers.
 */
import { BpflabError, type ErrorPlace } from '../../errors.js';
import type { Insn } from '../../isa/insn.js';
import type { Btf } from '../btf/btf.js';
import type { CoreRelo } from '../btf/btf-ext.js';
import { BtfError } from '../btf/error.js';
import { Budget } from './budget.js';
import type { TypeRef } from './compat.js';
import { CoreError } from './error.js';
import { type CorePatch, patchInsn, poison } from './patch.js';
import { type CoreSpec, formatSpec, parseSpec } from './spec.js';
import { matchSpec } from './spec-match.js';
import type { CoreTarget } from './target.js';
import { absentValue, type CoreValue, evaluate, sizeMayChange } from './value.js';

/** What became of a relocation. Specs are in libbpf's notation. */
export interface CoreResult {
  readonly localSpec: string;
  /** Of the first candidate that matched; absent where none did. */
  readonly targetSpec?: string;
  /** Unsigned 64-bit; 0 where the instruction is poisoned. */
  readonly oldValue: bigint;
  readonly newValue: bigint;
  /** Why the instruction was replaced by an invalid call: nothing matched, or its size may not change. */
  readonly poisoned?: 'no-target' | 'size';
}

interface Resolution extends Omit<CoreResult, 'poisoned'> {
  /** Undefined: poison. */
  readonly patch?: CorePatch;
}

interface Match {
  readonly spec: CoreSpec;
  readonly patch: CorePatch;
}

export class CoreRelocator {
  readonly #local: Btf;
  readonly #target: CoreTarget;
  /** By local root type. Candidates that did not match one relocation are not asked again, as in libbpf. */
  readonly #candidates = new Map<number, TypeRef[]>();

  constructor(local: Btf, target: CoreTarget) {
    this.#local = local;
    this.#target = target;
  }

  /**
   * Patches `insns[insnIndex]` (slots) in place. `place` and `reloIndex` only name the relocation in
   * errors. Throws `CoreError`; a target that lacks the thing is no error but poisons the instruction.
   */
  apply(
    insns: readonly Insn[],
    insnIndex: number,
    relo: CoreRelo,
    place: ErrorPlace = {},
    reloIndex?: number,
  ): CoreResult {
    try {
      const { patch, ...result } = this.#resolve(relo);
      if (patch === undefined) {
        if (insns[insnIndex] === undefined) {
          throw new CoreError('CORE_UNEXPECTED_INSN', 'there is no such instruction');
        }
        poison(insns, insnIndex);
        return { ...result, poisoned: 'no-target' };
      }
      return patchInsn(insns, insnIndex, patch) ? result : { ...result, poisoned: 'size' };
    } catch (error) {
      throw this.#explain(error, relo, { ...place, insn: insnIndex }, reloIndex);
    }
  }

  #resolve(relo: CoreRelo): Resolution {
    const local = parseSpec(this.#local, relo);
    const localSpec = formatSpec(local);
    if (relo.kind === 'local_type_id') {
      const { value } = evaluate(local);
      return { localSpec, oldValue: value, newValue: value, patch: plainPatch(value, value, false) };
    }
    if (this.#local.nameOf(relo.typeId) === '') {
      throw new CoreError('CORE_ANONYMOUS', 'the root type is anonymous, so nothing can be searched for');
    }
    const first = this.#matchAll(local);
    if (first !== undefined) {
      const { oldValue, newValue } = first.patch;
      return { localSpec, targetSpec: formatSpec(first.spec), oldValue, newValue, patch: first.patch };
    }
    const here = evaluate(local);
    const absent = absentValue(relo.kind);
    if (absent === undefined) return { localSpec, oldValue: 0n, newValue: 0n };
    const patch = plainPatch(here.value, absent.value, here.validate);
    return { localSpec, oldValue: patch.oldValue, newValue: patch.newValue, patch };
  }

  /** The first matching candidate's answer, once all that match agree with it. */
  #matchAll(local: CoreSpec): Match | undefined {
    const candidates = this.#candidatesOf(local.rootId);
    const budget = new Budget();
    const matching: TypeRef[] = [];
    let first: Match | undefined;
    for (const candidate of candidates) {
      const spec = matchSpec(local, candidate, budget);
      if (spec === undefined) continue;
      const patch = patchFor(local, spec);
      first ??= { spec, patch };
      if (spec.bitOffset !== first.spec.bitOffset || patch.newValue !== first.patch.newValue) {
        const both = `${formatSpec(first.spec)} and ${formatSpec(spec)}`;
        throw new CoreError('CORE_AMBIGUOUS', `candidates disagree: ${both}`);
      }
      matching.push(candidate);
    }
    if (matching.length > 0) this.#candidates.set(local.rootId, matching);
    return first;
  }

  #candidatesOf(localId: number): TypeRef[] {
    const known = this.#candidates.get(localId);
    if (known !== undefined) return known;
    const found = this.#target.candidates({ btf: this.#local, id: localId });
    this.#candidates.set(localId, found);
    return found;
  }

  #explain(error: unknown, relo: CoreRelo, place: ErrorPlace, reloIndex: number | undefined): unknown {
    if (!(error instanceof BpflabError)) return error;
    const code = error instanceof CoreError ? error.code : 'CORE_BAD_BTF';
    const number = reloIndex === undefined ? 'CO-RE relocation' : `CO-RE relocation #${reloIndex}`;
    return new CoreError(code, `${number} ${this.#describe(relo)}: ${error.detail}`, place);
  }

  #describe(relo: CoreRelo): string {
    try {
      return formatSpec(parseSpec(this.#local, relo));
    } catch (error) {
      if (error instanceof CoreError || error instanceof BtfError) return `<${relo.kind}>`;
      throw error;
    }
  }
}

function plainPatch(oldValue: bigint, newValue: bigint, validate: boolean): CorePatch {
  return { oldValue, newValue, validate, oldSize: 0, newSize: 0, badSize: false };
}

function patchFor(local: CoreSpec, target: CoreSpec): CorePatch {
  const [here, there] = [evaluate(local), evaluate(target)];
  const [oldSize, newSize] = [here.accessSize ?? 0, there.accessSize ?? 0];
  const badSize = oldSize !== newSize && !mayChange(local.btf, here, target.btf, there);
  return { oldValue: here.value, newValue: there.value, validate: here.validate, oldSize, newSize, badSize };
}

function mayChange(local: Btf, here: CoreValue, target: Btf, there: CoreValue): boolean {
  return sizeMayChange(local, here.accessType ?? 0, target, there.accessType ?? 0);
}
