/**
 * `bpflab verify`: would Linux load these programs? Of objects, every program; with `--raw`, recorded load requests, one
 * answer a line.
 */
import type { Command } from 'commander';
import { progTypeName } from '../abi/prog-types.js';
import { BpflabError } from '../errors.js';
import { type LoadableProgram, openObject, relocateObject } from '../object/index.js';
import { requestOf } from '../verifier/from-object.js';
import { type VerifyPolicy, type VerifyResult, verify } from '../verifier/index.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { stderr, stdout } from './output.js';
import { addTargetOptions, targetFor } from './target.js';
import { answerOf, type VerifyOptions, verdictText } from './verify-answer.js';
import { verifyRaw } from './verify-raw.js';

const EXAMPLES = `
Examples:
  bpflab verify prog.o                          every program of an object
  bpflab verify *.o --json | jq .verdict        one document a program
  bpflab verify prog.o --prog main --log-level 2   with the log that Linux writes
  bpflab verify --raw requests.jsonl --json     recorded loads, one answer a line

A program is accepted, rejected (with Linux's errno and message), or unsupported: this verifier cannot judge it, and says why.
Exit codes: 0 all accepted, 1 something was not, 2 wrong usage or unreadable input.`;

export function configure(command: Command): void {
  command
    .argument('[file...]', 'compiled eBPF objects')
    .option('--prog <name>', 'only the program of this name')
    .option('--kernel <version>', 'whose verdict: 6.18', '6.18')
    .option(
      '--rt',
      'a kernel with PREEMPT_RT, where tracing programs may not allocate map elements at run time',
    )
    .option('--no-rt', 'a kernel without PREEMPT_RT (default)')
    .option('--log-level <n>', 'write the log: 1 branches, 2 every instruction, 4 figures only', logLevel)
    .option('--raw <file>', 'recorded load requests, one JSON object a line; "-" reads standard input')
    .option('--btf-dir <dir>', 'with --raw: folder of BTF blobs, HASH.btf')
    .option('--json', 'print JSON');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], options: VerifyOptions) => run(files, options));
}

function logLevel(text: string): number {
  if (!/^[0-7]$/.test(text)) throw new UsageError('USAGE_VERIFY', `log level ${text} is not 0 to 7`);
  return Number(text);
}

function policyOf(options: VerifyOptions): VerifyPolicy {
  return options.rt === true ? { prealloc: 'rt', preemptRt: true } : {};
}

function run(files: readonly string[], options: VerifyOptions): void {
  if (options.kernel !== '6.18') {
    throw new UsageError('USAGE_VERIFY', `kernel ${options.kernel} is not known; there is 6.18`);
  }
  if (options.raw !== undefined) {
    if (files.length > 0) throw new UsageError('USAGE_VERIFY', '--raw takes no objects');
    verifyRaw(options.raw, options, policyOf(options));
    return;
  }
  if (files.length === 0) throw new UsageError('USAGE_VERIFY', 'no object is given');
  for (const file of files) verifyFile(file, options);
}

function verifyFile(file: string, options: VerifyOptions): void {
  try {
    const object = openObject(readInput(file), { file });
    const loadable = relocateObject(object, { ...targetFor(object, options), keepGoing: true });
    const wanted = ({ name }: { readonly name: string }): boolean =>
      options.prog === undefined || options.prog === name;
    for (const { name, error } of (loadable.failed ?? []).filter(wanted)) refuse(name, error);
    for (const program of loadable.programs.filter(wanted)) {
      const start = performance.now();
      const result = verify(
        requestOf(loadable, program, { logLevel: options.logLevel ?? 0, policy: policyOf(options) }),
      );
      report(file, program, result, performance.now() - start, options);
    }
  } catch (error) {
    if (!(error instanceof BpflabError) || error instanceof UsageError) throw error;
    stderr.line(`bpflab: ${error.message}`);
    process.exitCode = 2;
  }
}

function refuse(name: string, error: BpflabError): void {
  stderr.line(`bpflab: ${name}: ${error.message}`);
  process.exitCode = 1;
}

function report(
  file: string,
  program: LoadableProgram,
  result: VerifyResult,
  timeMs: number,
  options: VerifyOptions,
): void {
  if (result.verdict !== 'accept') process.exitCode ??= 1;
  const line = program.lineInfo.findLast(({ insnOff }) => insnOff <= (result.insn ?? -1));
  if (options.json) {
    stdout.line(
      JSON.stringify({
        object: file,
        section: program.section,
        program: program.name,
        type: progTypeName(program.type),
        ...answerOf(result, timeMs),
        ...(line !== undefined && { source: { file: line.file, line: line.line, column: line.column } }),
      }),
    );
    return;
  }
  stdout.line(`${file} ${program.section} ${program.name}: ${verdictText(result)}`);
  if (line !== undefined) stdout.line(`  at ${line.file}:${line.line}:${line.column}: ${line.text.trim()}`);
  if (result.log !== '') stdout.write(result.log);
}
