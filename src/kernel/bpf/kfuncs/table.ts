/** How a file of this folder states what kernel functions do. Names and sets come from `src/abi/kfuncs.ts`. */
import type { HelperCall, RegValue } from '../../../vm/index.js';
import type { LoadContext } from '../prog-load.js';

/** r0 of a kernel function; undefined when it has put r0 in place itself. */
export type KfuncRun = (call: HelperCall, load: LoadContext) => RegValue | undefined;

/** Kernel functions by name. */
export type KfuncTable = Readonly<Record<string, KfuncRun>>;
