/**
 * The vectors of the kernel's own interpreter test module (lib/test_bpf.c) through our engine, run by hand:
 *
 *     npx tsx test/oracle/test-bpf.ts [CORPORA-FOLDER]
 *
 * Classic filters go through our conversion. Reads `test-bpf.json.xz` from the folder (default
 * `../shared/oracle/corpora`), says so when it is not there, and ends with `N passed, M known, K failed`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import xz from 'xz-decompress';
import { BpflabError } from '../../src/errors.js';
import { convertClassic, decodeClassic } from '../../src/isa/classic/index.js';
import { decodeInsns, type Insn } from '../../src/isa/index.js';
import { Engine, type RunResult } from '../../src/vm/index.js';
import { KNOWN } from './test-bpf-known.js';
import { makeSkb, metadataCall, type Skb } from './test-bpf-skb.js';
import { runTailCalls, type TailCallVector } from './test-bpf-tail.js';

interface Vector {
  readonly name: string;
  readonly class: 'classic' | 'ebpf';
  readonly insns: string;
  readonly data: string;
  readonly frag_data?: string;
  readonly no_data: boolean;
  readonly skb_frag: boolean;
  readonly large_mem: boolean;
  readonly expected_errcode?: number;
  readonly tests: readonly { readonly data_size: number; readonly result: number }[];
}

/** Bytes of a fragment that the module adds to packets. */
const FRAGMENT = 128;
const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

function instructionsOf(vector: Vector): Insn[] {
  const bytes = fromHex(vector.insns);
  return vector.class === 'classic' ? convertClassic(decodeClassic(bytes)).insns : decodeInsns(bytes);
}

/** Runs a vector on data of one size. */
function runOnce(vector: Vector, insns: readonly Insn[], size: number): RunResult {
  const engine = new Engine();
  let skb: Skb | undefined;
  const program = engine.load(
    { name: vector.name, insns },
    { helpers: (_kind, id) => metadataCall(id, () => skb!) },
  );
  if (vector.no_data) return engine.run(program, { args: [0] });
  if (vector.large_mem) return engine.run(program, { args: [engine.alloc(size).address] });
  const data = fromHex(vector.data).subarray(0, size);
  const fragment = vector.skb_frag ? fromHex(vector.frag_data ?? '').subarray(0, FRAGMENT) : new Uint8Array();
  skb = makeSkb(engine, data, fragment);
  const { context, packet, networkOffset } = skb;
  return engine.run(program, { args: [context.address], packet: { region: packet, networkOffset } });
}

/** What is wrong, or undefined. */
function judge(vector: Vector): string | undefined {
  let insns: Insn[];
  try {
    insns = instructionsOf(vector);
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    return vector.expected_errcode === undefined ? `refused: ${error.message}` : undefined;
  }
  if (vector.expected_errcode !== undefined) return 'not refused';
  for (const { data_size: size, result } of vector.tests) {
    const { r0, fault } = runOnce(vector, insns, size);
    if (fault !== undefined) return `data size ${size}: insn ${fault.insn}: ${fault.detail}`;
    const got = BigInt.asUintN(32, r0);
    if (got !== BigInt(result >>> 0)) return `data size ${size}: got ${got}, expected ${result >>> 0}`;
  }
  return undefined;
}

/** `judge`, with refusals by the engine as text. */
function outcome(vector: Vector): string | undefined {
  try {
    return judge(vector);
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    return error.message;
  }
}

async function read(file: string): Promise<(Vector | TailCallVector)[]> {
  const stream = new Blob([readFileSync(file)]).stream();
  return JSON.parse(await new Response(new xz.XzReadableStream(stream)).text()) as (
    | Vector
    | TailCallVector
  )[];
}

async function main(): Promise<number> {
  const file = join(process.argv[2] ?? '../shared/oracle/corpora', 'test-bpf.json.xz');
  if (!existsSync(file)) {
    console.log(`${file} is not there: nothing to compare with`);
    return 0;
  }
  const vectors = await read(file);
  const results = new Map<string, string | undefined>();
  for (const vector of vectors) if (vector.class !== 'tail_call') results.set(vector.name, outcome(vector));
  for (const [name, wrong] of runTailCalls(vectors.filter((v) => v.class === 'tail_call')))
    results.set(name, wrong);
  const count = { passed: 0, known: 0, failed: 0 };
  for (const [name, wrong] of results) {
    const known = KNOWN.get(name);
    if (wrong === undefined && known === undefined) count.passed++;
    else if (wrong !== undefined && known !== undefined) count.known++;
    else {
      count.failed++;
      console.log(`${name}: ${wrong ?? 'passes, but is listed as known'}`);
    }
  }
  console.log(
    `${count.passed} passed, ${count.known} known, ${count.failed} failed (${vectors.length} vectors)`,
  );
  return count.failed > 0 ? 1 : 0;
}

process.exitCode = await main();
