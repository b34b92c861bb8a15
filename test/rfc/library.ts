/** The programs and scenarios of the repository, for rows of the series. */
import { readFileSync } from 'node:fs';
import { openObject, relocateObject } from '../../src/object/index.js';
import type { LoadableObject } from '../../src/object/types.js';
import type { RfcLibrary } from '../../src/rfc/index.js';

const objects = new Map<string, LoadableObject>();

export const LIBRARY: RfcLibrary = {
  object(name) {
    const file = `programs/${name}.bpf.o`;
    const object = objects.get(name) ?? relocateObject(openObject(readFileSync(file), { file }));
    objects.set(name, object);
    return object;
  },
  scenario: (name) => readFileSync(`programs/scenarios/${name}.json`, 'utf8'),
};
