/**
 * `bpflab btf`: what types a BTF holds. A summary, or a dump as text, JSON or C; of raw BTF, of an ELF
 * file's `.BTF`, of the running kernel, or of the small set that ships with bpflab.
 */
import { type Command, Option } from 'commander';
import { dumpC } from '../object/btf/dump/c.js';
import { rawJson, rawText, rawType } from '../object/btf/dump/raw.js';
import { elfSection, isElf } from '../object/btf/elf-btf.js';
import { type Btf, BtfError, BtfExt } from '../object/btf/index.js';
import { btfFromBytes, KERNEL_BTF_PATH, loadTargetBtf, readBtfFile } from '../object/btf/target.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { type Output, stdout } from './output.js';

type Format = 'raw' | 'c' | 'json';

interface Options {
  readonly format?: Format;
  readonly base?: string;
  readonly name?: string;
  readonly embedded?: boolean;
}

/** The types, and the whole file where they came out of an ELF file. */
interface Input {
  readonly btf: Btf;
  readonly file: string;
  readonly elf?: Uint8Array;
}

const EXAMPLES = `
Examples:
  bpflab btf prog.o                              how many types of which kind
  bpflab btf prog.o dump                         every type, as bpftool prints it
  bpflab btf prog.o dump --format c              as C that compiles
  bpflab btf dump --name task_struct --format c  one type of the running kernel, and what it needs
  bpflab btf --embedded dump --format json       the types that ship with bpflab
  bpflab btf module.btf dump --base vmlinux.btf  split BTF`;

export function configure(command: Command): void {
  command
    .argument('[file]', 'raw BTF or an ELF file with .BTF; - is standard input (default: the running kernel)')
    .argument('[action]', 'dump: print the types themselves')
    .addOption(
      new Option('--format <format>', 'raw (default), c or json').choices(['raw', 'c', 'json'] as const),
    )
    .option('--base <file>', 'BTF that split BTF builds on')
    .option('--name <name>', 'only types of this name; with --format c also what they need')
    .option('--embedded', 'the kernel types that ship with bpflab')
    .addHelpText('after', EXAMPLES)
    .action((file: string | undefined, action: string | undefined, options: Options) => {
      run(file, action, options, stdout);
    });
}

function run(file: string | undefined, action: string | undefined, options: Options, out: Output): void {
  const dumpsDefault = file === 'dump' && action === undefined;
  const path = dumpsDefault ? undefined : file;
  const wanted = dumpsDefault ? 'dump' : action;
  if (wanted !== undefined && wanted !== 'dump') {
    throw new UsageError('USAGE_ACTION', `unknown action ${wanted}: the only one is dump (try --help)`);
  }
  if (wanted === undefined && (options.format === 'raw' || options.format === 'c')) {
    throw new UsageError('USAGE_ACTION', `--format ${options.format} goes with dump; a summary can be json`);
  }
  const input = open(path, options);
  if (wanted === 'dump') dump(input, options, out);
  else summarise(input, options, out);
}

function open(path: string | undefined, options: Options): Input {
  if (options.embedded === true) {
    const other = path !== undefined ? 'a file' : options.base !== undefined ? '--base' : undefined;
    if (other !== undefined)
      throw new UsageError('USAGE_ACTION', `${other} and --embedded exclude each other`);
    return { btf: loadTargetBtf({ from: 'embedded' }), file: 'embedded BTF' };
  }
  if (path === undefined && options.base !== undefined) {
    throw new UsageError('USAGE_ACTION', '--base goes with a file of split BTF (try --help)');
  }
  if (path === undefined) return { btf: loadTargetBtf({ from: 'kernel' }), file: KERNEL_BTF_PATH };
  const base = options.base === undefined ? undefined : readBtfFile(options.base);
  const bytes = readInput(path);
  const btf = btfFromBytes(bytes, path, base);
  return isElf(bytes) ? { btf, file: path, elf: bytes } : { btf, file: path };
}

function chosenIds(btf: Btf, name: string | undefined): number[] {
  if (name !== undefined) {
    const ids = btf.idsByName(name);
    if (ids.length > 0) return ids;
    throw new BtfError('BTF_NO_TYPE', `there is no type named ${name}`, btf.file ? { file: btf.file } : {});
  }
  return Array.from({ length: btf.typeCount - btf.firstId }, (_, i) => btf.firstId + i);
}

function dump({ btf }: Input, options: Options, out: Output): void {
  const ids = chosenIds(btf, options.name);
  switch (options.format ?? 'raw') {
    case 'raw':
      writeChunks(
        out,
        mapIds(ids, (id) => `${rawText(rawType(btf, id))}\n`),
      );
      return;
    case 'c':
      writeChunks(out, options.name === undefined ? asHeader(dumpC(btf)) : dumpC(btf, ids));
      return;
    case 'json':
      out.json({ types: ids.map((id) => rawJson(rawType(btf, id))) });
      return;
  }
}

function* mapIds(ids: Iterable<number>, text: (id: number) => string): Generator<string> {
  for (const id of ids) yield text(id);
}

/** What a header for BPF programs needs around the types: once only, and with CO-RE for every field. */
function* asHeader(definitions: Iterable<string>): Generator<string> {
  yield '#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n';
  yield '#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n#endif\n\n';
  yield* definitions;
  yield '#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n';
  yield '#endif /* __VMLINUX_H__ */\n';
}

const CHUNK = 1 << 16;

/** Many small pieces as few writes. */
function writeChunks(out: Output, pieces: Iterable<string>): void {
  let pending = '';
  for (const piece of pieces) {
    pending += piece;
    if (pending.length < CHUNK) continue;
    out.write(pending);
    pending = '';
  }
  out.write(pending);
}

function summarise({ btf, file, elf }: Input, options: Options, out: Output): void {
  const ids = chosenIds(btf, options.name);
  const kinds: Record<string, number> = {};
  for (const id of ids) kinds[btf.kindOf(id)] = (kinds[btf.kindOf(id)] ?? 0) + 1;
  const ext = elf === undefined ? undefined : elfSection(elf, '.BTF.ext', file);
  const records = ext === undefined ? undefined : countRecords(BtfExt.parse(ext, btf, { file }));
  const summary = {
    file,
    endian: btf.endian,
    pointerSize: btf.pointerSize,
    bytes: btf.bytes.length,
    firstId: btf.firstId,
    types: ids.length,
    kinds,
    ...(records === undefined ? {} : { ext: records }),
  };
  if (options.format === 'json') {
    out.json(summary);
    return;
  }
  const split = btf.base === undefined ? '' : `, split: ids from ${btf.firstId}`;
  out.line(
    `${out.style('bold', file)}: ${btf.bytes.length} bytes, ${btf.endian}-endian, ${ids.length} types${split}`,
  );
  const byCount = Object.entries(kinds).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  for (const [kind, count] of byCount) out.line(`  ${kind.padEnd(12)}${String(count).padStart(8)}`);
  if (records === undefined) return;
  out.line('.BTF.ext records:');
  for (const [what, count] of Object.entries(records))
    out.line(`  ${what.padEnd(12)}${String(count).padStart(8)}`);
}

function countRecords(ext: BtfExt): Record<string, number> {
  const count = (bySection: ReadonlyMap<string, readonly unknown[]>): number =>
    [...bySection.values()].reduce((sum, records) => sum + records.length, 0);
  return { func_info: count(ext.funcInfo), line_info: count(ext.lineInfo), core_relo: count(ext.coreRelos) };
}
