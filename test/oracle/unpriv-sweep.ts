/**
 * Programs loaded with fewer capabilities, our verdict against the running kernel's: verdict, errno, first line,
 * instructions processed, states. The recorded corpora once for each set of capabilities, then random programs.
 *
 *   npx tsx test/oracle/unpriv-sweep.ts [--seconds N] [--seed S] [--caps bpf,net_admin] [--no-corpora] [--only SEED] [--out FILE]
 *
 * Where `kernel.unprivileged_bpf_disabled` is not 0 the kernel judges nothing without CAP_BPF: that part is skipped, and said so.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { decodeInsns, disassemble } from '../../src/isa/index.js';
import { Btf } from '../../src/object/btf/index.js';
import type { VerifyPolicy } from '../../src/verifier/types.js';
import { kernelRefusal } from './lib/kernel.js';
import { KernelPipe, type PipeAnswer } from './lib/kernel-pipe.js';
import { SHARED_ORACLE } from './lib/tools.js';
import { structuredProgram } from './random/program.js';
import { WRONG_TURN_MAPS, wrongTurnProgram } from './random/wrong-turns.js';
import { firstLineOf, kernelTypes, loadCorpus } from './verdicts-corpus.js';
import { judge, LOG_LEVEL, overflowsQueue } from './verdicts-judge.js';
import { randomProgram } from './verdicts-random.js';
import { Rng } from './verdicts-rng.js';

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

const LD_IMM64 = 0x18;
const CALL = 0x85;
const PSEUDO_BTF_ID = 3;
const PSEUDO_KFUNC = 2;
const KERNEL_TYPES = '/sys/kernel/btf/vmlinux';

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
let policy: VerifyPolicy = {};

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

/** Lines about BTF that say nothing of the verdict. */
const ABOUT_BTF =
  /^(arg#\d+ reference type|Global function .* Only those are supported\.|Func#\d+ |func '.*' arg\d+ has btf_id )/;

/** The log without what says nothing of the verdict, and without a first line that is not whole. */
function reasonsOf(log: string): string {
  const whole = log.split('\n').slice(log.length < LOG_CHARS ? 0 : 1);
  const reasons = whole.filter((line) => !ABOUT_BTF.test(line)).join('\n');
  return firstLineOf(reasons) === '' ? whole.join('\n') : reasons;
}

/** Recorded ids of kernel types, for the kernel that runs; undefined where it lacks one. */
function forRunning(request: Request, recorded: Btf, running: Btf): Request | undefined {
  const idOf = (id: number): number => running.findByName(recorded.nameOf(id), recorded.kindOf(id)) ?? 0;
  const code = Buffer.from(request.insns as string, 'hex');
  for (let at = 0; at < code.length; at += 8) {
    const src = code[at + 1]! >> 4;
    const isType =
      (code[at] === LD_IMM64 && src === PSEUDO_BTF_ID) || (code[at] === CALL && src === PSEUDO_KFUNC);
    if (isType) {
      const id = idOf(code.readInt32LE(at + 4));
      if (id === 0) return undefined;
      code.writeInt32LE(id, at + 4);
    }
    if (code[at] === LD_IMM64) at += 8;
  }
  const target = (request.attach_btf_id ?? 0) as number;
  const attach = target === 0 ? 0 : idOf(target);
  if (target !== 0 && attach === 0) return undefined;
  return { ...request, insns: code.toString('hex'), attach_btf_id: attach };
}

class Tally {
  readonly counts = new Map<string, number>();
  shown = 0;

  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  compare({ name, request }: Asked, answer: PipeAnswer): void {
    const unmapped = answer.log?.includes("arena's user address must be set") === true;
    if (answer.verdict === 'map_error' || answer.verdict === 'bad_request' || unmapped) {
      this.add('not judged');
      return;
    }
    this.add(answer.verdict);
    const { difference, text } = judge(request, { ...answer, log: reasonsOf(answer.log ?? '') }, policy);
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
    const batch = all.slice(at, at + BATCH).filter(({ request }) => !overflowsQueue(request, policy));
    const answers = await pipe.ask(batch.map(({ request }) => ({ ...request, log_level: LOG_LEVEL })));
    batch.forEach((asked, i) => void tally.compare(asked, answers[i]!));
  }
}

async function corpora(pipe: KernelPipe, caps: Caps, types: Types | undefined): Promise<void> {
  for (const name of CORPORA) {
    const rows = await loadCorpus(join(SHARED_ORACLE, 'corpora'), name);
    const tally = new Tally();
    const all = rows.flatMap((row): Asked[] => {
      const request = { ...row.load, caps } as Request;
      const asked = types === undefined ? request : forRunning(request, types.recorded, types.running);
      return row.verdict === 'environment' || asked === undefined ? [] : [{ name: row.name, request: asked }];
    });
    await sweep(pipe, tally, all);
    console.log(`${name} with ${capsText(caps)}: ${tally.line}`);
  }
}

interface Types {
  readonly recorded: Btf;
  readonly running: Btf;
}

const capsText = (caps: Caps): string => (caps.length === 0 ? 'no capability' : caps.join(','));

function randomRequest(seed: number, sets: readonly Caps[]): Asked {
  const caps = sets[Math.floor(seed / 5) % sets.length]!;
  const name = `seed ${seed}`;
  if (seed % 5 > 2) {
    const insns = wrongTurnProgram(new Rng(seed));
    return {
      name,
      request: { prog_type: 'socket_filter', insns, maps: WRONG_TURN_MAPS, license: 'GPL', caps },
    };
  }
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
  const recorded = await kernelTypes(join(SHARED_ORACLE, 'corpora'));
  const running = existsSync(KERNEL_TYPES) ? Btf.parse(readFileSync(KERNEL_TYPES)) : undefined;
  if (running !== undefined) policy = { vmlinux: running };
  const types = recorded === undefined || running === undefined ? undefined : { recorded, running };
  if (values.corpora) for (const caps of sets) await corpora(pipe, caps, types);
  if (sets.length > 0) await random(pipe, sets);
  pipe.close();
  if (values.out !== undefined) writeFileSync(values.out, `${blocks.join('\n\n')}\n`);
  if (blocks.length > 0) process.exitCode = 1;
}

const refusal = kernelRefusal();
if (refusal === undefined) await main();
else console.log(`skipped: ${refusal}`);
