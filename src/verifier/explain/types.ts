/**
 * What an explanation is, and the shape of the rules that produce one: a table of regular expressions over the first
 * line of a rejection, each with the rule in plain words. Texts are this project's own.
 */
import type { Finding } from './finding.js';
import type { SourceLine } from './names.js';
import type { Place } from './place.js';

/** One instruction on the path to the rejection that made the value what it was, or tested it. */
export interface ChainStep {
  /** Slot. */
  readonly insn: number;
  readonly text: string;
  readonly kind: 'entry' | 'define' | 'branch' | 'call' | 'reject';
  /** What the instruction did to the value, in words. */
  readonly note: string;
  /** How often the path came by; the note describes the last time. */
  readonly times: number;
  /** Name of the subprogram, or `main`. */
  readonly subprogram: string;
  readonly source?: SourceLine;
}

export interface Explanation {
  readonly rule: { readonly id: string; readonly title: string; readonly text: string };
  /** Which value broke the rule, and how. */
  readonly what: string;
  /** Where verification stopped; no instruction where the program as a whole is at fault. */
  readonly where: { readonly insn: number | undefined; readonly text: string; readonly source?: SourceLine };
  /** In the order of the path, the rejected instruction last; empty where no path was simulated. */
  readonly chain: readonly ChainStep[];
  /** What usually mends it, most likely first. */
  readonly mend: readonly string[];
}

export interface Rule {
  readonly id: string;
  readonly title: string;
  /** Matched against the first error line. Named groups are the captures. */
  readonly pattern: RegExp;
  /** One paragraph: what is demanded, and why. */
  readonly text: string;
  readonly what: (finding: Finding) => string;
  readonly mend: readonly string[] | ((finding: Finding) => readonly string[]);
  /** What to follow backwards; by default the registers that the message or the instruction names. */
  readonly follow?: (finding: Finding) => readonly Place[];
  /** The path ends on its way to the instruction that `locate` names, which is no part of the log. */
  readonly arrives?: true;
  /** The instruction at fault, where the message and not the simulation names it. */
  readonly locate?: (finding: Finding) => number | undefined;
}
