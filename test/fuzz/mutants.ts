/**
 * Mutant `n` of seed `s` over a corpus: which input it starts from, what is done to it, and what it is then
 * given to. A pure function of its arguments.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeInsns, disassemble } from '../../src/isa/index.js';
import { MAX_MUTANT_BYTES, mutateBytes } from './bytes.js';
import { type Fields, findBtfFields, findFields } from './fields.js';
import { disturbedProgram, randomClassic, randomProgram, validProgram } from './programs.js';
import { Rng } from './rng.js';
import { mutateScenario } from './scenarios.js';
import { mutateStructure } from './structure.js';

/** An object file, BTF alone, an eBPF instruction stream, a classic one, assembler text, a packet capture, a scenario. */
export const MUTANT_KINDS = ['object', 'btf', 'program', 'classic', 'asm', 'pcap', 'scenario'] as const;
export type MutantKind = (typeof MUTANT_KINDS)[number];

export interface Mutant {
  readonly kind: MutantKind;
  readonly bytes: Uint8Array;
}

/** What is no object: the capture of the project's own programs, and listings to assemble. */
const CAPTURE = fileURLToPath(new URL('../../programs/data/traffic.pcap', import.meta.url));

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

function makeProgram(code: Uint8Array, rng: Rng): Uint8Array {
  if (rng.oneIn(2)) return validProgram(rng);
  return code.length === 0 || rng.oneIn(2) ? randomProgram(rng) : disturbedProgram(code, rng);
}

let capture: Uint8Array | undefined;

/** A piece of the capture, its bytes mutated. */
function mutateCapture(rng: Rng): Uint8Array {
  capture ??= new Uint8Array(readFileSync(CAPTURE));
  let bytes: Uint8Array = capture.slice(0, 24 + rng.below(600));
  for (let i = rounds(rng); i > 0; i--) bytes = mutateBytes(bytes, capture, rng);
  return bytes;
}

/** A listing in either dialect, its characters mutated. */
function mutateListing(code: Uint8Array, rng: Rng): Uint8Array {
  const stream = code.length === 0 || rng.oneIn(2) ? randomProgram(rng) : disturbedProgram(code, rng);
  const insns = decodeInsns(stream.subarray(0, stream.length - (stream.length % 8)));
  const dialect = rng.oneIn(2) ? 'llvm' : 'kernel';
  const lines = disassemble(insns, { dialect }).map((line) => line.text);
  if (rng.oneIn(3))
    lines.splice(
      rng.below(lines.length),
      0,
      rng.pick(['L:', 'goto L', 'r0 = 0x1 ll', 'if r1 s> -1 goto +0 <x>', '0:']),
    );
  const text = new TextEncoder().encode(lines.join('\n'));
  let bytes: Uint8Array = text.slice();
  for (let i = rounds(rng); i > 0; i--) bytes = mutateBytes(bytes, text, rng);
  return bytes;
}

const KIND_WEIGHTS: Record<MutantKind, number> = {
  object: 70,
  btf: 8,
  program: 12,
  classic: 5,
  asm: 3,
  pcap: 2,
  scenario: 5,
};

/** The mutant with this number, of one of the kinds. `corpus` holds at least one seed. */
export function makeMutant(
  corpus: readonly Seed[],
  seed: number,
  number: number,
  kinds: readonly MutantKind[] = MUTANT_KINDS,
): Mutant {
  const rng = new Rng(seed, number);
  const from = rng.pick(corpus);
  const other = rng.pick(corpus);
  const weights = Object.fromEntries(kinds.map((name) => [name, KIND_WEIGHTS[name]]));
  const kind = rng.weighted(weights as Record<MutantKind, number>);
  switch (kind) {
    case 'object':
      return { kind, bytes: mutateObject(from, other, rng) };
    case 'btf':
      return { kind, bytes: mutateBtf(from, other, rng) };
    case 'program':
      return { kind, bytes: makeProgram(from.code, rng) };
    case 'classic':
      return { kind, bytes: randomClassic(rng) };
    case 'asm':
      return { kind, bytes: mutateListing(from.code, rng) };
    case 'pcap':
      return { kind, bytes: mutateCapture(rng) };
    case 'scenario':
      return { kind, bytes: mutateScenario(rng) };
  }
}
