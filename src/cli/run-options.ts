/**
 * The options of `bpflab run`: how their values are read, and which of them go together. An option that a run would
 * have no use for is refused rather than ignored.
 */
import { InvalidArgumentError } from 'commander';
import { type ProgType, progTypeByName } from '../abi/prog-types.js';
import { kernelProfileNames } from '../kernel/profile.js';
import { UsageError } from './errors.js';
import type { TargetOptions } from './target.js';

export interface RunOptions extends TargetOptions {
  readonly prog?: string;
  readonly type?: ProgType;
  readonly dataIn?: string;
  readonly pcap?: string;
  readonly hex?: Uint8Array;
  readonly dataOut?: string;
  readonly ctxIn?: string;
  readonly ctxOut?: string;
  readonly repeat?: number;
  readonly cpus?: number;
  readonly kernel?: string;
  readonly seed?: number;
  readonly fuel?: number;
  readonly raw?: string;
  readonly mem?: Uint8Array;
  readonly json?: boolean;
}

/** What raw instructions have a use for. */
const RAW_OPTIONS: readonly string[] = ['raw', 'mem', 'fuel', 'seed', 'json'];
/** What says something about a single packet or context. */
const SINGLE_OPTIONS = ['dataIn', 'hex', 'dataOut', 'ctxIn', 'ctxOut', 'repeat'] as const;

/** Throws `UsageError` for a file and options that do not go together. */
export function checkTogether(file: string | undefined, options: RunOptions): void {
  if (options.raw !== undefined) {
    if (file !== undefined) throw new UsageError('USAGE_RAW', 'an object file and --raw exclude each other');
    const other = Object.keys(options).find((name) => !RAW_OPTIONS.includes(name));
    if (other !== undefined) throw new UsageError('USAGE_RAW', `--raw has no use for ${flag(other)}`);
    return;
  }
  if (options.mem !== undefined) {
    throw new UsageError('USAGE_INPUT', '--mem goes with --raw; an object has --data-in, --hex and --ctx-in');
  }
  const single = SINGLE_OPTIONS.find((name) => options[name] !== undefined);
  if (options.pcap !== undefined && single !== undefined) {
    throw new UsageError('USAGE_INPUT', `--pcap and ${flag(single)} exclude each other`);
  }
  if (options.dataIn !== undefined && options.hex !== undefined) {
    throw new UsageError('USAGE_INPUT', '--data-in and --hex exclude each other');
  }
  if (options.dataIn === '-' && options.ctxIn === '-') {
    throw new UsageError('USAGE_INPUT', 'only one of --data-in and --ctx-in can be standard input');
  }
  if (options.dataOut === '-' || options.ctxOut === '-') {
    throw new UsageError('USAGE_OUTPUT', 'standard output has the report: use --json, or name a file');
  }
}

function flag(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

export function positive(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError('A positive whole number is wanted.');
  }
  return number;
}

/** The system call has 32 bits for it. */
export function repeatCount(text: string): number {
  const count = positive(text);
  if (count > 0xffff_ffff) throw new InvalidArgumentError('At most 4294967295 runs can be asked for.');
  return count;
}

export function cpuCount(text: string): number {
  const count = positive(text);
  if (count > 64) throw new InvalidArgumentError('There can be 1 to 64 CPUs.');
  return count;
}

/** Name of a kernel that can be simulated. */
export function kernelName(name: string): string {
  if (kernelProfileNames().includes(name)) return name;
  throw new InvalidArgumentError(`There are: ${kernelProfileNames().join(', ')}.`);
}

export function progType(name: string): ProgType {
  const type = progTypeByName(name);
  if (type === undefined) throw new InvalidArgumentError('Linux has no such program type.');
  return type;
}

export function hexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/0x|[\s:]/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new InvalidArgumentError('Pairs of hex digits are wanted.');
  }
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
