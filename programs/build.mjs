/**
 * Rebuilds the objects beside the programs' sources: `node programs/build.mjs [--check] [NAME…]`.
 * Needs clang and llvm-strip (19, the version the committed objects come from, or what CLANG and LLVM_STRIP name) and the
 * headers of libbpf and Linux (Debian: clang-19 llvm-19 libbpf-dev linux-libc-dev). Says so where they are missing.
 * `--check` builds into a temporary folder and only compares.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const CLANG = process.env.CLANG ?? 'clang-19';
const STRIP = process.env.LLVM_STRIP ?? 'llvm-strip-19';
/** Debian keeps asm/ in a folder a machine; any 64-bit one will do. */
const ASM_FOLDERS = ['x86_64-linux-gnu', 'aarch64-linux-gnu', 'riscv64-linux-gnu'].map(
  (name) => `/usr/include/${name}`,
);

const say = (text) => process.stdout.write(`${text}\n`);

function fail(text) {
  process.stderr.write(`build:programs: ${text}\n`);
  process.exit(1);
}

function run(command, args) {
  const done = spawnSync(command, args, { cwd: FOLDER, encoding: 'utf8' });
  if (done.status !== 0) fail(`${command} ${args.at(-1)} failed\n${done.stderr}`);
}

function compile(name, folder) {
  const object = join(folder, `${name}.bpf.o`);
  const asm = ASM_FOLDERS.find(existsSync);
  run(CLANG, [
    '-O2',
    '-g',
    '-Wall',
    '-Wextra',
    '-Wno-unused-parameter',
    '-Wno-sign-compare',
    '-target',
    'bpf',
    '-mcpu=v3',
    '-D__TARGET_ARCH_x86',
    ...(asm === undefined ? [] : ['-idirafter', asm]),
    // The object carries the sources' names in its line information: none may depend on where it was built.
    '-fdebug-compilation-dir=.',
    `-ffile-prefix-map=${FOLDER}=`,
    '-ffile-prefix-map=/usr/include/=',
    '-c',
    '-o',
    object,
    `${name}.bpf.c`,
  ]);
  run(STRIP, ['-g', object]);
  return readFileSync(object);
}

const args = process.argv.slice(2);
const check = args.includes('--check');
const wanted = args.filter((arg) => !arg.startsWith('--'));
const names = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.bpf.c'))
  .map((file) => file.slice(0, -'.bpf.c'.length))
  .filter((name) => wanted.length === 0 || wanted.includes(name));
if (names.length === 0) fail(`no program is called ${wanted.join(', ')}`);
for (const tool of [CLANG, STRIP]) {
  if (spawnSync(tool, ['--version']).status !== 0) {
    fail(
      `${tool} is not here; the committed objects stay as they are (Debian: apt-get install clang-19 llvm-19 libbpf-dev)`,
    );
  }
}
if (!existsSync('/usr/include/bpf/bpf_helpers.h'))
  fail('libbpf headers are not here (Debian: apt-get install libbpf-dev)');

const scratch = mkdtempSync(join(tmpdir(), 'bpflab-programs-'));
let differing = 0;
for (const name of names) {
  const committed = join(FOLDER, `${name}.bpf.o`);
  const before = existsSync(committed) ? readFileSync(committed) : undefined;
  const after = compile(name, check ? scratch : FOLDER);
  const same = before?.equals(after) ?? false;
  if (!same) differing++;
  say(
    `${name}.bpf.o  ${after.length} bytes  ${same ? 'unchanged' : before === undefined ? 'new' : 'differs'}`,
  );
}
rmSync(scratch, { recursive: true, force: true });
if (check && differing > 0) fail(`${differing} of ${names.length} objects differ from what is committed`);
