/**
 * A bound on the work one relocation may cause, so that hostile or cyclic types end in an error rather
 * than in a search without end. libbpf bounds depth only; real kernels need a few thousand steps.
 */
import { CoreError } from './error.js';

/** Type pairs and members looked at for one relocation. */
const MAX_STEPS = 1_000_000;

/** Nesting of function prototypes and composites, and length of pointer and array chains, as in libbpf. */
export const MAX_DEPTH = 32;

export class Budget {
  #left = MAX_STEPS;

  spend(): void {
    if (--this.#left < 0) throw tooComplex();
  }
}

export function tooComplex(): CoreError {
  return new CoreError('CORE_TOO_COMPLEX', 'types nest too deep or are too many to compare');
}
