/** `bpflab verify --raw`: recorded load requests, JSON objects a line; one answer a line, in order. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BpflabError } from '../errors.js';
import { Btf } from '../object/btf/btf.js';
import { loadTargetBtf, readBtfFile } from '../object/btf/target.js';
import { requestFromJson, type VerifyPolicy, verify } from '../verifier/index.js';
import { readInput } from './files.js';
import { stdout } from './output.js';
import { answerOf, type VerifyOptions, verdictText } from './verify-answer.js';

/** What stands for a hash in the place of a blob. */
const HASH = /^[0-9a-f]{16}$/;

export function verifyRaw(file: string, options: VerifyOptions, base: VerifyPolicy): void {
  const policy = { ...base, ...(options.btf !== undefined && { vmlinux: kernelTypes(options.btf) }) };
  const blobs = new Map<string, Btf | undefined>();
  const btfOf = (text: string): Btf | undefined => {
    if (!blobs.has(text)) blobs.set(text, openBlob(text, options.btfDir));
    return blobs.get(text);
  };
  const lines = Buffer.from(readInput(file)).toString().split('\n');
  lines.forEach((line, index) => {
    if (line.trim() !== '') answer(line, index + 1, options, policy, btfOf);
  });
}

function kernelTypes(choice: string): Btf {
  return choice === 'kernel' || choice === 'embedded'
    ? loadTargetBtf({ from: choice })
    : loadTargetBtf({ from: 'file', path: choice });
}

function openBlob(text: string, dir: string | undefined): Btf | undefined {
  if (!HASH.test(text)) return Btf.parse(new Uint8Array(Buffer.from(text, 'hex')));
  const path = dir === undefined ? '' : join(dir, `${text}.btf`);
  return existsSync(path) ? readBtfFile(path) : undefined;
}

function answer(
  line: string,
  number: number,
  options: VerifyOptions,
  policy: VerifyPolicy,
  btfOf: (text: string) => Btf | undefined,
): void {
  let id: unknown;
  try {
    const json: unknown = JSON.parse(line);
    id = typeof json === 'object' && json !== null && 'id' in json ? json.id : undefined;
    const request = requestFromJson(json, btfOf, policy);
    const start = performance.now();
    const result = verify(
      options.logLevel === undefined ? request : { ...request, logLevel: options.logLevel },
    );
    const timeMs = performance.now() - start;
    if (result.verdict !== 'accept') process.exitCode = 1;
    if (options.json) stdout.line(JSON.stringify({ id, ...answerOf(result, timeMs) }));
    else stdout.line(`${label(id, number)}: ${verdictText(result)}`);
  } catch (error) {
    if (!(error instanceof BpflabError) && !(error instanceof SyntaxError)) throw error;
    process.exitCode = 1;
    const message = error.message.split('\n')[0] ?? '';
    if (options.json) stdout.line(JSON.stringify({ id, verdict: 'error', message }));
    else stdout.line(`${label(id, number)}: no request: ${message}`);
  }
}

const label = (id: unknown, number: number): string =>
  typeof id === 'string' || typeof id === 'number' ? String(id) : `line ${number}`;
