/** The loader's public face: what other floors import (types of `btf/` and `core/` come from their own indexes). */
export * from './errors.js';
export { objectName } from './names.js';
export { type OpenOptions, openObject } from './open.js';
export { POISON_KFUNC } from './patch.js';
export { funcInsns } from './prepare.js';
export { type RelocateOptions, relocateObject, requireProgramType } from './relocate.js';
export { knownSections, type SectionDef, sectionDef } from './section-names.js';
export type * from './types.js';
