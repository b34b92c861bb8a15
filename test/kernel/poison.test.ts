/** Calls that the loader put where the target lacks something: no obstacle to loading, a fault when reached. */
import { expect, test } from '@jest/globals';
import { ProgType } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import { loadLab } from '../../src/kernel/lab.js';
import { POISON_HELPER } from '../../src/object/core/index.js';
import { type LoadableObject, type LoadableProgram, POISON_KFUNC } from '../../src/object/index.js';

/** Calls `id` when the first context byte is not zero. */
function guarded(id: number): LoadableObject {
  const text = `r1 = *(u8 *)(r1 + 0)\nr0 = 7\nif r1 == 0 goto +1\ncall ${id}\nexit`;
  const program: LoadableProgram = {
    name: 'guarded',
    section: 'raw_tp',
    type: ProgType.raw_tracepoint,
    expectedAttachType: 0,
    progFlags: 0,
    autoload: true,
    insns: assemble(text),
    subProgs: [],
    funcInfo: [],
    lineInfo: [],
  };
  return { file: 'x.o', endian: 'little', license: 'GPL', kernVersion: 0, maps: [], programs: [program] };
}

test.each([
  [POISON_HELPER, /CO-RE relocation/],
  [POISON_KFUNC + 3, /kernel function/],
])('helper %d loads, and faults only where it is called', (id, message) => {
  const lab = loadLab(guarded(id));
  expect(lab.run('guarded', { ctxIn: new Uint8Array(64) }).retval).toBe(7);
  expect(() => lab.run('guarded', { ctxIn: new Uint8Array(64).fill(1) })).toThrow(message);
});

test('a number that no Linux has is refused when the program is loaded', () => {
  const lab = loadLab(guarded(5000));
  expect(() => lab.run('guarded', { ctxIn: new Uint8Array(64) })).toThrow(/5000/);
});
