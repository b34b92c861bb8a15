/**
 * The stacks that a program sees below itself: return addresses in the kernel and in user space, innermost first. Given
 * by whoever causes an event; a simulated kernel function walks no frames. Models kernel/events/callchain.c.
 */

export interface CallchainInput {
  readonly kernel?: readonly bigint[];
  readonly user?: readonly bigint[];
}

const NONE = new BigUint64Array(0);

export class Callchain {
  kernel = NONE;
  user = NONE;

  /** Undefined: nothing is below the program. */
  set(input: CallchainInput | undefined): void {
    this.kernel = input?.kernel === undefined ? NONE : BigUint64Array.from(input.kernel);
    this.user = input?.user === undefined ? NONE : BigUint64Array.from(input.user);
  }
}
