/**
 * How a verification ends early: control flow inside the verifier, turned into a `VerifyResult` at its
 * entry and never seen outside. No stack traces are taken; a rejected program is nothing exceptional.
 */
import { ERRNO } from './errno.js';

/** The program is refused; the log already says why. */
export class Rejection {
  readonly errno: number;

  constructor(errno: number) {
    this.errno = errno;
  }
}

/** The program needs a feature that this verifier cannot judge. */
export class Unsupported {
  readonly feature: string;

  constructor(feature: string) {
    this.feature = feature;
  }
}

/** Rejections that a caller may turn into a softer answer; a verifier's own fault (`EFAULT`) stays one. */
export function isSoft(error: unknown): error is Rejection {
  return error instanceof Rejection && error.errno !== ERRNO.EFAULT;
}
