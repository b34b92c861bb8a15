/**
 * Bundles the command line after tsc has built the library: a process that loads two hundred module files
 * takes twice as long to start as one that loads a few. One file a command, what they share in chunks beside them; and
 * all of it as a script, of which V8's code is kept (`kept-code.ts`).
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

// what tsc made of this folder
rmSync('dist/cli', { recursive: true, force: true });

const options = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  // less for V8 to parse; names stay, since errors show theirs
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: false,
  alias: { 'node:child_process': './src/cli/no-child-process.mjs' },
};

await build({
  ...options,
  entryPoints: {
    main: 'src/cli/start.ts',
    'kept-code': 'src/cli/kept-code.ts',
    // the worker is a program of its own
    'explore-worker': 'src/cli/explore-worker.ts',
  },
  outdir: 'dist/cli',
  splitting: true,
  format: 'esm',
  // bundled CommonJS packages ask for node's own modules by require()
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
});

await build({
  ...options,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/cli/bpflab.cjs',
  format: 'cjs',
  // large, and only for pictures
  external: ['@viz-js/viz'],
  define: { 'import.meta.url': 'scriptUrl' },
  banner: {
    js: '(function (require, filename) { const scriptUrl = require("node:url").pathToFileURL(filename);',
  },
  footer: { js: '})' },
});

const { status } = spawnSync(process.execPath, ['src/cli/keep-code.mjs'], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
process.exitCode = status ?? 1;
