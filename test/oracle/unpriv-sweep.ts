/**
 * Programs loaded with fewer capabilities, our verdict against the running kernel's: verdict, errno, first line,
 * instructions processed, states. The recorded corpora once for each set of capabilities, then random programs.
 *
 *   npx tsx test/oracle/unpriv-sweep.ts [--seconds N] [--seed S] [--caps bpf,net_admin] [--no-corpora] [--only SEED] [--out FILE]
 *
 * Where `kernel.unprivileged_bpf_disabled` is not 0 the kernel judges nothing without CAP_BPF: that part is skipped, and said so.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { decodeInsns, disassemble } from '../../src/isa/index.js';
import { kernelRefusal } from './lib/kernel.js';
import { KernelPipe, type PipeAnswer } from './lib/kernel-pipe.js';
import { SHARED_ORACLE } from './lib/tools.js';
import { structuredProgram } from './random/program.js';
import { loadCorpus } from './verdicts-corpus.js';
import { judge, LOG_LEVEL, overflowsQueue } from './verdicts-judge.js';
import { randomProgram } from './verdicts-random.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    caps: { type: 'string' },
    corpora: { type: 'boolean', default: true },
    out: { type: 'string' },
  },
  allowNegative: true,
});

const BATCH = 200;
const LOG_CHARS = 4000;
const SHOWN = 12;
const TOOL = join(fileURLToPath(new URL('.', import.meta.url)), 'lib', 'unpriv-kernel.py');
const CORPORA = ['verifier-table', 'selftests-open'] as const;

type Caps = readonly string[];
type Request = Readonly<Record<string, unknown>>;

/** Each rule's owner is missing in one of them. */
const SETS: readonly Caps[] =
  values.caps === undefined
    ? [[], ['bpf'], ['bpf', 'net_admin'], ['bpf', 'perfmon'], ['bpf', 'perfmon', 'net_admin']]
    : [values.caps.split(',').filter((name) => name !== '')];

interface Asked {
  readonly name: string;
  readonly request: Request;
}

const blocks: string[] = [];

function listing({ insns }: Request): string {
  try {
    return disassemble(decodeInsns(Buffer.from(insns as string, 'hex')))
      .slice(0, 80)
      .map(({ slot, text }) => `    ${slot}: ${text}`)
      .join('\n');
  } catch {
    return `    ${insns as string}`;
  }
}

class Tally {
  readonly counts = new Map<string, number>();
  shown = 0;

  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  compare({ name, request }: Asked, answer: PipeAnswer): void {
    if (answer.verdict === 'map_error' || answer.verdict === 'bad_request') {
      this.add('not judged');
      return;
    }
    this.add(answer.verdict);
    const { difference, text } = judge(request, answer);
    this.add(difference);
    if (difference === 'agree') return;
    const block = `${difference}: ${name} (${(request.caps as Caps).join(',')})\n${text}\n${listing(request)}\n  ${JSON.stringify(request)}`;
    blocks.push(block);
    if (this.shown++ < SHOWN) console.log(block.split('\n').slice(0, 3).join('\n'));
  }

  get line(): string {
    return [...this.counts].map(([what, many]) => `${many} ${what}`).join(', ');
  }
}

async function sweep(pipe: KernelPipe, tally: Tally, all: readonly Asked[]): Promise<void> {
  for (let at = 0; at < all.length; at += BATCH) {
    const batch = all.slice(at, at + BATCH).filter(({ request }) => !overflowsQueue(request));
    const answers = await pipe.ask(batch.map(({ request }) => ({ ...request, log_level: LOG_LEVEL })));
    batch.forEach((asked, i) => void tally.compare(asked, answers[i]!));
  }
}

async function corpora(pipe: KernelPipe, caps: Caps): Promise<void> {
  for (const name of CORPORA) {
    const rows = await loadCorpus(join(SHARED_ORACLE, 'corpora'), name);
    const tally = new Tally();
    const all = rows
      .filter(({ verdict }) => verdict !== 'environment')
      .map((row) => ({ name: row.name, request: { ...row.load, caps } as Request }));
    await sweep(pipe, tally, all);
    console.log(`${name} with ${capsText(caps)}: ${tally.line}`);
  }
}

const capsText = (caps: Caps): string => (caps.length === 0 ? 'no capability' : caps.join(','));

function randomRequest(seed: number, sets: readonly Caps[]): Asked {
  const caps = sets[Math.floor(seed / 5) % sets.length]!;
  const name = `seed ${seed}`;
  if (seed % 5 !== 0) return { name, request: { ...structuredProgram(seed), caps } };
  const { progType, insns, maps } = randomProgram(seed);
  return { name, request: { prog_type: progType, insns, maps, license: 'GPL', caps } };
}

async function random(pipe: KernelPipe, sets: readonly Caps[]): Promise<void> {
  const end = performance.now() + 1000 * Number(values.seconds);
  const tally = new Tally();
  const first = Number(values.only ?? values.seed);
  let seed = first;
  do {
    const many = values.only === undefined ? BATCH : 1;
    await sweep(
      pipe,
      tally,
      Array.from({ length: many }, (_, i) => randomRequest(seed + i, sets)),
    );
    seed += many;
  } while (values.only === undefined && performance.now() < end);
  console.log(`${seed - first} random programs from seed ${first}: ${tally.line}`);
}

async function main(): Promise<void> {
  const pipe = new KernelPipe(LOG_CHARS, [TOOL, SHARED_ORACLE]);
  const probe = { prog_type: 'socket_filter', insns: 'b7000000000000009500000000000000', caps: [] as Caps };
  const [answer] = await pipe.ask([probe]);
  const sets = SETS.filter((caps) => answer!.verdict === 'accept' || caps.includes('bpf'));
  if (sets.length < SETS.length) {
    console.log(`skipped: loads without CAP_BPF, which this kernel refuses (errno ${answer!.errno})`);
  }
  if (values.corpora) for (const caps of sets) await corpora(pipe, caps);
  if (sets.length > 0) await random(pipe, sets);
  pipe.close();
  if (values.out !== undefined) writeFileSync(values.out, `${blocks.join('\n\n')}\n`);
  if (blocks.length > 0) process.exitCode = 1;
}

const refusal = kernelRefusal();
if (refusal === undefined) await main();
else console.log(`skipped: ${refusal}`);
