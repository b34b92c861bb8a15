/** Faults of a request itself; a rejected program is no error. */
import { BpflabError } from '../errors.js';

export class VerifierError extends BpflabError {}
