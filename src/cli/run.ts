/**
 * `bpflab run`: one run of a program on given input, by the conventions of `bpftool prog run` (BPF_PROG_TEST_RUN); on every
 * packet of a capture; or of raw instructions. Times are measured here, around the kernel.
 */
import type { Command } from 'commander';
import { MapType } from '../abi/map-types.js';
import { progTypeName } from '../abi/prog-types.js';
import type { RunTimer } from '../kernel/bpf/run-prog.js';
import { takesPackets } from '../kernel/bpf/test-run.js';
import type { TestRunAttr } from '../kernel/bpf/test-run-types.js';
import { PcapError, SyscallError } from '../kernel/errors.js';
import { type Lab, loadLab, type OutputRecord } from '../kernel/lab.js';
import { readPcap } from '../kernel/net/pcap.js';
import { BOOT_NS } from '../kernel/time/clock.js';
import { type BpfObject, openObject, relocateObject } from '../object/index.js';
import { frameText } from '../report/frame.js';
import {
  aftermath,
  captureText,
  outcome,
  type PacketRun,
  programOf,
  type SingleRun,
  singleText,
  summaryKey,
} from '../report/run.js';
import { UsageError } from './errors.js';
import { readInput, writeOutput } from './files.js';
import { stdout } from './output.js';
import {
  checkTogether,
  cpuCount,
  hexBytes,
  kernelName,
  positive,
  progType,
  type RunOptions,
  repeatCount,
} from './run-options.js';
import { runRaw } from './run-raw.js';
import { addTargetOptions, targetFor } from './target.js';

const EXAMPLES = `
Examples:
  bpflab run prog.o --hex ffffffffffff0200000000010806…     one packet
  bpflab run prog.o --prog firewall --pcap traffic.pcap     every packet of a capture
  bpflab run prog.o --data-in packet.bin --data-out after.bin --repeat 100000
  bpflab run trace.o --prog on_exec --ctx-in context.bin    programs without a packet get a context
  bpflab run --raw b7000000070000009500000000000000         raw instructions, r0 is the result
  bpflab run --raw - --mem 0102030405060708 < prog.hex      r1: address of the memory, r2: its length

Packets begin with their Ethernet header. Contexts are the structures of the kernel's headers (xdp_md, __sk_buff,
pt_regs, …); missing bytes are zero. --ctx-in and --data-in take "-" for standard input.`;

export function configure(command: Command): void {
  command
    .argument('[file]', 'compiled eBPF object')
    .option('--prog <name>', 'program to run; may be left out where there is only one')
    .option('--type <name>', 'program type, where the section name does not tell, e.g. xdp', progType)
    .option('--data-in <file>', 'packet as bytes')
    .option('--hex <bytes>', 'packet as hex digits', hexBytes)
    .option(
      '--pcap <file>',
      'run on every packet of a capture (pcap, Ethernet); its times become the simulated time',
    )
    .option('--data-out <file>', 'write the packet as the program left it (as bytes)')
    .option('--ctx-in <file>', 'context as bytes')
    .option('--ctx-out <file>', 'write the context as the program left it (as bytes)')
    .option('--repeat <n>', 'run so often on the same packet and context', repeatCount)
    .option('--kernel <profile>', 'kernel to simulate, e.g. 5.7-rt (default 6.18)', kernelName)
    .option('--cpus <n>', 'CPUs of the simulated machine, 1 to 64 (default 4)', cpuCount)
    .option('--seed <n>', 'seed of random numbers (default 1)', positive)
    .option('--fuel <n>', 'instructions that a run may execute (default 100 million)', positive)
    .option(
      '--raw <hex>',
      'run raw instructions, 8 bytes each, as hex digits; "-" reads them from standard input',
    )
    .option('--mem <hex>', 'with --raw: memory that r1 points to', hexBytes)
    .option('--json', 'print JSON');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((file: string | undefined, options: RunOptions) => run(file, options));
}

function run(file: string | undefined, options: RunOptions): void {
  checkTogether(file, options);
  if (options.raw !== undefined) {
    runRaw(options.raw, options);
    return;
  }
  if (file === undefined) {
    throw new UsageError('USAGE_FILE', 'an object file, or --raw, is missing (try --help)');
  }
  const { lab, name } = load(file, options);
  if (options.pcap !== undefined) runCapture(lab, file, name, options.pcap, options);
  else runOnce(lab, file, name, options);
}

function load(file: string, options: RunOptions): { lab: Lab; name: string } {
  const object = openObject(readInput(file), { file });
  const name = options.prog ?? onlyProgram(object);
  const target = targetFor(object, options);
  const loadable = relocateObject(object, { ...target, programs: [name, ...tailCallTargets(object, name)] });
  const lab = loadLab(loadable, {
    ...(target.targetBtf === undefined ? {} : { btf: target.targetBtf }),
    ...(options.kernel === undefined ? {} : { profile: options.kernel }),
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.type === undefined ? {} : { progTypes: { [name]: options.type } }),
  });
  return { lab, name };
}

