/**
 * The programs of object files, judged one after the other: read, relocate, verify, report. Files and programs that
 * cannot be made ready to load are reported and the rest goes on; the exit code says the worst of what happened.
 */
import { progTypeName } from '../abi/prog-types.js';
import { BpflabError } from '../errors.js';
import type { Btf } from '../object/btf/btf.js';
import { openObject, relocateObject, requireProgramType } from '../object/index.js';
import type { BpfObject, LoadableObject, LoadableProgram } from '../object/types.js';
import { type SarifInput, type SarifRule, sarifLog } from '../report/sarif.js';
import { sourceOf, type VerifyReport, verifySummary, verifyText } from '../report/verify.js';
import {
  type ProfileResult,
  policyOf,
  requestOf,
  type VerifierProfile,
  type VerifyPolicy,
  type VerifyRequest,
  verifyFor,
} from '../verifier/index.js';
import { UsageError } from './errors.js';
import { readInput, writeOutput } from './files.js';
import { stderr, stdout } from './output.js';
import { chooseTypes, isEmbedded, targetFor } from './target.js';
import { loaderOf, type VerifyOptions } from './verify-options.js';
import { version } from './version.js';

const ALL_ACCEPTED = 0;
const NOT_ACCEPTED = 1;
const UNREADABLE = 2;

/** Figures, and the warnings of whatever is accepted. */
const QUIET_LOG = 4;
/** What a rejection is judged again with, for its log; as libbpf does. */
const REJECTION_LOG = 1;
/** Past this many instructions the log with all states is only written when asked for. */
const MAX_RELOGGED = 100_000;

/** A large table of rules, loaded only where explanations are asked for. */
type Explain = typeof import('../verifier/explain/index.js');

interface Judged {
  readonly report: VerifyReport;
  readonly rule?: SarifRule;
  readonly text: string;
}

export async function verifyObjects(
  files: readonly string[],
  profile: VerifierProfile,
  options: VerifyOptions,
): Promise<void> {
  const wantsRules = options.explain === true || options.sarif !== undefined;
  const explain = wantsRules ? await import('../verifier/explain/index.js') : undefined;
  const session = new Session(files, profile, options, explain);
  for (const [index, file] of files.entries()) session.verifyFile(file, index);
  session.finish();
}

class Session {
  readonly #files: readonly string[];
  readonly #profile: VerifierProfile;
  readonly #options: VerifyOptions;
  readonly #explain: Explain | undefined;
  readonly #judged: Judged[] = [];
  readonly #failures: { readonly file: string; readonly message: string }[] = [];
  /** Files that have the program that was asked for. */
  #matches = 0;
  /** The kernel's types. */
  #vmlinux: Btf | undefined;
  /** Programs met, for shards. */
  #met = 0;
  #progressShown = false;

  constructor(
    files: readonly string[],
    profile: VerifierProfile,
    options: VerifyOptions,
    explain: Explain | undefined,
  ) {
    this.#files = files;
    this.#profile = profile;
    this.#options = options;
    this.#explain = explain;
  }

  verifyFile(file: string, index: number): void {
    try {
      const object = openObject(readInput(file), { file });
      if (!this.#isWanted(object)) return;
      this.#matches++;
      const { prog } = this.#options;
      const target = targetFor(object, this.#options);
      this.#vmlinux = target.targetBtf ?? this.#vmlinux ?? chooseTypes(this.#options.btf);
      const loadable = relocateObject(object, {
        ...target,
        ...(prog !== undefined && { programs: [prog] }),
        keepGoing: true,
      });
      for (const problem of object.problems) this.#fail(file, problem.message);
      for (const program of loadable.programs) this.#verifyProgram(loadable, program, index);
      this.#reportFailed(object, loadable);
    } catch (error) {
      if (!(error instanceof BpflabError) || error instanceof UsageError) throw error;
      this.#fail(file, error.message);
    }
  }

  /** With several files, those without the program that is asked for are passed over. */
  #isWanted(object: BpfObject): boolean {
    const { prog } = this.#options;
    if (prog === undefined || this.#files.length === 1) return true;
    return object.programs.some(({ name }) => name === prog);
  }

  #policy(): VerifyPolicy {
    const vmlinux = this.#vmlinux;
    return vmlinux === undefined ? {} : { vmlinux, vmlinuxPartial: isEmbedded(vmlinux) };
  }

  #takes(): boolean {
    const { shard } = this.#options;
    const at = this.#met++;
    return shard === undefined || at % shard.count === shard.index;
  }

