/**
 * The running kernel's word on our loader: for every program of Debian's objects and of `programs/` (or of the files
 * named), what libbpf loads is compared with what we would load, and ours is loaded too: the verdicts and errnos must
 * agree, and so must our verifier's. Programs on packets are test-run there and in our simulated kernel, with equal results. Needs bpf(2), libbpf and the reference tools beside the project; says what is missing and skips.
 *
 *   npm run oracle:objects-kernel            or: tsx test/oracle/objects-kernel.ts FILE.o…
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BpflabError } from '../../src/errors.js';
import { decodeInsns } from '../../src/isa/index.js';
import { UnsupportedError } from '../../src/kernel/errors.js';
import { loadLab } from '../../src/kernel/lab.js';
import type { LoadableObject, LoadableProgram } from '../../src/object/index.js';
import { requestOf as verifyRequest } from '../../src/verifier/from-object.js';
import { verify } from '../../src/verifier/index.js';
import { debianObjects } from './lib/debian.js';
import {
  ask,
  buildKverify,
  type KernelProgram,
  kernelListing,
  kernelNameOf,
  kernelRefusal,
  kverify,
  requestOf,
} from './lib/kernel.js';
import { loadOurs } from './lib/ours.js';
import { hostTarget } from './lib/target.js';

const counts = {
  passed: 0,
  failed: 0,
  accepted: 0,
  rejected: 0,
  unreached: 0,
  runs: 0,
  unsupported: 0,
  judged: 0,
  sameCost: 0,
  unjudged: 0,
};

function compareRequest(
  ours: LoadableObject,
  program: LoadableProgram,
  load: NonNullable<KernelProgram['load']>,
): string[] {
  const lines: string[] = [];
  const field = (what: string, mine: unknown, theirs: unknown): void => {
    if (mine !== theirs) lines.push(`${what}: ours ${String(mine)}, loaded ${String(theirs)}`);
  };
  field('expected attach type', program.expectedAttachType, load.expected_attach_type);
  field('attach BTF id', program.attachBtfId ?? 0, load.attach_btf_id ?? 0);
  field('license', ours.license, load.license);
  const mine = kernelListing(program.insns, (i) => kernelNameOf(ours.maps[i]));
  const theirs = kernelListing(
    decodeInsns(Buffer.from(load.insns, 'hex')),
    (i) => load.maps[i]?.name ?? 'none',
  );
  field('instructions', mine.length, theirs.length);
  const at = mine.findIndex((text, i) => text !== theirs[i]);
  if (at >= 0) field(`insn ${at}`, mine[at], theirs[at]);
  return lines;
}

/** Differences between the kernel's verdicts on libbpf's request and on ours. */
function compareVerdict(theirs: KernelProgram, object: LoadableObject, program: LoadableProgram): string[] {
  const [answer] = ask([requestOf(object, program, theirs.load?.prog_flags ?? program.progFlags)]);
  if (answer === undefined) return ['kraw.py gave no answer'];
  if (theirs.verdict === 'accept') counts.accepted++;
  else counts.rejected++;
  if (answer.verdict === theirs.verdict && (answer.errno ?? 0) === (theirs.errno ?? 0)) return [];
  const last = answer.log?.trimEnd().split('\n').at(-2) ?? '';
  return [
    `the kernel says ${theirs.verdict} (errno ${theirs.errno ?? 0}) to libbpf's and ` +
      `${answer.verdict} (errno ${answer.errno ?? 0}${answer.map === undefined ? '' : `, map ${answer.map}`}) to ours: ${last}`,
  ];
}

/** Our verifier's verdict and errno beside the kernel's. */
function compareVerifier(theirs: KernelProgram, object: LoadableObject, program: LoadableProgram): string[] {
  const progFlags = theirs.load?.prog_flags ?? 0;
  const ours = verify(verifyRequest(object, program, { progFlags }));
  if (ours.verdict === 'unsupported') {
    counts.unjudged++;
    console.log(`${object.file}: ${program.name}: unsupported: ${ours.message}`);
    return [];
  }
  counts.judged++;
  if (ours.processed === theirs.insn_processed) counts.sameCost++;
  if (ours.verdict === theirs.verdict && ours.errno === (theirs.errno ?? 0)) return [];
  return [
    `our verifier says ${ours.verdict} (errno ${ours.errno}), the kernel ${theirs.verdict} ` +
      `(errno ${theirs.errno ?? 0}): ${ours.message}`,
  ];
}

