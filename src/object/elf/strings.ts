/** ELF string tables: NUL-terminated names at byte offsets. */
import { ObjectError } from '../errors.js';

const decoder = new TextDecoder('utf-8');

/** Longest name taken, in bytes (a section name may hold a path); keeps a lying table from costing much. */
const MAX_NAME = 4096;

/**
 * Looks names up in one string table. Throws `OBJECT_BAD_STRING_TABLE` for an offset past its end and for
 * a name that is not terminated within it.
 */
export class StringTable {
  readonly #data: Uint8Array;
  readonly #section: string;
  readonly #cache = new Map<number, string>();

  constructor(data: Uint8Array, section: string) {
    this.#data = data;
    this.#section = section;
  }

  at(offset: number, what: string): string {
    const cached = this.#cache.get(offset);
    if (cached !== undefined) return cached;
    if (offset >= this.#data.length) {
      // offset 0 of an empty table is "no name"
      if (offset === 0) return '';
      throw new ObjectError(
        'OBJECT_BAD_STRING_TABLE',
        `name of ${what} lies at ${offset}, past the end of the string table (${this.#data.length} bytes)`,
        { section: this.#section, offset },
      );
    }
    const end = this.#data.subarray(offset, offset + MAX_NAME + 1).indexOf(0) + offset;
    if (end < offset) {
      throw new ObjectError(
        'OBJECT_BAD_STRING_TABLE',
        `name of ${what} is not terminated within ${MAX_NAME} bytes`,
        {
          section: this.#section,
          offset,
        },
      );
    }
    const name = decoder.decode(this.#data.subarray(offset, end));
    this.#cache.set(offset, name);
    return name;
  }
}
