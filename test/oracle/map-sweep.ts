/**
 * Maps and attach types against the running kernel, run by hand:
 *
 *     npm run oracle:maps [-- --type NAME… --ops N --seconds N --seed N]
 *
 * Random operations on every map type (`map-ops.ts`, which the options are for); without `--type` also the tables:
 * Every map type with every helper that takes a map; every map type in every program type, sleepable and not; every
 * attach type with every program type. Loads programs and creates maps only; says so where `bpf()` is refused.
 */
import { HELPER_PROTOS, type HelperProto } from '../../src/abi/helper-protos.js';
import { MapType, mapTypeName } from '../../src/abi/map-types.js';
import {
  attachProblem,
  FULL_CAPABILITIES,
  fixupAttachType,
  helperProto,
  loadProblem,
  mapHelperProblem,
  mapProgramProblem,
  type ProgEnv,
  RECORDED_CONFIG,
} from '../../src/verifier/env/index.js';
import { complaint, request, type SweepEnv, sweepEnvs } from './lib/env.js';
import { ask, kernelRefusal } from './lib/kernel.js';
import { fetchObject, loadMap, MAPS, PLAIN, prologue, RODATA, satisfy } from './lib/probe-setup.js';
import { compareMapOps } from './map-ops.js';

class Tally {
  asked = 0;
  differ = 0;
  /** The kernel stopped at something else. */
  other = 0;

  compare(what: string, ours: string, theirs: string): void {
    this.asked++;
    if (ours === theirs) return;
    this.differ++;
    if (this.differ <= 40) console.log(`${what}\n  ours:   ${ours}\n  kernel: ${theirs}`);
  }
}

/** A call of the helper with arguments that are all right but for the map's type. */
function callText(at: SweepEnv, proto: HelperProto): string | undefined {
  const lines = [prologue()];
  for (const arg of proto.args) {
    const object = fetchObject(at, arg);
    if (object === undefined) return undefined;
    if (object !== '') lines.push(object);
  }
  for (const [i, arg] of proto.args.entries()) {
    const line = satisfy(i + 1, arg);
    if (line === undefined) return undefined;
    lines.push(line);
  }
  return [...lines, `call ${proto.id}`, 'out:', 'r0 = 1', 'exit'].join('\n');
}

const ABOUT_THE_MAP = /^(cannot pass map_type|cannot update sockmap)/;

function helpersAndMaps(tally: Tally): void {
  const cases: { what: string; ours: string; request: object }[] = [];
  for (const at of sweepEnvs()) {
    for (const proto of HELPER_PROTOS) {
      if (helperProto(at.env, proto.id) !== proto || !proto.args.some(({ kind }) => kind === 'map')) continue;
      const text = callText(at, proto);
      if (text === undefined) continue;
      for (const map of MAPS) {
        const ours = mapHelperProblem(at.env, map.type, proto.id)?.message.split('\n')[0] ?? '';
        cases.push({
          what: `${at.name}, ${proto.name}, ${mapTypeName(map.type)}`,
          ours,
          request: request(at, text, { maps: [map, RODATA, PLAIN], log_level: 1 }),
        });
      }
    }
  }
  const answers = ask(cases.map((c) => c.request));
  cases.forEach(({ what, ours }, i) => {
    const line = complaint(answers[i]?.log);
    const about = ABOUT_THE_MAP.test(line);
    // Keys and values are looked at first; a map without them is refused for that.
    if (!about && line !== '' && ours !== '') tally.other++;
    else tally.compare(what, ours, about ? line : '');
  });
}

const NOT_FOR_PROGRAM = /^(Sleepable programs|tracing progs|bpf_struct_ops)/;

function programsAndMaps(tally: Tally): void {
  const envs = sweepEnvs();
  const cases = envs.flatMap((at) =>
    MAPS.map((map) => ({ at, map: map as { type: number; map_flags: number } })),
  );
  const answers = ask(
    cases.map(({ at, map }) => request(at, `${loadMap(1, 0)}\nr0 = 1\nexit`, { maps: [map], log_level: 1 })),
  );
  cases.forEach(({ at, map }, i) => {
    const facts = { type: map.type, mapFlags: map.map_flags, fieldMask: 0 };
    const ours = mapProgramProblem('none', at.env, facts)?.message ?? '';
    const line = complaint(answers[i]?.log);
    tally.compare(`${at.name}, ${mapTypeName(map.type)}`, ours, NOT_FOR_PROGRAM.test(line) ? line : '');
  });
}

const LAST_TYPE = 34;
const LAST_ATTACH_TYPE = 59;
const EPERM = 1;

function attachTypes(tally: Tally): void {
  const envs: ProgEnv[] = [];
  for (let type = 0; type <= LAST_TYPE; type++)
    for (let attachType = 0; attachType <= LAST_ATTACH_TYPE; attachType++)
      for (const sleepable of [false, true])
        envs.push({
          type,
          expectedAttachType: attachType,
          sleepable,
          gpl: true,
          capabilities: FULL_CAPABILITIES,
          config: RECORDED_CONFIG,
        });
  const answers = ask(
    envs.map((env) => request({ name: '', env, attachBtfId: 0 }, 'r0 = 1\nexit', { log_level: 1 })),
  );
  envs.forEach((env, i) => {
    // This kernel's own policy on what may be loaded at all.
    if (answers[i]!.errno === EPERM) return;
    const fixed = { ...env, expectedAttachType: fixupAttachType(env.type, env.expectedAttachType) };
    const problem =
      loadProblem({
        progType: env.type,
        expectedAttachType: env.expectedAttachType,
        attachBtfId: 0,
        insnCount: 2,
        capabilities: env.capabilities,
        config: env.config,
      }) ?? attachProblem(fixed, 0);
    const ours = problem === undefined ? '0 ' : `${problem.errno} ${problem.message}`;
    const theirs = `${answers[i]!.errno} ${complaint(answers[i]!.log)}`;
    tally.compare(
      `type ${env.type} attach ${env.expectedAttachType} sleepable ${env.sleepable}`,
      ours,
      theirs,
    );
  });
}

const refusal = kernelRefusal();
if (refusal !== undefined) {
  console.log(`map-sweep: SKIPPED, ${refusal}`);
} else if (process.argv.some((arg) => arg.startsWith('--type') || arg.startsWith('--only'))) {
  process.exitCode = (await compareMapOps()) === 0 ? 0 : 1;
} else {
  const tally = new Tally();
  const known = new Set(MAPS.map(({ type }) => type));
  const missing = Object.values(MapType).filter((type) => !known.has(type));
  helpersAndMaps(tally);
  programsAndMaps(tally);
  attachTypes(tally);
  console.log(
    `map-sweep: ${tally.asked} comparisons, ${tally.differ} differ, ${tally.other} refused for another reason first; ` +
      `map types not made: ${missing.map(mapTypeName).join(' ')}`,
  );
  const differing = await compareMapOps();
  process.exitCode = tally.differ + differing === 0 ? 0 : 1;
}
