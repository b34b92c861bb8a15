/**
 * `bpflab verify --raw`: recorded load requests, one JSON object a line, each answered by one JSON object a line, in order.
 * A line that is no request is answered `bad_request`, and the next is read. Lines are streamed; BTF blobs are kept.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BpflabError } from '../errors.js';
import type { Btf } from '../object/btf/btf.js';
import { btfFromBytes } from '../object/btf/target.js';
import {
  requestFromJson,
  type VerifierProfile,
  type VerifyCapabilities,
  type VerifyRequest,
  verifyFor,
} from '../verifier/index.js';
import { CliIoError } from './errors.js';
import { ioError, readInput } from './files.js';
import { stdout } from './output.js';
import { chooseTypes, isEmbedded } from './target.js';
import { loaderOf, type VerifyOptions } from './verify-options.js';

type Json = Readonly<Record<string, unknown>>;

/** Length of a hash of a BTF blob in hex digits; longer is the blob itself. */
const HASH_DIGITS = 16;
const MAX_BLOBS = 500;
const MAX_LINE_CHARS = 2 ** 26;

class BlobStore {
  readonly #dir: string | undefined;
  readonly #known = new Map<string, Btf>();

  constructor(dir: string | undefined) {
    this.#dir = dir;
  }

  /** Throws `BpflabError` where there is no such blob, or it is none: without it, the request is not whole. */
  find(hash: string): Btf {
    const known = this.#known.get(hash);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_BLOBS) this.#known.clear();
    const btf = hash.length > HASH_DIGITS ? parseHex(hash) : this.#read(hash);
    this.#known.set(hash, btf);
    return btf;
  }

  #read(hash: string): Btf {
    if (!/^[0-9a-f]+$/i.test(hash))
      throw new CliIoError('IO_BTF', '"btf" is neither a hash nor a blob in hex');
    if (this.#dir === undefined)
      throw new CliIoError('IO_BTF', `BTF ${hash} is wanted: name its folder with --btf-dir`);
    const file = join(this.#dir, `${hash}.btf`);
    if (!existsSync(file)) throw new CliIoError('IO_BTF', `BTF ${hash} is not in ${this.#dir}`);
    return btfFromBytes(readInput(file), file);
  }
}

function parseHex(hex: string): Btf {
  if (hex.length % 2 !== 0 || /[^0-9a-f]/i.test(hex)) throw new CliIoError('IO_BTF', '"btf" is no hex');
  return btfFromBytes(new Uint8Array(Buffer.from(hex, 'hex')), '"btf"');
}

interface Context {
  readonly profile: VerifierProfile;
  readonly blobs: BlobStore;
  readonly vmlinux: Btf | undefined;
  readonly logLevel: number | undefined;
  readonly capabilities: VerifyCapabilities | undefined;
}

export async function verifyRaw(
  file: string,
  profile: VerifierProfile,
  options: VerifyOptions,
): Promise<void> {
  if (options.btfDir !== undefined && !isFolder(options.btfDir)) {
    throw new CliIoError('IO_ENOTDIR', 'no such folder', { file: options.btfDir });
  }
  const context: Context = {
    profile,
    blobs: new BlobStore(options.btfDir),
    vmlinux: options.btf === undefined ? undefined : chooseTypes(options.btf),
    logLevel: options.logLevel,
    capabilities: loaderOf(options),
  };
  const { shard } = options;
  let met = 0;
  let accepted = true;
  for await (const line of lines(file)) {
    if (line.trim() === '') continue;
    const at = met++;
    if (shard !== undefined && at % shard.count !== shard.index) continue;
    const reply = answer(line, context);
    if (reply.verdict !== 'accept') accepted = false;
    stdout.line(JSON.stringify(reply));
  }
  process.exitCode = accepted ? 0 : 1;
}

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

/** Lines of a file or of standard input, as they come. Throws `CliIoError`. */
async function* lines(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  input.setEncoding('utf8');
  let rest = '';
  try {
    for await (const chunk of input as AsyncIterable<string>) {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      if (rest.length > MAX_LINE_CHARS) throw new CliIoError('IO_EFBIG', 'a line has no end', { file });
      yield* parts;
    }
  } catch (error) {
    throw error instanceof BpflabError ? error : ioError(file, error);
  }
  if (rest !== '') yield rest;
}

function answer(line: string, context: Context): Json & { readonly verdict: string } {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { verdict: 'bad_request', message: 'the line is no JSON' };
  }
  const row = isObject(json) ? json : {};
  const id = row.id === undefined ? {} : { id: row.id };
  try {
    return { ...id, ...judge(requestFrom(json, row, context), context) };
  } catch (error) {
    if (error instanceof BpflabError) return { ...id, verdict: 'bad_request', message: error.message };
    // a mistake of ours must not keep the rest of a long stream from being judged
    return { ...id, verdict: 'internal_error', message: String(error).split('\n')[0] ?? '' };
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A row of a corpus of objects holds its request as `load`. */
function requestFrom(
  json: unknown,
  row: Json,
  { blobs, vmlinux, logLevel, capabilities }: Context,
): VerifyRequest {
  const policy = vmlinux === undefined ? undefined : { vmlinux, vmlinuxPartial: isEmbedded(vmlinux) };
  const request = requestFromJson(isObject(row.load) ? row.load : json, (hash) => blobs.find(hash), policy);
  return {
    ...request,
    ...(logLevel !== undefined && { logLevel }),
    ...(capabilities !== undefined && { capabilities }),
  };
}

function judge(request: VerifyRequest, { profile }: Context): Json & { readonly verdict: string } {
  const start = performance.now();
  const result = verifyFor(profile, request);
  const timeMs = Math.round((performance.now() - start) * 1000) / 1000;
  const { verdict, errno, message, insn, processed, totalStates, peakStates, stackDepth, log } = result;
  return {
    verdict,
    errno,
    message,
    warnings: result.warnings,
    insn: insn ?? null,
    processed,
    states: totalStates,
    peakStates,
    stackDepth,
    timeMs,
    log,
  };
}
