/**
 * The house rules that a machine can check: floors (a file imports only from its own floor or a lower one),
 * no import circles, file sizes, and nothing left undone in the sources.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const ROOT = resolve('.');
const SRC = join(ROOT, 'src');
const FLOORS: readonly (readonly [prefix: string, floor: number])[] = [
  ['errors.ts', 0],
  ['isa/', 1],
  ['abi/', 1],
  ['object/', 2],
  ['vm/', 2],
  ['verifier/', 3],
  ['kernel/', 4],
  ['explore/', 5],
  ['rfc/', 5],
  ['report/', 5],
  ['index.ts', 5],
  ['cli/', 6],
];
const MAX_LINES = 800;
/** About 70 is the aim; functions that are a table of helpers take more. */
const MAX_FUNCTION_LINES = 120;

/** Hand-written sources: the engine's core is AssemblyScript, and its compiled form is generated. */
function sources(folder = SRC): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(SRC, join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('vm/core/') && file !== 'vm/core.wasm.ts')
    .sort();
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found = text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'|import\('(\.[^']+)'\)/gms);
  return [...found].map((match) => {
    const target = (match[1] ?? match[2])!.replace(/\.js$/, '.ts');
    return relative(SRC, resolve(SRC, dirname(file), target));
  });
}

function floorOf(file: string): number {
  const entry = FLOORS.find(([prefix]) => file.startsWith(prefix));
  if (!entry) throw new Error(`${file} lies on no floor`);
  return entry[1];
}

const FILES = sources();
const GRAPH = new Map(FILES.map((file) => [file, importsOf(file)]));

/** First import circle found, as the list of its files; empty where there is none. */
function findCircle(): string[] {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    path.push(file);
    for (const next of GRAPH.get(file) ?? []) {
      const circle = visit(next);
      if (circle.length > 0) return circle;
    }
    path.pop();
    done.add(file);
    return [];
  };
  for (const file of FILES) {
    const circle = visit(file);
    if (circle.length > 0) return circle;
  }
  return [];
}

describe('house rules', () => {
  test('every import goes to the same floor or a lower one', () => {
    const upward = FILES.flatMap((file) =>
      GRAPH.get(file)!
        .filter((target) => floorOf(target) > floorOf(file))
        .map((target) => `${file} -> ${target}`),
    );
    expect(upward).toEqual([]);
  });

  test('there are no import circles', () => {
    expect(findCircle()).toEqual([]);
  });

  test(`no file is longer than ${MAX_LINES} lines`, () => {
    const long = FILES.filter((file) => readFileSync(join(SRC, file), 'utf8').split('\n').length > MAX_LINES);
    expect(long).toEqual([]);
  });

  test(`no function is longer than ${MAX_FUNCTION_LINES} lines`, () => {
    const long = FILES.flatMap((file) => {
      const lines = readFileSync(join(SRC, file), 'utf8').split('\n');
      return lines.flatMap((line, at) => {
        const name = /^(?:export )?(?:async )?function\*? (\w+)/.exec(line)?.[1];
        const length = name === undefined ? 0 : lines.indexOf('}', at) - at + 1;
        return length > MAX_FUNCTION_LINES ? [`${file}: ${name}, ${length} lines`] : [];
      });
    });
    expect(long).toEqual([]);
  });

  test('every file begins with a head comment', () => {
    const bare = FILES.filter(
      (file) => !/^(#!.*\n)?\/\*\*|^\/\//.test(readFileSync(join(SRC, file), 'utf8')),
    );
    expect(bare).toEqual([]);
  });

  test('nothing is left undone', () => {
    const undone = FILES.filter((file) => /\b(TODO|FIXME|XXX)\b/.test(readFileSync(join(SRC, file), 'utf8')));
    expect(undone).toEqual([]);
  });
});
