/**
 * Random programs, our verdict against the running kernel's: verdict, errno, first line, instructions processed and
 * states. Needs root and bpf(2); says so where it may not ask.
 *
 *   npm run oracle:fuzz -- --seconds N --seed S [--out FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { verify } from '../../src/verifier/index.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import { ask, type KernelAnswer, kernelRefusal } from './lib/kernel.js';
import { firstLineOf } from './verdicts-corpus.js';
import { randomProgram } from './verdicts-random.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});

const BATCH = 500;
const LOG_LEVEL = 4;
const LOG_CHARS = 100_000;

interface Answer extends KernelAnswer {
  readonly insn_processed?: number;
  readonly total_states?: number;
  readonly peak_states?: number;
}

const refusal = kernelRefusal();
if (refusal !== undefined) {
  console.log(`skipped: ${refusal}`);
  process.exit(0);
}

const counts = {
  programs: 0,
  accepted: 0,
  agree: 0,
  tooKind: 0,
  tooStrict: 0,
  line: 0,
  processed: 0,
  unsupported: 0,
};
const findings: string[] = [];

function compare(seed: number, request: object, answer: Answer): void {
  const ours = verify(requestFromJson(request, () => undefined));
  counts.programs++;
  if (answer.verdict === 'accept') counts.accepted++;
  let kind = '';
  if (ours.verdict === 'unsupported') {
    counts.unsupported++;
    return;
  }
  if (ours.verdict !== answer.verdict) {
    kind = ours.verdict === 'accept' ? 'we accept, Linux rejects' : 'we reject, Linux accepts';
    if (ours.verdict === 'accept') counts.tooKind++;
    else counts.tooStrict++;
  } else {
    counts.agree++;
    const line = answer.verdict === 'accept' ? '' : firstLineOf(answer.log ?? '');
    if (ours.message !== line || ours.errno !== answer.errno) {
      kind = 'first line';
      counts.line++;
    } else if (
      ours.processed !== answer.insn_processed ||
      ours.totalStates !== answer.total_states ||
      ours.peakStates !== answer.peak_states
    ) {
      kind = 'processed or states';
      counts.processed++;
    }
  }
  if (kind === '') return;
  findings.push(
    `${kind}: seed ${seed}\n  ${JSON.stringify(request)}\n` +
      `  linux: ${answer.verdict} ${answer.errno} ${answer.insn_processed} ${answer.total_states}/${answer.peak_states} ${firstLineOf(answer.log ?? '')}\n` +
      `  ours:  ${ours.verdict} ${ours.errno} ${ours.processed} ${ours.totalStates}/${ours.peakStates} ${ours.message}`,
  );
}

const end = performance.now() + 1000 * Number(values.seconds);
for (let seed = Number(values.seed); performance.now() < end; ) {
  const seeds = Array.from({ length: BATCH }, (_, i) => seed + i);
  const requests = seeds.map((s) => {
    const { progType, insns, maps } = randomProgram(s);
    return { prog_type: progType, insns, maps, license: 'GPL', log_level: LOG_LEVEL };
  });
  const answers = ask(requests, LOG_CHARS) as Answer[];
  if (answers.length !== requests.length) throw new Error('the kernel left requests unanswered');
  requests.forEach((request, i) => void compare(seeds[i]!, request, answers[i]!));
  seed += BATCH;
}
console.log(
  `${counts.programs} programs from seed ${values.seed}, ${counts.accepted} accepted by Linux: ${counts.agree} agree, ` +
    `${counts.tooKind} we accept and Linux rejects, ${counts.tooStrict} we reject and Linux accepts, ${counts.unsupported} unsupported; ` +
    `${counts.line} with another first line, ${counts.processed} with other counts`,
);
for (const finding of findings.slice(0, 20)) console.log(finding);
if (values.out !== undefined) writeFileSync(values.out, `${findings.join('\n')}\n`);
if (counts.tooKind + counts.tooStrict > 0) process.exitCode = 1;
