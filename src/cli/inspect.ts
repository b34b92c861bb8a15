/** `bpflab inspect FILE.o`: sections, programs, maps, BTF summary and relocations of an object. */
import type { Command } from 'commander';
import { BpflabError } from '../errors.js';
import { openObject } from '../object/index.js';
import { inspectText, summarise } from '../report/inspect.js';
import { readInput } from './files.js';
import { stderr, stdout } from './output.js';

const EXAMPLES = `
Examples:
  bpflab inspect prog.o
  bpflab inspect *.o --json | jq '.programs[].name'

Reads the object only: nothing is relocated, so no kernel types are needed.
With several files and --json, one document a file.`;

export function configure(command: Command): void {
  command
    .argument('<file...>', 'compiled eBPF objects (ELF, either byte order)')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], options: { json?: boolean }) => {
      files.forEach((file, index) => {
        if (index > 0 && !options.json) stdout.line();
        inspect(file, options.json === true);
      });
    });
}

/** Of several files, one that is refused does not keep the others from being shown. */
function inspect(file: string, json: boolean): void {
  try {
    const summary = summarise(openObject(readInput(file), { file }));
    if (json) stdout.json(summary);
    else stdout.line(inspectText(summary, (text) => stdout.style('bold', text)));
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    stderr.line(`bpflab: ${error.message}`);
    process.exitCode = 1;
  }
}
