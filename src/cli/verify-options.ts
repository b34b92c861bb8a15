/** The options of `bpflab verify`: how their values are read, and which of them go together. */
import { InvalidArgumentError } from 'commander';
import { BpflabError } from '../errors.js';
import { CAPABILITY_NAMES, capabilitiesByName } from '../verifier/capabilities.js';
import {
  DEFAULT_PROFILE,
  profileByName,
  REFERENCE_VERSION,
  type VerifierProfile,
  withPreemptRt,
} from '../verifier/profile.js';
import type { VerifyCapabilities } from '../verifier/types.js';
import { UsageError } from './errors.js';
import type { TargetOptions } from './target.js';

export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

export interface VerifyOptions extends TargetOptions {
  readonly prog?: string;
  readonly kernel?: VerifierProfile;
  readonly rt?: boolean;
  readonly logLevel?: number;
  readonly explain?: boolean;
  readonly json?: boolean;
  readonly sarif?: string;
  readonly shard?: Shard;
  readonly raw?: string;
  readonly btfDir?: string;
  readonly unpriv?: boolean;
  readonly caps?: VerifyCapabilities;
}

const MAX_LOG_LEVEL = 7;

/** What recorded requests have a use for. */
const RAW_OPTIONS: readonly string[] = [
  'raw',
  'kernel',
  'rt',
  'btf',
  'btfDir',
  'json',
  'shard',
  'logLevel',
  'unpriv',
  'caps',
];

export function kernelProfile(name: string): VerifierProfile {
  try {
    return profileByName(name);
  } catch (error) {
    if (error instanceof BpflabError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

export function logLevel(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > MAX_LOG_LEVEL) {
    throw new InvalidArgumentError(
      'a level is a sum of 1 (states), 2 (every instruction) and 4 (statistics).',
    );
  }
  return value;
}

export function shard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index < 1 || index > count) {
    throw new InvalidArgumentError('a shard is I/N with I from 1 to N, e.g. 2/4.');
  }
  return { index: index - 1, count };
}

/** Capabilities by name, commas between them; with `CAP_` or without, in any case. */
export function capabilityList(text: string): VerifyCapabilities {
  const names = text.split(',').map((name) => name.trim().toLowerCase().replace(/^cap_/, ''));
  const found = capabilitiesByName(names);
  if (found === undefined) {
    throw new InvalidArgumentError(`capabilities are ${CAPABILITY_NAMES.join(', ')}, with commas between.`);
  }
  return found;
}

/** What the loader may do; undefined: everything. */
export function loaderOf({ unpriv, caps }: VerifyOptions): VerifyCapabilities | undefined {
  return unpriv === true ? {} : caps;
}

const flag = (name: string): string =>
  `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Throws `UsageError` for files and options that do not go together. */
export function checkTogether(files: readonly string[], options: VerifyOptions): void {
  if (options.unpriv === true && options.caps !== undefined) {
    throw new UsageError('USAGE_INPUT', '--unpriv and --caps exclude each other');
  }
  if (options.raw !== undefined) {
    if (files.length > 0) throw new UsageError('USAGE_RAW', 'object files and --raw exclude each other');
    const other = Object.keys(options).find((name) => !RAW_OPTIONS.includes(name));
    if (other !== undefined) throw new UsageError('USAGE_RAW', `--raw has no use for ${flag(other)}`);
    return;
  }
  if (options.btfDir !== undefined) throw new UsageError('USAGE_INPUT', '--btf-dir goes with --raw');
  if (files.length === 0) throw new UsageError('USAGE_INPUT', "missing required argument 'file'");
  if (options.sarif === '-') {
    throw new UsageError('USAGE_OUTPUT', 'standard output has the report: name a file for --sarif');
  }
}

/** The profile chosen. Recorded requests are judged as they were, objects by the project's default. */
export function profileOf({ kernel, rt, raw }: VerifyOptions): VerifierProfile {
  const chosen = kernel ?? profileByName(raw === undefined || rt ? DEFAULT_PROFILE : REFERENCE_VERSION);
  if (rt === undefined) return chosen;
  try {
    return withPreemptRt(chosen, rt);
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    throw new UsageError('USAGE_PROFILE', `Linux ${chosen.version} has no profile with PREEMPT_RT`);
  }
}
