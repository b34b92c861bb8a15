/**
 * `bpflab demo`: a short tour for newcomers (`npm start`). It runs the real commands on a program and a capture that
 * come with the package, each under the command line that gives the same output.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { CommandModule } from './command.js';
import { stdout } from './output.js';
import { PACKAGE_ROOT } from './version.js';

interface Step {
  readonly say: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly load: () => Promise<CommandModule>;
}

export function configure(command: Command): void {
  command
    .addHelpText('after', '\nExample:\n  bpflab demo\n\nNeeds nothing but this package.')
    .action(async () => {
      for (const step of steps()) await show(step);
      stdout.line(next());
    });
}

function steps(): readonly Step[] {
  const object = shipped('programs/xdp_dispatch.bpf.o');
  const capture = shipped('programs/data/traffic.pcap');
  return [
    {
      say: 'A compiled object: an XDP program that hands packets on to stages by tail calls. What is in it?',
      command: 'inspect',
      args: [object],
      load: () => import('./inspect.js'),
    },
    {
      say: 'One of its stages, relocated as libbpf would, under the source lines it was compiled from:',
      command: 'disasm',
      args: [object, '--prog', 'transport_stage', '--source'],
      load: () => import('./disasm.js'),
    },
    {
      say: 'And the whole of it, interpreted, on every packet of a capture:',
      command: 'run',
      args: [object, '--prog', 'dispatch', '--pcap', capture],
      load: () => import('./run.js'),
    },
  ];
}

async function show({ say, command: name, args, load }: Step): Promise<void> {
  stdout.line(say);
  stdout.line(stdout.style('cyan', `$ bpflab ${name} ${args.join(' ')}`));
  stdout.line();
  const command = new Command(name);
  (await load()).configure(command);
  await command.parseAsync(args, { from: 'user' });
  stdout.line();
}

function next(): string {
  const object = shipped('programs/xdp_firewall.bpf.o');
  const capture = shipped('programs/data/traffic.pcap');
  const probe = shipped('programs/kprobe_noprealloc.bpf.o');
  const locks = shipped('programs/rt_maps.bpf.o');
  const scenario = shipped('programs/scenarios/rt-locks.json');
  const docs = existsSync(new URL('docs/library.md', PACKAGE_ROOT))
    ? `\nThe library is described in ${shipped('docs/library.md')}.`
    : '';
  return `${stdout.style('bold', 'What to try next')}
  npx bpflab run ${object} --pcap ${capture} --json
  npx bpflab disasm ${object} --source
  npx bpflab verify ${probe} --explain      would a kernel load it, and why not
  npx bpflab sim ${locks} --events ${scenario}
                                            packets and a task on two CPUs under PREEMPT_RT
  npx bpflab rfc                            the PREEMPT_RT series, patch by patch: without it, with it
  npx bpflab run YOUR.o --hex YOUR_PACKET   an object of your own
  npx bpflab --help
What the programs do is told in ${shipped('programs/README.md')}.${docs}`;
}

/** Path of a file of the package, as short as the user's folder allows. */
function shipped(path: string): string {
  const absolute = fileURLToPath(new URL(path, PACKAGE_ROOT));
  const short = relative(process.cwd(), absolute);
  return short.length < absolute.length ? short : absolute;
}
