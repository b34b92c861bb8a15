/**
 * What `bpflab verify` says about a program: the row that `--json` prints, and the same as text: one line, and for what
 * was not accepted the message, the source line and the end of the log.
 */
import { basename } from 'node:path';
import { Errno } from '../abi/errno.js';
import type { ProfileVerdict } from '../verifier/index.js';
import type { VerifyRequest } from '../verifier/types.js';

/** Where an instruction comes from; line and column count from 1, 0 where they are not known. */
export interface VerifySource {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `error`: the program could not be made ready to load, so there was nothing to judge. */
export type ReportVerdict = ProfileVerdict | 'error';

/** One program, as `--json` prints it. */
export interface VerifyReport {
  readonly object: string;
  readonly section: string;
  readonly program: string;
  /** Program type, in libbpf's spelling. */
  readonly type: string;
  readonly profile: string;
  readonly verdict: ReportVerdict;
  readonly errno: number;
  /** First line that says what is wrong, the feature that is not supported, or why the verdict is not known. */
  readonly message: string;
  readonly warnings: readonly string[];
  /** Slot. */
  readonly insn: number | null;
  readonly source: VerifySource | null;
  readonly processed: number;
  readonly states: number;
  readonly peakStates: number;
  readonly stackDepth: string;
  readonly timeMs: number;
  readonly log: string;
  /** With `--explain`, for a rejection. */
  readonly explanation?: unknown;
}

/** The source position of a slot: that of the last line record at or before it. */
export function sourceOf(request: VerifyRequest, insn: number | undefined): VerifySource | null {
  if (insn === undefined) return null;
  let found: VerifySource | null = null;
  for (const { insnOff, file, line, column } of request.lineInfo ?? []) {
    if (insnOff <= insn) found = { file, line, column };
  }
  return found;
}

type Paint = (style: 'green' | 'red' | 'yellow' | 'gray' | 'bold', text: string) => string;

export interface VerifyTextOptions {
  readonly paint: Paint;
  /** The source line's text, where the object carries it. */
  readonly sourceText?: string;
  /** An explanation in place of the log's end. */
  readonly explanation?: string;
  /** The whole log, asked for by level. */
  readonly wholeLog: boolean;
}

const COLOURS = {
  accept: 'green',
  reject: 'red',
  unsupported: 'yellow',
  unknown: 'yellow',
  error: 'red',
} as const;
const LOG_LINES = 12;
/** Figures, which the row itself shows. */
const FIGURES = /^(processed \d+ insns|stack depth |verification time )/;

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const milliseconds = (timeMs: number): string => `${timeMs < 10 ? timeMs.toFixed(1) : Math.round(timeMs)} ms`;

/** Errnos as `EACCES`; their number where they have no name. */
export function errnoName(errno: number): string {
  return Object.entries(Errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
}

function logEnd(log: string): string[] {
  const lines = log.split('\n').filter((line) => line !== '' && !FIGURES.test(line));
  const left = lines.length - LOG_LINES;
  return left > 0 ? [`… ${plural(left, 'line')} before …`, ...lines.slice(-LOG_LINES)] : lines;
}

function positionText({ insn, source }: VerifyReport, sourceText: string | undefined): string | undefined {
  if (insn === null) return undefined;
  const place = source === null ? '' : `, ${source.file}:${source.line}:${source.column}`;
  return `at insn ${insn}${place}${sourceText ? `: ${sourceText.trim()}` : ''}`;
}

/** A report as lines without a final newline. */
export function verifyText(report: VerifyReport, options: VerifyTextOptions): string {
  const { verdict, program, type, errno, message, log } = report;
  const { paint } = options;
  const figures =
    verdict === 'error'
      ? ''
      : `  ${plural(report.processed, 'insn')} processed, ${plural(report.states, 'state')} ` +
        `(peak ${report.peakStates}), ${milliseconds(report.timeMs)}`;
  const name = `${basename(report.object)}: ${paint('bold', program)}`;
  const lines = [`${paint(COLOURS[verdict], verdict.padEnd(7))} ${name} (${type})${paint('gray', figures)}`];
  const more: string[] = report.warnings.map((warning) => `${paint('yellow', 'warning')}: ${warning}`);
  if (verdict !== 'accept') {
    const code = errno === 0 ? '' : ` (${errnoName(errno)})`;
    more.push(`${message === '' ? 'refused without a message' : message}${code}`);
    const place = positionText(report, options.sourceText);
    if (place !== undefined) more.push(place);
  }
  if (options.explanation !== undefined) more.push(...options.explanation.trimEnd().split('\n'));
  lines.push(...more.map((line) => `        ${line}`));
  if (options.wholeLog) lines.push(...log.trimEnd().split('\n'));
  else if (verdict === 'reject' && options.explanation === undefined) {
    const end = logEnd(log);
    if (end.length > 1) lines.push(...end.map((line) => paint('gray', `        | ${line}`)));
  }
  return lines.join('\n');
}

/** One line over all programs. */
export function verifySummary(reports: readonly Pick<VerifyReport, 'verdict'>[], profile: string): string {
  const count = (verdict: ReportVerdict): number =>
    reports.filter((report) => report.verdict === verdict).length;
  const parts = [
    [count('accept'), 'accepted'],
    [count('reject'), 'rejected'],
    [count('unsupported'), 'unsupported'],
    [count('unknown'), 'unknown'],
    [count('error'), 'not loadable'],
  ] as const;
  const shown = parts.filter(([n], i) => n > 0 || i < 2).map(([n, what]) => `${n} ${what}`);
  return `${plural(reports.length, 'program')} for profile ${profile}: ${shown.join(', ')}`;
}
