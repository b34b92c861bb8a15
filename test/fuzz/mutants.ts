/**
 * Mutant `n` of seed `s` over a corpus: which input it starts from, what is done to it, and what it is then
 * given to. A pure function of its arguments.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_MUTANT_BYTES, mutateBytes } from './bytes.js';
import { type Fields, findBtfFields, findFields } from './fields.js';
import { disturbedProgram, randomClassic, randomProgram } from './programs.js';
import { Rng } from './rng.js';
import { mutateStructure } from './structure.js';

/** An object file, BTF alone, an eBPF instruction stream, a classic one. */
export const MUTANT_KINDS = ['object', 'btf', 'program', 'classic'] as const;
export type MutantKind = (typeof MUTANT_KINDS)[number];

export interface Mutant {
  readonly kind: MutantKind;
  readonly bytes: Uint8Array;
}

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly fields: Fields;
  /** Its `.BTF` section, and all code of a little-endian seed. */
  readonly btf: Uint8Array;
  readonly btfFields: Fields;
  readonly code: Uint8Array;
}

const CODE_BYTES = 1 << 16;

function seedOf(name: string, bytes: Uint8Array): Seed {
  const fields = findFields(bytes);
  const range = fields.sections.find((section) => section.name === '.BTF');
  const btf = range === undefined ? new Uint8Array(0) : bytes.slice(range.offset, range.offset + range.size);
  const insns = fields.groups.get('insn') ?? [];
  const first = insns[0]?.at ?? 0;
  const code = fields.little
    ? bytes.slice(first, first + Math.min(insns.length * 2, CODE_BYTES))
    : new Uint8Array(0);
  const usable = code.length - (code.length % 8);
  return { name, bytes, fields, btf, btfFields: findBtfFields(btf), code: code.subarray(0, usable) };
}

const isObject = (name: string): boolean => /\.(o|elf)$/.test(name);

/** Reads all objects of the given files and folders, in the order of their names. */
export function readCorpus(paths: readonly string[]): Seed[] {
  const files = paths.flatMap((path) =>
    statSync(path).isDirectory()
      ? readdirSync(path)
          .filter(isObject)
          .sort()
          .map((name) => join(path, name))
      : [path],
  );
  return files
    .map((file) => seedOf(file, new Uint8Array(readFileSync(file))))
    .filter((seed) => seed.bytes.length <= MAX_MUTANT_BYTES);
}

/** Mostly one lie, often two, rarely many: a mutant with too many is refused at its first. */
function rounds(rng: Rng): number {
  return rng.pick([1, 1, 1, 1, 2, 2, 3, 4, 8]);
}

function mutateObject(seed: Seed, other: Seed, rng: Rng): Uint8Array {
  let bytes: Uint8Array = seed.bytes.slice();
  for (let i = rounds(rng); i > 0; i--) {
    bytes = rng.oneIn(5)
      ? mutateBytes(bytes, other.bytes, rng)
      : mutateStructure(bytes, seed.fields, other.bytes, other.fields, rng);
  }
  return bytes;
}

function mutateBtf(seed: Seed, other: Seed, rng: Rng): Uint8Array {
  let bytes: Uint8Array = seed.btf.slice();
  for (let i = rounds(rng); i > 0; i--) {
    bytes = rng.oneIn(6)
      ? mutateBytes(bytes, other.btf, rng)
      : mutateStructure(bytes, seed.btfFields, other.btf, other.btfFields, rng);
  }
  return bytes;
}

const KIND_WEIGHTS: Record<MutantKind, number> = { object: 72, btf: 8, program: 14, classic: 6 };

/** The mutant with this number. `corpus` holds at least one seed. */
export function makeMutant(corpus: readonly Seed[], seed: number, number: number): Mutant {
  const rng = new Rng(seed, number);
  const from = rng.pick(corpus);
  const other = rng.pick(corpus);
  const kind = rng.weighted(KIND_WEIGHTS);
  switch (kind) {
    case 'object':
      return { kind, bytes: mutateObject(from, other, rng) };
    case 'btf':
      return { kind, bytes: mutateBtf(from, other, rng) };
    case 'program':
      return {
        kind,
        bytes: from.code.length === 0 || rng.oneIn(2) ? randomProgram(rng) : disturbedProgram(from.code, rng),
      };
    case 'classic':
      return { kind, bytes: randomClassic(rng) };
  }
}
