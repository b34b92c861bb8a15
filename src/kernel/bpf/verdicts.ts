/**
 * What the verifier said of programs, for whoever loads the same object into many kernels that are alike (the same profile,
 * types and mode): each schedule of an exploration begins in a kernel of its own.
 */
import type { LoadableProgram } from '../../object/types.js';
import type { VerifyResult } from '../../verifier/types.js';

/** What is made of a program when it is loaded. */
export interface Judged extends VerifyResult {
  /** What the kernel's log says of a program that it loads all the same. */
  readonly warnings: readonly string[];
  /** Why the simulated kernel's verifier would not let it pass, where it runs even so. */
  readonly refusal?: string;
}

export class Verdicts {
  private readonly known = new WeakMap<LoadableProgram, Judged>();

  /** What is known of a program, or else what `judge` says. */
  of(program: LoadableProgram, judge: () => Judged): Judged {
    const known = this.known.get(program) ?? judge();
    this.known.set(program, known);
    return known;
  }
}
