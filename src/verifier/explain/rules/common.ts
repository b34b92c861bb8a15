/** What rules of several areas answer alike. */
import type { Finding } from '../finding.js';
import { type Place, reg } from '../place.js';

/** The verifier's own words, as a sentence. */
export const says = (f: Finding): string => `${f.result.message.replace(/[.,]$/, '')}.`;

/** Of a rule that no value is at fault for: there is no chain to follow. */
export const nothing = (): readonly Place[] => [];

/** Number of the register of an argument that the message counts from 0, or names. */
export function argumentOf(f: Finding): number | undefined {
  const regno = f.text('arg') === '' ? f.regno : f.number('arg') + 1;
  return regno === undefined || regno > 5 ? undefined : regno;
}

/** Follows that argument. */
export function argument(f: Finding): readonly Place[] {
  const regno = argumentOf(f);
  return regno === undefined ? [] : [reg(regno)];
}
