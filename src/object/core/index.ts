/** CO-RE's public face: what the loader imports. */
export { CoreError, type CoreErrorCode } from './error.js';
export { POISON_HELPER } from './patch.js';
export { CoreRelocator, type CoreResult } from './relocate.js';
export { CoreTarget } from './target.js';
