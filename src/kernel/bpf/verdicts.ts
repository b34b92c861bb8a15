/**
 * What the verifier said of programs, for whoever loads the same object into many kernels that are alike (the same profile,
 * types and mode): each schedule of an exploration begins in a kernel of its own.
 */
import type { LoadableProgram } from '../../object/types.js';
import type { ProfileResult } from '../../verifier/profile-verify.js';

export class Verdicts {
  private readonly known = new WeakMap<LoadableProgram, ProfileResult>();

  /** What is known of a program, or else what `judge` says. */
  of(program: LoadableProgram, judge: () => ProfileResult): ProfileResult {
    const known = this.known.get(program) ?? judge();
    this.known.set(program, known);
    return known;
  }
}
