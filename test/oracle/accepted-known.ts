/**
 * Known divergences of runs: programs that Linux accepts and on whose runs we differ, each by its instructions and with what
 * is known of it. Only a difference that was found is looked up here; what is not listed is a finding. A row names one
 * program and excuses no other.
 */
import { createHash } from 'node:crypto';
import type { RandomRequest } from './random/program.js';

export type KnownRun = string;

/** By SHA-256 of the instruction bytes in hex, as a request holds them. */
const ROWS: Readonly<Record<string, KnownRun>> = {
  '20bddc5424bd8c9d42bddef4e6ad4762ead2095e851d156e8c9bc53bc999dd42':
    'open: seed 2967 returns a number in Linux that is the same within a process and another in the next, ours returns 0',
};

/** Why this run of a program differs; undefined where nothing known explains it. A fault is never known. */
export function knownRun(request: RandomRequest, kind: string, _text: string): KnownRun | undefined {
  if (kind !== 'run: differs') return undefined;
  return ROWS[createHash('sha256').update(request.insns).digest('hex')];
}
