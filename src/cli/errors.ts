/** Errors of the command line itself: wrong usage (exit 2) and files that cannot be read (exit 1). */
import { BpflabError, type ErrorPlace } from '../errors.js';

/** The command was called wrongly: exit code 2. */
export class UsageError extends BpflabError {
  constructor(code: string, detail: string, place: ErrorPlace = {}) {
    super(code, detail, place);
  }
}

/** A file or stream that the user named cannot be read or written: exit code 1. */
export class CliIoError extends BpflabError {
  constructor(code: string, detail: string, place: ErrorPlace = {}) {
    super(code, detail, place);
  }
}
