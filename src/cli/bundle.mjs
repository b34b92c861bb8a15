/**
 * Bundles the command line after tsc has built the library: a process that loads two hundred module files
 * takes twice as long to start as one that loads a few. One file a command, what they share in chunks beside them.
 */
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

// what tsc made of this folder
rmSync('dist/cli', { recursive: true, force: true });

await build({
  // the worker is a program of its own
  entryPoints: ['src/cli/main.ts', 'src/cli/explore-worker.ts'],
  outdir: 'dist/cli',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // less for V8 to parse; names stay, since errors show theirs
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: false,
  // bundled CommonJS packages ask for node's own modules by require()
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
