/**
 * `bpflab conformance`: a plugin of the public bpf_conformance suite. The suite's runner starts it once a
 * test, `conformance ["<hex memory>"] [options]`, with the program as hex bytes on standard input, and
 * wants r0 in hex on standard output, or an exit code other than 0 and the reason as the only text.
 * Starts fast: nothing is imported but the engine and the decoder, and with `--elf` the object reader.
 */
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { BpflabError } from '../errors.js';
import { decodeInsns } from '../isa/decode.js';
import { Engine, type HelperDef, type RunResult } from '../vm/index.js';

export interface ConformanceIo {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** Input of the plugin that is not what the protocol says. */
class ProtocolError extends BpflabError {}

/** The suite calls one helper, number 5, and expects it to give its first argument back. */
const IDENTITY_HELPER = 5;
const identity: HelperDef = { kind: 'plain', name: 'identity', run: (call) => call.arg(1) };

function parseHex(hex: string, what: string): Uint8Array {
  const digits = hex.replaceAll(/0x|\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new ProtocolError('CONFORMANCE_HEX', `${what} is not a sequence of hex bytes`);
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/** With `--elf` the runner writes an object whose one program is its `.text`. */
async function textSection(object: Uint8Array): Promise<Uint8Array> {
  const { openObject } = await import('../object/index.js');
  const section = openObject(object, { file: 'standard input' }).sections.find(
    ({ name }) => name === '.text',
  );
  if (section === undefined) throw new ProtocolError('CONFORMANCE_ELF', 'the object has no section .text');
  return section.data;
}

function execute(code: Uint8Array, memory: Uint8Array): RunResult {
  const engine = new Engine();
  const insns = decodeInsns(code);
  const program = engine.load(
    { name: 'conformance', insns },
    { helpers: (kind, id) => (kind === 'helper' && id === IDENTITY_HELPER ? identity : undefined) },
  );
  if (memory.length === 0) return engine.run(program);
  const region = engine.alloc(memory.length);
  region.bytes.set(memory);
  return engine.run(program, { args: [region.address, memory.length] });
}

/** Runs one test; resolves to the exit code. `argv` is what follows `conformance`; unknown options are ignored. */
export async function run(argv: readonly string[], io: ConformanceIo): Promise<number> {
  try {
    const [first] = argv;
    const memory = first === undefined || first.startsWith('--') ? '' : first;
    const input = parseHex(await text(io.stdin), 'the program');
    const code = argv.includes('--elf') ? await textSection(input) : input;
    const { r0, fault } = execute(code, parseHex(memory, 'the memory'));
    if (fault !== undefined) {
      io.stdout.write(`${fault.program}, insn ${fault.insn}: ${fault.detail}\n`);
      return 1;
    }
    io.stdout.write(`${r0.toString(16)}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof BpflabError)) throw error;
    io.stdout.write(`${error.message}\n`);
    return 1;
  }
}

const EXAMPLES = `
Example:
  echo b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00 | bpflab conformance
  bpf_conformance_runner --test_file_directory tests --plugin_path ./plugin --cpu_version v4
    where ./plugin is a script: exec bpflab conformance "$@"`;

export function configure(command: Command): void {
  command
    .argument('[memory]', 'memory as hex bytes: r1 is its address, r2 its length')
    .argument('[options...]', 'options of other plugins, ignored')
    .allowUnknownOption()
    .addHelpText('after', EXAMPLES)
    .action(async (memory: string | undefined, options: string[]) => {
      const argv = memory === undefined ? options : [memory, ...options];
      process.exitCode = await run(argv, process);
    });
}
