/**
 * What a mutant goes through: everything that the library does with a file it is handed. A `BpflabError`
 * with a code and one line is a fair refusal; whatever else is thrown is a finding, and so is an answer that
 * breaks a promise (an assembler that reads its own text back otherwise, a run that differs from the last).
 */
import { BpflabError } from '../../src/errors.js';
import {
  assemble,
  classicListing,
  convertClassic,
  decodeClassic,
  decodeInsns,
  disassemble,
  encodeInsns,
  type Insn,
} from '../../src/isa/index.js';
import { readPcap } from '../../src/kernel/net/pcap.js';
import { dumpC } from '../../src/object/btf/dump/c.js';
import { Btf } from '../../src/object/btf/index.js';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { type BpfObject, openObject, relocateObject } from '../../src/object/index.js';
import { programListing } from '../../src/report/disasm.js';
import { frameText } from '../../src/report/frame.js';
import { inspectText, summarise } from '../../src/report/inspect.js';
import { runInEngine } from './engine-run.js';
import { runInLab } from './lab-run.js';
import type { Mutant, Seed } from './mutants.js';
import { runScenario } from './scenario-run.js';

const target = loadTargetBtf({ from: 'embedded' });
/** Objects with CO-RE relocations, for mutants that are target BTF. */
const relocatable: BpfObject[] = [];
const MAX_RELOCATABLE = 4;
/** Programs of one mutant that are run. */
const MAX_RUNS = 8;

function codeOf(error: unknown): string {
  if (!(error instanceof BpflabError)) throw error;
  if (error.code === 'OBJECT_INTERNAL') throw new Error(`internal failure: ${error.message}`);
  if (error.code === '' || error.detail === '' || /[\n\r]/.test(error.message)) {
    throw new Error(`refusal without a code or not of one line: ${JSON.stringify(error.message)}`);
  }
  return error.code;
}

/** Code of the refusal; undefined when `step` went through. Rethrows anything that is no fair refusal. */
function refusal(step: () => void): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

function sameCode(a: readonly Insn[], b: readonly Insn[]): boolean {
  return Buffer.compare(encodeInsns(a), encodeInsns(b)) === 0;
}

/** Both dialects; what the assembler reads of them must be the same instructions. */
function disassembleAll(insns: readonly Insn[]): void {
  for (const dialect of ['llvm', 'kernel'] as const) {
    const text = disassemble(insns, { dialect })
      .map((line) => line.text)
      .join('\n');
    refusal(() => {
      if (!sameCode(assemble(text), insns))
        throw new Error(`assembled otherwise (${dialect}):\n${text.slice(0, 400)}`);
    });
  }
}

function showTypes(btf: Btf): string | undefined {
  const refused = refusal(() => btf.validate());
  return (
    refusal(() => {
      for (const text of dumpC(btf)) if (text.length > 1 << 24) throw new Error('a definition of 16 MiB');
    }) ?? refused
  );
}

function judgeObject(bytes: Uint8Array, inKernel: boolean): string | undefined {
  let problem: string | undefined;
  const refused = refusal(() => {
    const object = openObject(bytes, { file: 'mutant.o' });
    for (const error of object.problems) problem ??= codeOf(error);
    if (object.btf !== undefined) showTypes(object.btf);
    inspectText(summarise(object), (text) => text);
    const loadable = relocateObject(object, { targetBtf: target, keepGoing: true });
    for (const { error } of loadable.failed ?? []) problem ??= codeOf(error);
    for (const [i, program] of loadable.programs.entries()) {
      if (i < MAX_RUNS) disassembleAll(program.insns);
      programListing(loadable, program, { source: true });
      if (i < MAX_RUNS && object.endian === 'little') refusal(() => runInEngine(program.name, program.insns));
    }
    if (inKernel && object.endian === 'little') refusal(() => runInLab(loadable, codeOf));
  });
  return refused ?? problem;
}

function judgeBtf(bytes: Uint8Array): string | undefined {
  let refused: string | undefined;
  const unreadable = refusal(() => {
    const btf = Btf.parse(bytes, { file: 'mutant.btf' });
    refused = showTypes(btf);
    for (const object of relocatable) {
      const { failed = [] } = relocateObject(object, { targetBtf: btf, keepGoing: true });
      for (const { error } of failed) codeOf(error);
    }
  });
  return unreadable ?? refused;
}

function judgeProgram(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    const insns = decodeInsns(bytes);
    disassembleAll(insns);
    runInEngine('mutant', insns);
  });
}

function judgeClassic(bytes: Uint8Array): string | undefined {
  const codes = (['socket', 'seccomp'] as const).map((context) =>
    refusal(() => {
      const filter = decodeClassic(bytes);
      classicListing(filter);
      const { insns } = convertClassic(filter, { context, callId: () => 1 });
      disassembleAll(insns);
      runInEngine('filter', insns);
    }),
  );
  return codes[0] === undefined || codes[1] === undefined ? undefined : codes[0];
}

function judgeListing(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    const insns = assemble(Buffer.from(bytes).toString('latin1'));
    disassembleAll(insns);
    encodeInsns(insns);
  });
}

function judgeCapture(bytes: Uint8Array): string | undefined {
  return refusal(() => {
    for (const { data } of readPcap(bytes)) frameText(data);
  });
}

/**
 * Runs one mutant, `inKernel`: in the simulated kernel, too, which takes longer than all the rest. Returns the code of
 * the error that refused it, or undefined; throws findings.
 */
export function judge({ kind, bytes }: Mutant, inKernel = true): string | undefined {
  switch (kind) {
    case 'object':
      return judgeObject(bytes, inKernel);
    case 'btf':
      return judgeBtf(bytes);
    case 'program':
      return judgeProgram(bytes);
    case 'classic':
      return judgeClassic(bytes);
    case 'asm':
      return judgeListing(bytes);
    case 'pcap':
      return judgeCapture(bytes);
    case 'scenario':
      return refusal(() => runScenario(bytes));
  }
}

/** Runs seeds as they are, so that code and memory that all mutants use are there before they are measured. */
export function warmUp(corpus: readonly Seed[]): void {
  for (const { bytes, btf, code } of corpus.slice(0, 40)) {
    refusal(() => {
      const object = openObject(bytes, { file: 'seed.o' });
      if (relocatable.length < MAX_RELOCATABLE && (object.btfExt?.coreRelos.size ?? 0) > 0)
        relocatable.push(object);
    });
    judge({ kind: 'object', bytes });
    judge({ kind: 'btf', bytes: btf });
    judge({ kind: 'program', bytes: code });
  }
}
