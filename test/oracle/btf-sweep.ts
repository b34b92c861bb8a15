/**
 * Programs attached by BTF id and pointers to kernel structures, against the running kernel; run by hand:
 *
 *     npx tsx test/oracle/btf-sweep.ts [--only PART] [--walks N] [--seed S]
 *
 * Parts: `arguments` (every one of every tracepoint, iterator and struct_ops member, at every size), `maps` (fields through a
 * map pointer), `writes`, `mixes` (two kinds of pointers at one instruction), `formats`, `globals` (functions with tagged
 * arguments), `walks` (at random through structures, with null checks, loops, calls and stores).
 * Verdict, errno and the whole log are compared. Loads programs only; says so where `bpf()` is refused.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Btf } from '../../src/object/btf/index.js';
import { verify } from '../../src/verifier/index.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import { globalPrograms } from './btf-globals.js';
import {
  argumentPrograms,
  formatPrograms,
  mapPrograms,
  mixedPrograms,
  type SweepProgram,
  writePrograms,
} from './btf-programs.js';
import { walkPrograms } from './btf-walks.js';
import { ask, type KernelAnswer, kernelRefusal } from './lib/kernel.js';
import { btfOf } from './verdicts-judge.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    walks: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '15' },
  },
});

const VMLINUX = '/sys/kernel/btf/vmlinux';
const LOG_CHARS = 60_000;
const BATCH = 400;
const ENOSPC = 28;

/** A log without addresses, times and what only our side leaves out. */
function plain(log: string): string {
  return log
    .replace(/^; .*\n/gm, '')
    .replace(/verification time.*\n/g, '')
    .replace(/\(18\) (r\d) = 0x[0-9a-f]+/g, '(18) $1 = …')
    .replace(/ +;/g, ' ;')
    .replace(/\n+$/, '');
}

function firstDifference(ours: string, theirs: string): string {
  const a = ours.split('\n');
  const b = theirs.split('\n');
  const at = a.findIndex((line, i) => line !== b[i]);
  const i = at < 0 ? a.length : at;
  return `  before: ${b[i - 1] ?? ''}\n  ours:   ${a[i] ?? '(end)'}\n  kernel: ${b[i] ?? '(end)'}`;
}

const counts = { asked: 0, accepted: 0, differ: 0, unsupported: 0 };
const features = new Map<string, number>();

function compare({ what, request }: SweepProgram, answer: KernelAnswer, vmlinux: Btf): void {
  // the log of a million instructions does not fit what the kernel is given for it
  if (answer.errno === ENOSPC) return;
  counts.asked++;
  if (answer.verdict === 'accept') counts.accepted++;
  const ours = verify(requestFromJson(request, btfOf, { vmlinux }));
  if (ours.verdict === 'unsupported') {
    counts.unsupported++;
    features.set(ours.message, (features.get(ours.message) ?? 0) + 1);
    return;
  }
  const same = ours.verdict === answer.verdict && ours.errno === (answer.errno ?? 0);
  const log = answer.log ?? '';
  if (same && (log.length >= LOG_CHARS || plain(ours.log) === plain(log))) return;
  counts.differ++;
  if (counts.differ > Number(values.show)) return;
  console.log(
    `${what}: ours ${ours.verdict} ${ours.errno}, kernel ${answer.verdict} ${answer.errno}\n` +
      firstDifference(plain(ours.log), plain(log)),
  );
}

function main(): void {
  const refusal = kernelRefusal();
  if (refusal !== undefined) {
    console.log(`btf-sweep: skipped, ${refusal}`);
    return;
  }
  const vmlinux = Btf.parse(new Uint8Array(readFileSync(VMLINUX)));
  const parts: Record<string, () => Iterable<SweepProgram>> = {
    arguments: () => argumentPrograms(vmlinux),
    maps: () => mapPrograms(),
    writes: () => writePrograms(vmlinux),
    mixes: () => mixedPrograms(vmlinux),
    formats: () => formatPrograms(Number(values.seed)),
    globals: () => globalPrograms(vmlinux, Number(values.seed), Number(values.walks)),
    walks: () => walkPrograms(vmlinux, Number(values.seed), Number(values.walks)),
  };
  for (const [name, make] of Object.entries(parts)) {
    if (values.only !== undefined && values.only !== name) continue;
    const programs = [...make()];
    for (let i = 0; i < programs.length; i += BATCH) {
      const batch = programs.slice(i, i + BATCH);
      const answers = ask(
        batch.map(({ request }) => request),
        LOG_CHARS,
      );
      batch.forEach((program, k) => {
        compare(program, answers[k]!, vmlinux);
      });
    }
  }
  console.log(
    `btf-sweep: ${counts.asked} programs, ${counts.accepted} accepted by Linux, ${counts.differ} differ, ${counts.unsupported} unsupported`,
  );
  for (const [feature, n] of features) console.log(`  ${n} × ${feature}`);
  if (counts.differ > 0) process.exitCode = 1;
}

main();
