/**
 * The `bpflab` command: finds the subcommand, loads only that one's module (a process must be cheap to
 * start), and turns every outcome into an exit code: 0 done, 1 refused or faulted, 2 wrong usage.
 */
import { Command, CommanderError } from 'commander';
import { BpflabError } from '../errors.js';
import type { CommandModule } from './command.js';
import { UsageError } from './errors.js';
import { stderr } from './output.js';
import { version } from './version.js';

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  inspect: { summary: 'list what an object file holds', load: () => import('./inspect.js') },
  disasm: { summary: 'disassemble the programs of an object', load: () => import('./disasm.js') },
  btf: { summary: 'summarise or dump BTF', load: () => import('./btf.js') },
  cfg: { summary: "draw a program's control flow", load: () => import('./cfg.js') },
  verify: { summary: 'judge programs as the kernel would', load: () => import('./verify.js') },
  run: { summary: 'run a program on given input', load: () => import('./run.js') },
  sim: { summary: 'run a scenario in a simulated kernel', load: () => import('./sim.js') },
  explore: { summary: 'search the schedules of a scenario', load: () => import('./explore.js') },
  rfc: { summary: 'show what each patch of the PREEMPT_RT series does', load: () => import('./rfc.js') },
  latency: { summary: 'worst sections of map operations', load: () => import('./latency.js') },
  demo: { summary: 'a short tour on a committed program', load: () => import('./demo.js') },
  conformance: {
    summary: 'plugin of the public bpf_conformance suite',
    load: () => import('./conformance.js'),
  },
};

const EXAMPLES = `
Examples:
  bpflab inspect prog.o              what is in it
  bpflab disasm prog.o --source      instructions under their source lines
  bpflab verify prog.o               would the kernel load it
  bpflab run prog.o --pcap in.pcap   run its XDP program on every packet
  bpflab run --raw b7000000070000009500000000000000
  bpflab sim prog.o --events scenario.json   programs attached, events, the kernel's log

Exit codes: 0 done, 1 the program or input was refused or faulted, 2 wrong usage.`;

function buildProgram(): Command {
  const program = new Command('bpflab');
  program
    .description('Load, decode, verify and run compiled eBPF objects: no root, no Linux, no JIT.')
    .version(version())
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ writeErr: writeUsageError });
  return program;
}

/** Commander prints a usage error as several lines; ours is one, in the form of every other error. */
function writeUsageError(text: string): void {
  if (text.startsWith('error: ')) {
    const [first, hint] = text.slice('error: '.length).trim().split('\n');
    stderr.line(`bpflab: ${first}${hint ? ` ${hint}` : ''} (try --help)`);
  } else {
    stderr.write(text);
  }
}

/** Runs one command line; resolves to the exit code, unless the command set `process.exitCode` itself. */
async function main(argv: readonly string[]): Promise<number> {
  const program = buildProgram();
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = program.command(name).summary(entry.summary).description(`${entry.summary}.`);
    command.copyInheritedSettings(program);
    if (argv[0] === name || (argv[0] === 'help' && argv[1] === name)) {
      (await entry.load()).configure(command);
    }
  }
  if (argv.length === 0) {
    stderr.write(program.helpInformation());
    stderr.line(EXAMPLES);
    return 2;
  }
  await program.parseAsync(argv, { from: 'user' });
  return typeof process.exitCode === 'number' ? process.exitCode : 0;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof BpflabError) {
    stderr.line(`bpflab: ${error.message}`);
    return error instanceof UsageError ? 2 : 1;
  }
  const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
  stderr.line(`bpflab: internal error, please report it: ${message}`);
  if (process.env.BPFLAB_DEBUG && error instanceof Error) stderr.line(error.stack);
  return 1;
}

// A reader that closes the pipe early (`| head`) is no error; a full disk is.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  stderr.line(`bpflab: standard output: ${error.code === 'ENOSPC' ? 'no space left' : error.message}`);
  process.exit(1);
});
// Nobody is left to tell; the exit code still says it.
process.stderr.on('error', () => {});

// No `await`: as a script (`kept-code.ts`) this has none.
main(process.argv.slice(2))
  .catch(exitCodeOf)
  .then((code) => {
    process.exitCode = code;
  });