/** Return value and packet of every test run that the kernel did, from our simulated kernel. */
function compareRuns(theirs: KernelProgram, object: LoadableObject): string[] {
  const lines: string[] = [];
  const lab = theirs.runs === undefined ? undefined : loadLab(object);
  for (const [i, { data_in, retval, data_out }] of (theirs.runs ?? []).entries()) {
    if (lab === undefined || retval === undefined) continue;
    counts.runs++;
    const ours = lab.run(theirs.program!, { dataIn: Buffer.from(data_in, 'hex') });
    const data = Buffer.from(ours.dataOut ?? []).toString('hex');
    if (ours.retval !== retval) lines.push(`run ${i}: returns ${ours.retval}, the kernel's ${retval}`);
    if (data_out !== undefined && data !== data_out)
      lines.push(`run ${i}: leaves ${data}, the kernel's ${data_out}`);
  }
  return lines;
}

/** What the simulated kernel says it does not have is counted; any other refusal is a difference. */
function attemptRuns(theirs: KernelProgram, object: LoadableObject): string[] {
  try {
    return compareRuns(theirs, object);
  } catch (error) {
    if (error instanceof UnsupportedError) {
      counts.unsupported++;
      return [];
    }
    if (error instanceof BpflabError) return [`run: ${error.message}`];
    throw error;
  }
}

function judge(theirs: KernelProgram, ours: LoadableObject | undefined): string[] {
  const program = ours?.programs.find(({ name }) => name === theirs.program);
  // what libbpf itself refuses is objects.ts's business
  if (theirs.load === undefined || ours === undefined) {
    counts.unreached++;
    return [];
  }
  if (program === undefined) return ['libbpf loads it, we have no such program'];
  return [
    ...compareRequest(ours, program, theirs.load),
    ...compareVerdict(theirs, ours, program),
    ...compareVerifier(theirs, ours, program),
    ...attemptRuns(theirs, ours),
  ];
}

function defaultFiles(): string[] {
  const files: string[] = [];
  for (const { name, files: found } of debianObjects()) {
    if (found === undefined) console.log(`skipped: package ${name} is not installed`);
    else files.push(...found);
  }
  const own = readdirSync('programs').filter((name) => name.endsWith('.o'));
  return [...files, ...own.map((name) => join('programs', name))];
}

function main(): void {
  const refused = kernelRefusal();
  const tool = buildKverify();
  const target = hostTarget();
  const missing =
    refused ?? ('missing' in tool ? tool.missing : undefined) ?? (target ? undefined : 'no kernel types');
  if (missing !== undefined || 'missing' in tool || target === undefined) {
    console.log(`skipped: comparison with the running kernel: ${missing}`);
    return;
  }
  const files = process.argv.length > 2 ? process.argv.slice(2) : defaultFiles();
  for (const file of files) {
    const { loadable } = loadOurs(file, target);
    for (const theirs of kverify(tool.path, [file])) {
      const lines = judge(theirs, loadable);
      if (lines.length === 0) counts.passed++;
      else counts.failed++;
      for (const line of lines) console.log(`${file}: ${theirs.program ?? ''}: ${line}`);
    }
  }
  console.log(
    `verdicts: ${counts.accepted} accepted, ${counts.rejected} rejected; ${counts.unreached} that libbpf does not load; ` +
      `${counts.runs} test runs, ${counts.unsupported} programs that need what the simulated kernel lacks`,
  );
  console.log(
    `our verifier: ${counts.judged} judged, ${counts.sameCost} of them with as many instructions processed, ` +
      `${counts.unjudged} unsupported`,
  );
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  if (counts.failed > 0) process.exitCode = 1;
}

main();
