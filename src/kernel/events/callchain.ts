/**
 * The stacks that a program sees below itself: return addresses in the kernel and in user space, innermost first. Given
 * by whoever causes an event; a simulated kernel function walks no frames. Models kernel/events/callchain.c.
 */
export class Callchain {
  kernel = new BigUint64Array(0);
  user = new BigUint64Array(0);

  set(kernel: readonly bigint[], user: readonly bigint[]): void {
    this.kernel = BigUint64Array.from(kernel);
    this.user = BigUint64Array.from(user);
  }
}
