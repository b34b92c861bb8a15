/**
 * Every BPF object that Debian ships, and those of `programs/`, through our loader: none refused but those that
 * are meant to be, and what we would hand to the kernel compared byte by byte with what libbpf hands over. Needs
 * neither root nor bpf(2). Parts that this machine lacks are named and skipped.
 *
 *   npm run oracle:objects
 *   tsx test/oracle/objects.ts --dir DIR --expected FILE.jsonl    a folder against capture's recorded output
 *   tsx test/oracle/objects.ts FILE.o…                            these files
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { compareObject, compareTwins } from './lib/compare.js';
import { debianObjects } from './lib/debian.js';
import { type ExpectedObject, parseExpected } from './lib/expected.js';
import { compareLegacy, legacyRequests } from './lib/legacy.js';
import { loadOurs, type OurObject } from './lib/ours.js';
import { NO_REFERENCE, ORDER_DEPENDENT, REFUSED, type RefusedRow } from './lib/refused.js';
import { hostTarget } from './lib/target.js';
import { buildCapture, run } from './lib/tools.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dir: { type: 'string' }, expected: { type: 'string' } },
});

const counts = { passed: 0, failed: 0, compared: 0, legacy: 0, twins: 0, programs: 0 };
const skips: string[] = [];
/** Objects without a reference, by the reason. */
const uncompared = new Map<string, number>();
const host = hostTarget();
const target = host ?? { targetBtf: loadTargetBtf({ from: 'embedded' }) };

function pass(file: string, lines: readonly string[]): void {
  if (lines.length === 0) counts.passed++;
  else counts.failed++;
  for (const line of lines) console.log(`${file}: ${line}`);
}

/** Rows of the table that speak about this file. */
const rowsOf = (file: string): RefusedRow[] => REFUSED.filter((row) => row.file.test(file));

/** What is refused without a row, and rows that refuse nothing. */
function checkReading(file: string, { error, loadable }: OurObject): string[] {
  const rows = rowsOf(file);
  const lines: string[] = [];
  const refused = [
    ...(error === undefined ? [] : [{ program: undefined, error }]),
    ...(loadable?.failed ?? []).map((failed) => ({ program: failed.name, error: failed.error })),
  ];
  for (const { program, error: cause } of refused) {
    const row = rows.find((candidate) => candidate.program === program && candidate.code === cause.code);
    if (row === undefined) lines.push(`refused: ${cause.code} ${cause.message}`);
  }
  for (const { program, code } of rows) {
    const holds = refused.some((candidate) => candidate.program === program && candidate.error.code === code);
    if (!holds) lines.push(`${program ?? 'the object'} is expected to be refused with ${code}`);
  }
  return lines;
}

function compareWithLegacy(file: string, ours: OurObject): string[] {
  if (ours.loadable === undefined || ours.loadable.endian === 'big') return [];
  const requests = legacyRequests(file);
  if (requests === undefined) {
    skips.push(`${file}: no legacy_elf.py to compare with`);
    return [];
  }
  const { lines, compared } = compareLegacy(ours.loadable, requests);
  if (compared > 0) counts.legacy++;
  return lines;
}

function compareWithTwin(file: string, ours: OurObject): string[] {
  const twin = file.replace(/-eb\.elf$/, '-el.elf');
  if (twin === file || !existsSync(twin) || ours.loadable === undefined) return [];
  if (ORDER_DEPENDENT.some((row) => row.file.test(file))) return [];
  const { loadable } = loadOurs(twin, target);
  if (loadable === undefined) return ['the little-endian twin is refused'];
  counts.twins++;
  return compareTwins(ours.loadable, loadable);
}

/** Differences between ours and libbpf's; objects that libbpf does not read need a row that says why. */
function compare(ours: OurObject, theirs: ExpectedObject): string[] {
  const { loadable, error } = ours;
  if (theirs.openError !== undefined) {
    if (error !== undefined || (loadable?.failed ?? []).length > 0) return [];
    const row = NO_REFERENCE.find(({ message }) => message.test(theirs.openError!));
    if (row === undefined) return [`we read it, libbpf refuses it: ${theirs.openError}`];
    uncompared.set(row.reason, (uncompared.get(row.reason) ?? 0) + 1);
    return [];
  }
  if (loadable === undefined)
    return error === undefined ? [] : [`libbpf reads it, we refuse it: ${error.message}`];
  counts.compared++;
  counts.programs += theirs.programs.length;
  return [
    ...(error === undefined ? [] : [`we refuse it: ${error.message}`]),
    ...compareObject(loadable, theirs),
  ];
}

function expectedOf(files: readonly string[]): Map<string, ExpectedObject> | undefined {
  if (values.expected !== undefined) return parseExpected(readFileSync(values.expected, 'utf8'));
  const capture = buildCapture();
  if ('missing' in capture) skips.push(`comparison with libbpf: ${capture.missing}`);
  else if (host === undefined)
    skips.push('comparison with libbpf: this kernel shows no types to relocate for');
  else return parseExpected(run(capture.path, files));
  return undefined;
}

function installed(): string[] {
  const files: string[] = [];
  for (const { name, files: found } of debianObjects()) {
    if (found === undefined) skips.push(`package ${name} is not installed: its objects were not read`);
    else files.push(...found);
  }
  return files;
}

function selectFiles(): string[] {
  if (positionals.length > 0) return positionals;
  const { dir, expected } = values;
  const inDir = (folder: string): string[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.o'))
      .sort()
      .map((name) => join(folder, name));
  if (dir !== undefined) return inDir(dir);
  if (expected !== undefined) return [...parseExpected(readFileSync(expected, 'utf8')).keys()];
  return [...installed(), ...inDir('programs')];
}

function main(): void {
  const files = selectFiles();
  const expected = expectedOf(files);
  const collection = values.expected !== undefined;
  for (const file of files) {
    const ours = loadOurs(file, target);
    const theirs = expected?.get(file) ?? expected?.get(file.slice(file.lastIndexOf('/') + 1));
    const lines = collection ? [] : checkReading(file, ours);
    if (theirs !== undefined) lines.push(...compare(ours, theirs));
    const legacy = ours.loadable?.maps.some(({ origin }) => origin === 'legacy') === true;
    if (legacy && !collection) lines.push(...compareWithLegacy(file, ours));
    if (!collection) lines.push(...compareWithTwin(file, ours));
    pass(file, lines);
  }
  for (const [reason, count] of uncompared)
    skips.push(`${count} objects not compared with libbpf: ${reason}`);
  for (const skip of skips) console.log(`skipped: ${skip}`);
  console.log(
    `${files.length} objects read; ${counts.compared} with ${counts.programs} programs compared with libbpf, ` +
      `${counts.legacy} with legacy requests, ${counts.twins} with their little-endian twins`,
  );
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  if (counts.failed > 0) process.exitCode = 1;
}

main();
