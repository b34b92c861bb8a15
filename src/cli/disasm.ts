/** `bpflab disasm FILE.o`: the programs of an object as they would be handed to the kernel. */
import { type Command, Option } from 'commander';
import type { Dialect } from '../isa/disasm.js';
import { openObject, relocateObject } from '../object/index.js';
import { type ListingOptions, programListing } from '../report/disasm.js';
import { readInput } from './files.js';
import { stderr, stdout } from './output.js';
import { addTargetOptions, type TargetOptions, targetFor } from './target.js';

interface Options extends TargetOptions {
  readonly prog?: string;
  readonly source?: boolean;
  readonly bytes?: boolean;
  readonly dialect: Dialect;
}

const EXAMPLES = `
Examples:
  bpflab disasm prog.o
  bpflab disasm prog.o --prog count_packets --source
  bpflab disasm prog.o --dialect kernel       as the verifier's log writes instructions

Programs are shown after relocation: subprograms appended, CO-RE applied; in loads of maps the number
is the map's place in the list of "bpflab inspect".`;

export function configure(command: Command): void {
  command
    .argument('<file>', 'compiled eBPF object')
    .option('--prog <name>', 'only this program')
    .option('--source', 'source lines above the instructions they became')
    .option('--bytes', 'the encoded bytes beside each instruction')
    .addOption(new Option('--dialect <name>', 'syntax').choices(['llvm', 'kernel']).default('llvm'));
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((file: string, options: Options) => disasm(file, options));
}

function disasm(file: string, options: Options): void {
  const object = openObject(readInput(file), { file });
  const target = targetFor(object, options);
  const programs = options.prog === undefined ? {} : { programs: [options.prog] };
  const loadable = relocateObject(object, { ...target, ...programs, keepGoing: options.prog === undefined });
  const listing: ListingOptions = {
    dialect: options.dialect,
    source: options.source === true,
    bytes: options.bytes === true,
    kfuncName: (id) => (target.targetBtf?.has(id) ? target.targetBtf.nameOf(id) : undefined),
    faint: (text) => stdout.style('gray', text),
  };
  loadable.programs.forEach((program, index) => {
    if (index > 0) stdout.line();
    stdout.line(programListing(loadable, program, listing));
  });
  for (const { error } of loadable.failed ?? []) stderr.line(`bpflab: ${error.message}`);
  if (loadable.failed?.length) process.exitCode = 1;
}
