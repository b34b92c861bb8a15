/**
 * Which program may call which helper, against the running kernel, run by hand:
 *
 *     npx tsx test/oracle/helper-sweep.ts [--record FILE.jsonl]
 *
 * A program `call N; exit` for every program type, attach type, helper, and licence: the kernel's first complaint is
 * compared with `helperProto`. Then the prototypes themselves, argument by argument (lib/probe-args.ts). Loads
 * programs only; says so where `bpf()` is refused. `--record` writes what the kernel allowed (test/verifier/env/data).
 */
import { writeFileSync } from 'node:fs';
import { helperById } from '../../src/abi/helpers.js';
import { attachProblem, funcIpProblem, helperProto, isRefusal } from '../../src/verifier/env/index.js';
import { type HelperRow, writeRanges } from '../verifier/env/matrix.js';
import { complaint, mergeRows, recordedEnv, request, type SweepEnv, sweepEnvs } from './lib/env.js';
import { ask, kernelRefusal } from './lib/kernel.js';
import { probeArgs } from './lib/probe-args.js';

const LAST_ID = 213;
const GET_FUNC_IP = 173;
/** What the kernel says before it looks at a register. */
const ABOUT_THE_CALL =
  /^(struct ops programs must|invalid func|program of this type|cannot call GPL|helper call |func bpf_get_func_ip#)/;

interface Case {
  readonly at: SweepEnv;
  readonly id: number;
}

function predict({ at, id }: Case): string {
  const refused = attachProblem(at.env, at.attachBtfId);
  if (refused !== undefined) return refused.message;
  const answer = helperProto(at.env, id);
  if (isRefusal(answer)) return answer.message;
  return id === GET_FUNC_IP ? (funcIpProblem(at.env)?.message ?? '') : '';
}

function matrix(): number {
  const envs = sweepEnvs().flatMap((at) => [at, { ...at, env: { ...at.env, gpl: false } }]);
  const cases = envs.flatMap((at) => Array.from({ length: LAST_ID + 1 }, (_, id): Case => ({ at, id })));
  const answers = ask(cases.map(({ at, id }) => request(at, `call ${id}\nexit`)));
  let differ = 0;
  let may = 0;
  cases.forEach((c, i) => {
    const line = complaint(answers[i]?.log);
    const theirs = ABOUT_THE_CALL.test(line) ? line : '';
    const ours = predict(c);
    if (ours === '') may++;
    if (ours === theirs) return;
    differ++;
    if (differ <= 40)
      console.log(
        `${c.at.name}${c.at.env.gpl ? '' : ' proprietary'}, ${helperById(c.id)?.name ?? c.id}\n` +
          `  ours:   ${ours}\n  kernel: ${line}`,
      );
  });
  console.log(
    `helper-sweep: ${cases.length} calls from ${envs.length} environments, ${may} allowed, ${differ} differ`,
  );
  return differ;
}

/** What the kernel allows, a row for each set of environments that are alike. */
function record(file: string): void {
  const ids = Array.from({ length: LAST_ID }, (_, i) => i + 1);
  const allowed = (at: SweepEnv): number[] => {
    const answers = ask(ids.map((id) => request(at, `call ${id}\nexit`)));
    return ids.filter((_, i) => !ABOUT_THE_CALL.test(complaint(answers[i]?.log)));
  };
  const rows = sweepEnvs().map((at): HelperRow => {
    const helpers = allowed(at);
    const free = new Set(allowed({ ...at, env: { ...at.env, gpl: false } }));
    const gpl = helpers.filter((id) => !free.has(id));
    return { ...recordedEnv(at), helpers: writeRanges(helpers), gpl: writeRanges(gpl) };
  });
  writeFileSync(file, mergeRows(rows));
  console.log(`helper-sweep: recorded ${file}`);
}

const refusal = kernelRefusal();
const recording = process.argv.indexOf('--record');
if (refusal !== undefined) {
  console.log(`helper-sweep: SKIPPED, ${refusal}`);
} else if (recording > 0) {
  record(process.argv[recording + 1]!);
} else {
  const differ = matrix() + probeArgs();
  process.exitCode = differ === 0 ? 0 : 1;
}
