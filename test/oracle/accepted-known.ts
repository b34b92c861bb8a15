/**
 * Known divergences of runs: programs that Linux accepts and on whose runs we differ, each by its instructions and with what
 * is known of it. Only a difference that was found is looked up here; what is not listed is a finding. A row names one
 * program and excuses no other.
 */
import { createHash } from 'node:crypto';
import type { RandomRequest } from './random/program.js';

export type KnownRun = string;

/** By SHA-256 of the instruction bytes in hex, as a request holds them. */
const ROWS: Readonly<Record<string, KnownRun>> = {};

/** Why this run of a program differs; undefined where nothing known explains it. A fault is never known. */
export function knownRun(request: RandomRequest, kind: string, _text: string): KnownRun | undefined {
  if (kind !== 'run: differs') return undefined;
  return ROWS[createHash('sha256').update(request.insns).digest('hex')];
}
