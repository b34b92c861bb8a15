/** Builds the C side of a comparison in a temporary folder, where this machine has what that takes. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Files beside the project that belong to nobody's clone: the reference tools of this project's machines. */
export const SHARED_ORACLE = fileURLToPath(new URL('../../../../shared/oracle', import.meta.url));

export type Built = { readonly path: string } | { readonly missing: string };

const folder = mkdtempSync(join(tmpdir(), 'bpflab-oracle-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Compiles C sources against the machine's libbpf. `missing` says what is not there. */
export function build(name: string, sources: readonly string[]): Built {
  const absent = sources.find((source) => !existsSync(source));
  if (absent !== undefined) return { missing: `${absent} is not there` };
  const path = join(folder, name);
  const result = spawnSync('gcc', ['-O2', '-o', path, ...sources, '-lbpf', '-lelf', '-lz'], {
    encoding: 'utf8',
  });
  if (result.error !== undefined) return { missing: 'no gcc' };
  if (result.status === 0) return { path };
  const line = result.stderr.split('\n').find((text) => /error|cannot find/.test(text)) ?? 'gcc failed';
  return { missing: `no libbpf to build against (${line.trim()})` };
}

export const buildCapture = (): Built =>
  build('capture', [fileURLToPath(new URL('./capture.c', import.meta.url))]);

/** Standard output of a tool over some files; throws where it cannot be run. */
export function run(path: string, args: readonly string[]): string {
  const result = spawnSync(path, [...args], { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (result.error !== undefined) throw result.error;
  return result.stdout;
}
