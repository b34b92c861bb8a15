/**
 * What a step used of the state that it shares with others, and whether two steps can change places. Every step uses
 * its CPU; what else it uses it says by `sched.touch`.
 */

/** By object: whether it was written. */
export type Footprint = Map<object | string, boolean>;

export function addTouch(footprint: Footprint, object: object | string, write: boolean): void {
  if (write || !footprint.has(object)) footprint.set(object, write);
}

/** Neither writes what the other uses: their order does not matter. */
export function independent(a: Footprint, b: Footprint): boolean {
  const [small, large] = a.size <= b.size ? [a, b] : [b, a];
  for (const [object, write] of small) {
    const other = large.get(object);
    if (other !== undefined && (write || other)) return false;
  }
  return true;
}
