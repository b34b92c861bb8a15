/**
 * Known divergences of runs: programs that Linux accepts and on whose runs we differ, each kind with its reason. Only
 * a difference that was found is looked up here; what is not listed is a finding. There are none since context accesses
 * of verified programs are converted.
 */
import type { RandomRequest } from './random/program.js';

export type KnownRun = never;

/** Why this run of a program differs or faults (`text` says where); undefined where nothing known explains it. */
export function knownRun(_request: RandomRequest, _kind: string, _text: string): KnownRun | undefined {
  return undefined;
}
