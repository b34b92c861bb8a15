/** `bpflab verify FILE.o…`: would the kernel load these programs? And `--raw`: the same for recorded load requests. */
import type { Command } from 'commander';
import { BpflabError } from '../errors.js';
import { profileNames } from '../verifier/profile.js';
import { UsageError } from './errors.js';
import { stderr } from './output.js';
import { addTargetOptions } from './target.js';
import {
  capabilityList,
  checkTogether,
  kernelProfile,
  logLevel,
  profileOf,
  shard,
  type VerifyOptions,
} from './verify-options.js';

const EXAMPLES = `
Examples:
  bpflab verify prog.o                          for Linux 6.18 with PREEMPT_RT and the preallocation rule
  bpflab verify prog.o --kernel 6.18            exactly as Linux 6.18 would judge
  bpflab verify *.o --kernel 5.15 --json        one JSON object a program; "unknown" is an honest answer
  bpflab verify prog.o --explain                why, how it came to that, and what usually mends it
  bpflab verify prog.o --log-level 2            the whole log, in the kernel's form
  bpflab verify prog.o --unpriv                 for a user without capabilities; --caps bpf,net_admin for some
  bpflab verify *.o --sarif verdicts.sarif      for code review tools
  bpflab verify --raw requests.jsonl --btf-dir blobs    recorded load requests, for Linux 6.18 by default

Kernel profiles: ${profileNames().join(', ')}.

Exit codes: 0 every program is accepted; 1 one or more are rejected, unsupported by this verifier, or of unknown verdict;
2 wrong usage, or an object or program that cannot be read or made ready to load.`;

export function configure(command: Command): void {
  command
    .argument('[file...]', 'compiled eBPF objects')
    .option('--prog <name>', 'only this program')
    .option('--kernel <profile>', 'kernel to judge for (default: rt)', kernelProfile)
    .option('--rt', 'the same release with PREEMPT_RT')
    .option('--no-rt', 'the same release without PREEMPT_RT')
    .option(
      '--log-level <n>',
      'print the log: 1 states at branches, 2 every instruction, 4 statistics',
      logLevel,
    )
    .option('--explain', 'explain each rejection')
    .option('--json', 'print a JSON object a line, one a program')
    .option('--sarif <file>', 'write the verdicts as SARIF 2.1.0')
    .option('--shard <i/n>', 'only the I-th of N parts of all programs (or requests)', shard)
    .option('--unpriv', 'the loader has no capabilities (and kernel.unprivileged_bpf_disabled is 0)')
    .option(
      '--caps <list>',
      'capabilities of the loader: bpf, perfmon, net_admin, sys_admin (default: all)',
      capabilityList,
    )
    .option('--raw <file>', 'judge recorded load requests, one JSON object a line; "-" is standard input')
    .option('--btf-dir <dir>', 'with --raw: folder of the BTF blobs that requests name by hash');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], options: VerifyOptions) => run(files, options));
}

const UNREADABLE = 2;

async function run(files: readonly string[], options: VerifyOptions): Promise<void> {
  try {
    await verifyAll(files, options);
  } catch (error) {
    if (!(error instanceof BpflabError) || error instanceof UsageError) throw error;
    stderr.line(`bpflab: ${error.message}`);
    process.exitCode = UNREADABLE;
  }
}

async function verifyAll(files: readonly string[], options: VerifyOptions): Promise<void> {
  checkTogether(files, options);
  const profile = profileOf(options);
  if (options.raw !== undefined) {
    const { verifyRaw } = await import('./verify-raw.js');
    await verifyRaw(options.raw, profile, options);
  } else {
    const { verifyObjects } = await import('./verify-objects.js');
    await verifyObjects(files, profile, options);
  }
}
