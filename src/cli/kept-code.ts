/**
 * The whole program as one script, and the code that V8 has made of it: compiling two megabytes anew takes longer than most
 * commands run. Code is worth something to the very V8 that made it; where there is none for it, nothing is lost.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { constants, Script } from 'node:vm';

/**
 * V8 compiles WebAssembly again, optimising, once a function has used up a budget, and a process that ends meanwhile
 * waits for it. The engine's loop is one large function that uses V8's default up within dozens of instructions; this
 * much lasts for tens of thousands, far less than the optimised code saves in a run that is longer.
 */
const WASM_TIERING_BUDGET = 2_000_000_000;

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const SCRIPT = file('bpflab.cjs');
export const KEPT_CODE = file(`bpflab-${process.versions.v8}-${process.arch}.code`);

/** Flags are part of what kept code has to match, so that they come first. */
export function setFlags(): void {
  setFlagsFromString(`--wasm-tiering-budget=${WASM_TIERING_BUDGET}`);
}

/** The program as a script, and what runs it on `process.argv`; `cachedData`: its code, if it has been kept. */
export function loadScript(cachedData?: Buffer): { readonly script: Script; readonly run: () => void } {
  // ASCII, which `bundle.mjs` sees to
  const script = new Script(readFileSync(SCRIPT, 'latin1'), {
    filename: SCRIPT,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    ...(cachedData !== undefined && { cachedData }),
  });
  const program = script.runInThisContext() as (require: NodeJS.Require, filename: string) => void;
  return { script, run: () => program(createRequire(SCRIPT), SCRIPT) };
}
