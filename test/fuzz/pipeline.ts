/**
 * What a mutant goes through: everything that the library does with a file it is handed. A `BpflabError`
 * with a code and one line is a fair refusal; whatever else is thrown is a finding.
 */
import { BpflabError } from '../../src/errors.js';
import { decodeInsns } from '../../src/isa/decode.js';
import { disassemble } from '../../src/isa/disasm.js';
import type { Insn } from '../../src/isa/insn.js';
import { Btf } from '../../src/object/btf/btf.js';
import { openObject } from '../../src/object/open.js';
import { runInEngine } from './engine-run.js';
import type { Mutant, Seed } from './mutants.js';

/** Code of the refusal; undefined when `step` went through. Rethrows anything that is no fair refusal. */
function refusal(step: () => void): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    if (error.code === 'OBJECT_INTERNAL') throw new Error(`internal failure: ${error.message}`);
    if (error.code === '' || error.detail === '' || /[\n\r]/.test(error.message)) {
      throw new Error(`refusal without a code or not of one line: ${JSON.stringify(error.message)}`);
    }
    return error.code;
  }
}

function disassembleAll(insns: readonly Insn[]): void {
  for (const dialect of ['llvm', 'kernel'] as const) disassemble(insns, { dialect });
}

function judgeObject(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    const object = openObject(bytes, { file: 'mutant.o' });
    for (const problem of object.problems)
      refusal(() => {
        throw problem;
      });
    const { btf } = object;
    if (btf !== undefined) refusal(() => btf.validate());
  });
}

function judgeBtf(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    const btf = Btf.parse(bytes, { file: 'mutant.btf' });
    btf.validate();
  });
}

function judgeProgram(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    const insns = decodeInsns(bytes);
    disassembleAll(insns);
    runInEngine('mutant', insns);
  });
}

/** Runs one mutant. Returns the code of the error that refused it, or undefined; throws findings. */
export function judge({ kind, bytes }: Mutant): string | undefined {
  switch (kind) {
    case 'object':
      return judgeObject(bytes);
    case 'btf':
      return judgeBtf(bytes);
    case 'program':
      return judgeProgram(bytes);
    case 'classic':
      return undefined;
  }
}

/** Runs every seed as it is, so that code and memory that all mutants use are there before they are measured. */
export function warmUp(corpus: readonly Seed[]): void {
  for (const { bytes, btf, code } of corpus.slice(0, 40)) {
    judge({ kind: 'object', bytes });
    judge({ kind: 'btf', bytes: btf });
    judge({ kind: 'program', bytes: code });
  }
}
