/** Recorded programs with Linux's answers: rows of the corpora, BTF blobs by hash. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import xz from 'xz-decompress';
import { Btf, type BtfType, encodeBtf } from '../../src/object/btf/index.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import type { VerifyRequest } from '../../src/verifier/types.js';

export interface CorpusRow {
  readonly index: number;
  readonly name: string;
  readonly verdict: 'accept' | 'reject' | 'environment';
  readonly errno: number;
  readonly processed: number;
  readonly totalStates: number;
  readonly peakStates: number;
  readonly log: string;
  /** First line of the log that says what is wrong; empty for what was accepted. */
  readonly firstLine: string;
  /** The load request as it was recorded. */
  readonly load: object;
  request(): VerifyRequest;
}

async function decompress(file: string): Promise<Uint8Array> {
  const { readable } =
    new Response(readFileSync(file)).body === null
      ? { readable: null }
      : { readable: new Response(readFileSync(file)).body };
  const stream = new xz.XzReadableStream(readable!);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Regular files of an uncompressed tar archive. */
function* untar(bytes: Uint8Array): Generator<[name: string, data: Uint8Array]> {
  const text = new TextDecoder('latin1');
  for (let at = 0; at + 512 <= bytes.length; ) {
    const header = bytes.subarray(at, at + 512);
    const name = text.decode(header.subarray(0, 100)).replace(/\0.*$/s, '');
    if (name === '') return;
    const size = Number.parseInt(text.decode(header.subarray(124, 136)), 8);
    const type = text.decode(header.subarray(156, 157));
    if (type === '0' || type === '\0') yield [name, bytes.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** The one blob the archives lack, by what its programs' function information calls for: `main` and `callback`. */
const MISSING = '7014c1dab9f989ce';

function missingBlob(): Btf {
  const int: BtfType = {
    kind: 'int',
    name: 'int',
    size: 4,
    encoding: 1,
    signed: true,
    char: false,
    bool: false,
    bits: 32,
    bitOffset: 0,
  };
  const types: BtfType[] = [
    int,
    { kind: 'ptr', name: '', type: 1 },
    { kind: 'ptr', name: '', type: 0 },
    { kind: 'func_proto', name: '', type: 1, params: [{ name: 'ctx', type: 3 }] },
    {
      kind: 'func_proto',
      name: '',
      type: 1,
      params: [
        { name: 'i', type: 1 },
        { name: 'ctx', type: 2 },
      ],
    },
    { kind: 'func', name: 'main', type: 4, linkage: 0 },
    { kind: 'func', name: 'callback', type: 5, linkage: 0 },
  ];
  return Btf.parse(encodeBtf(types));
}

async function loadBlobs(dir: string, name: string): Promise<Map<string, Btf>> {
  const blobs = new Map<string, Btf>([[MISSING, missingBlob()]]);
  const file = join(dir, `${name}-btf.tar.xz`);
  if (!existsSync(file)) return blobs;
  for (const [path, data] of untar(await decompress(file))) {
    const hash = /([0-9a-f]{16})\.btf$/.exec(path)?.[1];
    if (hash !== undefined) blobs.set(hash, Btf.parse(data, { file: path }));
  }
  return blobs;
}

interface Recorded {
  readonly label?: { readonly file: string; readonly name: string } | null;
  readonly verdict: CorpusRow['verdict'];
  readonly errno: number;
  readonly insn_processed?: number;
  readonly total_states?: number;
  readonly peak_states?: number;
  readonly log?: string;
  readonly obj?: string;
  readonly section?: string;
  readonly program?: string;
  readonly btf?: string;
  readonly maps?: readonly { readonly btf?: string }[];
  readonly load?: Recorded;
}

/** What a log holds besides the reason: instructions, states, source lines, calls, figures. */
const NOISE =
  /^(\d+: |; |\s*$|from \d+ to \d+|R\d+=|R\d+_w| R\d|fp-|Func#|Validating |func#\d+ @|caller:|callee:|returning from callee:|to caller at|verification time|stack depth|processed | ?frame\d+:| fp-|mark_precise|\(\d+ total|live regs|verifier bug: REG INV)/i;

export function firstLineOf(log: string): string {
  const lines = log.split('\n');
  const last = lines.findLastIndex((line) => /^\d+: \([0-9a-f]{2}\)/.test(line));
  const line = lines.slice(last + 1).find((text) => !NOISE.test(text)) ?? '';
  // Some messages end without a newline.
  return line.replace(/verification time \d+ usec$/, '');
}

let vmlinux: Btf | undefined;

/** The types of the kernel that judged; read once. */
export async function kernelTypes(dir: string): Promise<Btf | undefined> {
  const file = join(dir, 'vmlinux-6.18.btf.xz');
  if (vmlinux === undefined && existsSync(file)) {
    vmlinux = Btf.parse(await decompress(file), { file: 'vmlinux-6.18.btf' });
  }
  return vmlinux;
}

/** With blobs in hex in place of their hashes. */
function withBlobs(load: Recorded, blobs: ReadonlyMap<string, Btf>): Recorded {
  const given = <T extends { readonly btf?: string }>(at: T): T => {
    const blob = at.btf === undefined ? undefined : blobs.get(at.btf);
    return blob === undefined ? at : { ...at, btf: Buffer.from(blob.bytes).toString('hex') };
  };
  return { ...given(load), ...(load.maps !== undefined && { maps: load.maps.map(given) }) };
}

export async function loadCorpus(dir: string, name: string): Promise<CorpusRow[]> {
  const bytes = await decompress(join(dir, `${name}.jsonl.xz`));
  const blobs = await loadBlobs(dir, name);
  const kernel = await kernelTypes(dir);
  const policy = kernel === undefined ? undefined : { vmlinux: kernel };
  const parsed = new Map<string, Btf>();
  const btfOf = (hash: string): Btf | undefined => {
    if (hash.length === 16) return blobs.get(hash);
    const known = parsed.get(hash) ?? Btf.parse(new Uint8Array(Buffer.from(hash, 'hex')));
    parsed.set(hash, known);
    return known;
  };
  const lines = new TextDecoder()
    .decode(bytes)
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line, index) => {
    const row = JSON.parse(line) as Recorded;
    const load = row.load ?? row;
    const log = load.log ?? row.log ?? '';
    return {
      index,
      name:
        row.obj === undefined
          ? `${row.label?.file}: ${row.label?.name}`
          : `${row.obj} ${row.section} ${row.program}`,
      verdict: row.verdict,
      errno: row.errno,
      processed: row.insn_processed ?? 0,
      totalStates: row.total_states ?? 0,
      peakStates: row.peak_states ?? 0,
      log,
      firstLine: row.verdict === 'accept' ? '' : firstLineOf(log),
      load: withBlobs(load, blobs),
      request: () => requestFromJson(load, btfOf, policy),
    };
  });
}
