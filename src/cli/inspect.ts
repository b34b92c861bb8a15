/** `bpflab inspect FILE.o`: sections, programs, maps, BTF summary and relocations of an object. */
import type { Command } from 'commander';
import { openObject } from '../object/index.js';
import { inspectText, summarise } from '../report/inspect.js';
import { readInput } from './files.js';
import { stdout } from './output.js';

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
        const summary = summarise(openObject(readInput(file), { file }));
        if (options.json) {
          stdout.json(summary);
          return;
        }
        if (index > 0) stdout.line();
        stdout.line(inspectText(summary, (text) => stdout.style('bold', text)));
      });
    });
}
