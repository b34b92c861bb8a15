/** One object through our loader, as the comparison wants it: everything that works, and why the rest does not. */
import { readFileSync } from 'node:fs';
import { BpflabError } from '../../../src/errors.js';
import { openObject } from '../../../src/object/open.js';
import { type RelocateOptions, relocateObject } from '../../../src/object/relocate.js';
import type { BpfObject, LoadableObject } from '../../../src/object/types.js';

export interface OurObject {
  readonly object?: BpfObject;
  readonly loadable?: LoadableObject;
  /** Why the file, or all of it, is refused. */
  readonly error?: BpflabError;
}

/** Reads and relocates a file. Throws only what is no `BpflabError`. */
export function loadOurs(file: string, target: RelocateOptions): OurObject {
  try {
    const object = openObject(new Uint8Array(readFileSync(file)), { file });
    const loadable = relocateObject(object, { ...target, keepGoing: true });
    const [problem] = object.problems;
    return { object, loadable, ...(problem === undefined ? {} : { error: problem }) };
  } catch (error) {
    if (error instanceof BpflabError) return { error };
    throw error;
  }
}