function onlyProgram(object: BpfObject): string {
  const [first, ...others] = object.programs;
  if (first !== undefined && others.length === 0) return first.name;
  const names = object.programs.map((program) => program.name).join(', ');
  throw new UsageError('USAGE_PROG', `choose a program with --prog: ${names || 'the object has none'}`, {
    file: object.file,
  });
}

/** Programs that the object puts into its program arrays. */
function tailCallTargets(object: BpfObject, besides: string): string[] {
  const arrays = object.maps.filter(({ def }) => def.type === MapType.prog_array);
  const targets = arrays.flatMap(({ def }) => (def.initialSlots ?? []).map((slot) => slot.target));
  return [...new Set(targets)].filter((target) => target !== besides);
}

/** A stopwatch for the repeated part of a run; keeps every reading. */
class Stopwatch implements RunTimer {
  readonly readings: number[] = [];
  private since = 0;

  /** Nanoseconds of the last run. */
  get lastNs(): number {
    return this.readings.at(-1) ?? 0;
  }

  get medianNs(): number {
    const sorted = this.readings.toSorted((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }

  enter(): void {
    this.since = performance.now();
  }

  leave(): void {
    this.readings.push((performance.now() - this.since) * 1e6);
  }
}

function runOnce(lab: Lab, file: string, name: string, options: RunOptions): void {
  const timer = new Stopwatch();
  const { repeat = 1 } = options;
  const dataIn = options.hex ?? (options.dataIn === undefined ? undefined : readInput(options.dataIn));
  const prog = lab.prog(name);
  if (dataIn === undefined && takesPackets(prog.type)) {
    const what = `${progTypeName(prog.type)} programs run on a packet: give one with --hex, --data-in or --pcap`;
    throw new UsageError('USAGE_INPUT', what, { symbol: name });
  }
  const attr: TestRunAttr = {
    timer,
    ...(options.repeat === undefined ? {} : { repeat }),
    ...(options.fuel === undefined ? {} : { fuel: options.fuel }),
    ...(dataIn === undefined ? {} : { dataIn }),
    ...(options.ctxIn === undefined ? {} : { ctxIn: readInput(options.ctxIn) }),
  };
  const result = lab.run(name, attr);
  const { dataOut, ctxOut } = result;
  if (options.dataOut !== undefined) writeOutput(options.dataOut, dataOut ?? new Uint8Array(0));
  if (options.ctxOut !== undefined) writeOutput(options.ctxOut, ctxOut ?? new Uint8Array(0));
  const report: SingleRun = {
    file,
    ...programOf(prog),
    ...outcome(prog, result),
    ...(dataIn === undefined ? {} : { dataIn }),
    ...(dataOut === undefined ? {} : { dataOut }),
    ...(ctxOut === undefined ? {} : { ctxOut }),
    repeat,
    instructions: result.instructions,
    meanNs: Math.round(timer.lastNs / repeat),
    ...aftermath(lab, lab.drain()),
  };
  if (options.json) stdout.json(report);
  else stdout.line(singleText(report, (text) => stdout.style('bold', text)));
}

function runCapture(lab: Lab, file: string, name: string, capture: string, options: RunOptions): void {
  const frames = readCapture(capture);
  const prog = lab.prog(name);
  if (!takesPackets(prog.type)) {
    throw new UsageError('USAGE_PCAP', `programs of type ${progTypeName(prog.type)} take no packets`, {
      symbol: name,
    });
  }
  const timer = new Stopwatch();
  const packets: PacketRun[] = [];
  const output: OutputRecord[] = [];
  const summary: Record<string, number> = {};
  let instructions = 0;
  for (const [index, { data, timeNs }] of frames.entries()) {
    // Captures may step back in time; the kernel's clock does not.
    const since = timeNs - frames[0]!.timeNs;
    if (since > 0n && BOOT_NS + since > lab.kernel.clock.now) lab.kernel.clock.set(BOOT_NS + since);
    const head = { index, bytes: data.length, frame: frameText(data) };
    let packet: PacketRun;
    try {
      const result = lab.run(name, {
        dataIn: data,
        timer,
        ...(options.fuel === undefined ? {} : { fuel: options.fuel }),
      });
      instructions += result.instructions;
      const changed = result.dataOut !== undefined && Buffer.compare(result.dataOut, data) !== 0;
      packet = { ...head, ...outcome(prog, result), ...(changed ? { dataOut: result.dataOut } : {}) };
    } catch (error) {
      // Linux refuses some packets for a type (too short for their protocol): that is this packet's result.
      if (!(error instanceof SyscallError)) throw error;
      packet = { ...head, refused: error.detail };
    }
    packets.push(packet);
    summary[summaryKey(packet)] = (summary[summaryKey(packet)] ?? 0) + 1;
    output.push(...lab.drain());
  }
  const measured = { packets, summary, instructions, medianNs: Math.round(timer.medianNs) };
  const report = { file, ...programOf(prog), capture, ...measured, ...aftermath(lab, output) };
  if (options.json) stdout.json(report);
  else stdout.line(captureText(report, (text) => stdout.style('bold', text)));
}

function readCapture(file: string): ReturnType<typeof readPcap> {
  try {
    return readPcap(readInput(file));
  } catch (error) {
    throw error instanceof PcapError ? error.within({ file }) : error;
  }
}