  #verifyProgram(object: LoadableObject, program: LoadableProgram, index: number): void {
    if (!this.#takes()) return;
    this.#progress(`[${index + 1}/${this.#files.length}] ${object.file}: ${program.name}`);
    try {
      requireProgramType(program, object.file);
      const logLevel = this.#options.logLevel ?? QUIET_LOG;
      const capabilities = loaderOf(this.#options);
      const options = {
        logLevel,
        policy: this.#policy(),
        ...(capabilities !== undefined && { capabilities }),
      };
      this.#judge(object, program, requestOf(object, program, options));
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      this.#add({ report: errorReport(object.file, program, this.#profile, error.message), text: '' });
    }
  }

  #judge(object: LoadableObject, program: LoadableProgram, request: VerifyRequest): void {
    const start = performance.now();
    let result = verifyFor(this.#profile, request);
    const timeMs = performance.now() - start;
    const relog = this.#options.logLevel === undefined && result.processed <= MAX_RELOGGED;
    if (result.verdict === 'reject' && relog) {
      result = verifyFor(this.#profile, { ...request, logLevel: REJECTION_LOG });
    }
    const explanation = this.#explanationOf(request, result);
    const report = reportOf(object, program, request, result, timeMs);
    const shown = this.#options.explain === true && explanation !== undefined;
    this.#add(
      {
        report: shown ? { ...report, explanation } : report,
        ...(explanation !== undefined && { rule: explanation.rule }),
        text: sourceTextOf(request, result.insn),
      },
      shown ? this.#explain?.explanationText(explanation) : undefined,
    );
  }

  #explanationOf(request: VerifyRequest, result: ProfileResult): ReturnType<Explain['explain']> {
    const { verdict } = result;
    if (verdict !== 'reject' || this.#explain === undefined) return undefined;
    const policy = { ...request.policy, ...policyOf(this.#profile, request.progType) };
    return this.#explain.explain({ ...request, policy }, { ...result, verdict });
  }

  /** Programs that did not relocate; those that load on demand only when they were asked for. */
  #reportFailed(object: BpfObject, { failed = [] }: LoadableObject): void {
    for (const { name, section, error } of failed) {
      const def = object.programs.find((program) => program.name === name);
      if (def?.autoload === false && this.#options.prog === undefined) continue;
      if (!this.#takes()) continue;
      const program = { name, section, type: def?.type ?? 0 };
      this.#add({ report: errorReport(object.file, program, this.#profile, error.message), text: '' });
    }
  }

  #add(judged: Judged, explanation?: string): void {
    this.#judged.push(judged);
    this.#clearProgress();
    if (this.#options.json) {
      stdout.line(JSON.stringify(judged.report));
      return;
    }
    stdout.line(
      verifyText(judged.report, {
        paint: (style, text) => stdout.style(style, text),
        wholeLog: this.#options.logLevel !== undefined && this.#options.logLevel > 0,
        sourceText: judged.text,
        ...(explanation !== undefined && { explanation }),
      }),
    );
  }

  #fail(file: string, message: string): void {
    this.#failures.push({ file, message });
    this.#clearProgress();
    stderr.line(`bpflab: ${message}`);
  }

  #progress(text: string): void {
    if (process.stderr.isTTY !== true) return;
    const columns = process.stderr.columns || 80;
    stderr.write(`\r\x1b[K${text.slice(0, columns - 1)}`);
    this.#progressShown = true;
  }

  #clearProgress(): void {
    if (this.#progressShown) stderr.write('\r\x1b[K');
    this.#progressShown = false;
  }

  finish(): void {
    const { prog, sarif, json } = this.#options;
    if (this.#matches === 0 && this.#failures.length === 0) {
      throw new UsageError('USAGE_PROGRAM', `none of the files has a program ${prog ?? ''}`);
    }
    const reports = this.#judged.map(({ report }) => report);
    if (!json && reports.length !== 1) stdout.line(verifySummary(reports, this.#profile.name));
    process.exitCode = exitCode(reports, this.#failures.length);
    if (sarif !== undefined) writeSarif(sarif, this.#judged, this.#failures);
  }
}

function writeSarif(
  file: string,
  judged: readonly SarifInput[],
  failures: readonly { readonly file: string; readonly message: string }[],
): void {
  writeOutput(file, `${JSON.stringify(sarifLog(judged, failures, version()), null, 2)}\n`);
}

function exitCode(reports: readonly VerifyReport[], failures: number): number {
  if (failures > 0 || reports.some(({ verdict }) => verdict === 'error')) return UNREADABLE;
  return reports.every(({ verdict }) => verdict === 'accept') ? ALL_ACCEPTED : NOT_ACCEPTED;
}

function reportOf(
  object: LoadableObject,
  program: LoadableProgram,
  request: VerifyRequest,
  result: ProfileResult,
  timeMs: number,
): VerifyReport {
  return {
    object: object.file,
    section: program.section,
    program: program.name,
    type: progTypeName(program.type),
    profile: result.profile,
    verdict: result.verdict,
    errno: result.errno,
    message: result.message,
    warnings: result.warnings,
    insn: result.insn ?? null,
    source: sourceOf(request, result.insn),
    processed: result.processed,
    states: result.totalStates,
    peakStates: result.peakStates,
    stackDepth: result.stackDepth,
    timeMs: Math.round(timeMs * 1000) / 1000,
    log: result.log,
  };
}

function errorReport(
  file: string,
  program: Pick<LoadableProgram, 'name' | 'section' | 'type'>,
  profile: VerifierProfile,
  message: string,
): VerifyReport {
  return {
    object: file,
    section: program.section,
    program: program.name,
    type: progTypeName(program.type),
    profile: profile.name,
    verdict: 'error',
    errno: 0,
    message,
    warnings: [],
    insn: null,
    source: null,
    processed: 0,
    states: 0,
    peakStates: 0,
    stackDepth: '',
    timeMs: 0,
    log: '',
  };
}

function sourceTextOf(request: VerifyRequest, insn: number | undefined): string {
  if (insn === undefined) return '';
  return request.lineInfo?.findLast(({ insnOff }) => insnOff <= insn)?.text ?? '';
}
