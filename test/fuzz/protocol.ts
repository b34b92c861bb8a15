/** What the fuzzer's parent and children say to each other. */
import type { MutantKind } from './mutants.js';

/** Mutants `from`, `from + step`, … below `to`. */
export interface Job {
  readonly seed: number;
  readonly kinds: readonly MutantKind[];
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export type SuspectReason =
  | 'error' // anything thrown that is no BpflabError, or an invariant that does not hold
  | 'slow' // past the time limit
  | 'memory' // past the memory limit
  | 'hang' // ended by the parent
  | 'death'; // the process ended by itself

export interface Suspect {
  readonly reason: SuspectReason;
  readonly detail: string;
  readonly seed: number;
  readonly number: number;
}

export interface Answer {
  /** Number to go on with. */
  readonly next: number;
  readonly loaded: number;
  readonly refused: number;
  /** How often each error code refused a mutant. */
  readonly refusals: readonly (readonly [code: string, count: number])[];
  readonly suspects: readonly Suspect[];
}
