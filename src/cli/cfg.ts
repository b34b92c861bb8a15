/** `bpflab cfg FILE.o`: a program's control flow, with the verifier's states where asked for, as DOT or SVG. */
import { type Command, Option } from 'commander';
import { openObject, relocateObject } from '../object/index.js';
import { cfgDot } from '../report/cfg.js';
import { svgOf } from '../report/svg.js';
import { requestOf, verify } from '../verifier/index.js';
import { UsageError } from './errors.js';
import { readInput, writeOutput } from './files.js';
import { stdout } from './output.js';
import { addTargetOptions, type TargetOptions, targetFor } from './target.js';

interface Options extends TargetOptions {
  readonly prog?: string;
  readonly states?: boolean;
  readonly format?: 'dot' | 'svg';
  readonly output?: string;
}

const EXAMPLES = `
Examples:
  bpflab cfg prog.o --prog count_packets                     Graphviz text
  bpflab cfg prog.o --prog count_packets -o flow.svg         a drawing
  bpflab cfg prog.o --prog count_packets --states -o flow.svg

With --states, blocks show what the verifier knew on entry; one that it never reached is grey, the one that it refused
the program in is red.`;

export function configure(command: Command): void {
  command
    .argument('<file>', 'compiled eBPF object')
    .option('--prog <name>', 'the program; needed where the object has several')
    .option('--states', "the verifier's states at the blocks' beginnings")
    .addOption(
      new Option('--format <name>', 'dot or svg (default: as the output is named, else dot)').choices([
        'dot',
        'svg',
      ]),
    )
    .option('-o, --output <file>', 'write to a file instead of standard output');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((file: string, options: Options) => cfg(file, options));
}

async function cfg(file: string, options: Options): Promise<void> {
  const object = openObject(readInput(file), { file });
  const target = targetFor(object, options);
  const programs = options.prog === undefined ? {} : { programs: [options.prog] };
  const loadable = relocateObject(object, { ...target, ...programs });
  const [program, ...others] = loadable.programs;
  if (program === undefined) throw new UsageError('USAGE_PROG', 'the object has no program', { file });
  if (others.length > 0) {
    const names = loadable.programs.map(({ name }) => name).join(', ');
    throw new UsageError('USAGE_PROG', `the object has several programs, choose one with --prog: ${names}`, {
      file,
    });
  }
  const { targetBtf } = target;
  const policy = targetBtf === undefined ? {} : { policy: { vmlinux: targetBtf } };
  const result = options.states
    ? verify(requestOf(loadable, program, { logLevel: 2, ...policy }))
    : undefined;
  const dot = cfgDot(program, result, (id) => (targetBtf?.has(id) ? targetBtf.nameOf(id) : undefined));
  const format = options.format ?? (options.output?.endsWith('.svg') ? 'svg' : 'dot');
  const text = format === 'svg' ? await svgOf(dot) : dot;
  if (options.output === undefined) stdout.write(text);
  else writeOutput(options.output, text);
}
