/**
 * The root of every error that bpflab reports. One family a floor derives from it (`IsaError`,
 * `ObjectError`, `VmError`, …); anything else that escapes the library is a bug in it.
 */

/** Where in the user's input a fault lies. Every part is optional; `insn` counts 8-byte slots. */
export interface ErrorPlace {
  readonly file?: string;
  readonly section?: string;
  readonly symbol?: string;
  /** Instruction index in slots, from the start of the program (or of the section while loading). */
  readonly insn?: number;
  /** Byte offset within the section, or within the file where no section is named. */
  readonly offset?: number;
}

/** Base class: a stable `code`, a one-line message, and the place at fault. */
export abstract class BpflabError extends Error {
  /** Stable machine-readable identifier, e.g. `OBJECT_TRUNCATED`. */
  readonly code: string;
  readonly place: ErrorPlace;
  /** The message without the place; `message` is `place: detail`. */
  readonly detail: string;

  constructor(code: string, detail: string, place: ErrorPlace = {}) {
    super(oneLine(`${formatPlace(place)}${detail}`));
    this.name = new.target.name;
    this.code = code;
    this.detail = oneLine(detail);
    this.place = place;
  }

  /** The same error seen from further out: parts of the place that were not known yet are filled in. */
  within(outer: ErrorPlace): this {
    const Class = this.constructor as new (code: string, detail: string, place: ErrorPlace) => this;
    return new Class(this.code, this.detail, { ...outer, ...this.place });
  }
}

/** Names come from the input as they are; what would break a line or drive a terminal is shown escaped. */
function oneLine(text: string): string {
  return text.replace(
    /\p{Cc}|[\u2028\u2029]/gu,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function formatPlace(place: ErrorPlace): string {
  const parts: string[] = [];
  if (place.file !== undefined) parts.push(place.file);
  if (place.section !== undefined) parts.push(`section ${place.section}`);
  if (place.symbol !== undefined) parts.push(place.symbol);
  if (place.insn !== undefined) parts.push(`insn ${place.insn}`);
  else if (place.offset !== undefined) parts.push(`offset ${place.offset}`);
  return parts.length > 0 ? `${parts.join(', ')}: ` : '';
}
