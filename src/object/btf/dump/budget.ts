/**
 * Bounds on what dumping a BTF may cost: types that nest without end, or whose written-out form grows
 * exponentially, end in a typed error. A whole kernel needs a tenth of it.
 */
import { BtfError } from '../error.js';

const MAX_STEPS = 5_000_000;
/** Nesting of types while they are ordered or written. */
const MAX_NESTING = 512;

export class DumpBudget {
  #steps = 0;
  #depth = 0;

  /** Runs `body` one level deeper. */
  nest<T>(id: number, body: () => T): T {
    if (++this.#steps > MAX_STEPS)
      throw new BtfError('BTF_TOO_LARGE', `type [${id}]: the output would be too large`);
    if (++this.#depth > MAX_NESTING) {
      throw new BtfError('BTF_LOOP', `type [${id}] nests in itself, or deeper than ${MAX_NESTING}`);
    }
    const result = body();
    this.#depth--;
    return result;
  }
}
