/** The explorer's error family. */
import { BpflabError } from '../errors.js';

/** `EXPLORE_REPLAY`: a schedule does not fit its scenario; `EXPLORE_SCHEDULE`: a text is no schedule. */
export class ExploreError extends BpflabError {}
