/** `bpflab run --raw`: instructions as hex, run by themselves with every memory access checked. */
import { ProgType } from '../abi/prog-types.js';
import { decodeInsns } from '../isa/decode.js';
import { INSN_SIZE } from '../isa/insn.js';
import { DEFAULT_RUN_FUEL, faultError } from '../kernel/bpf/run-prog.js';
import { Kernel } from '../kernel/kernel.js';
import { duration } from '../report/run.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { stdout } from './output.js';

export interface RawOptions {
  readonly mem?: Uint8Array;
  readonly fuel?: number;
  readonly seed?: number;
  readonly json?: boolean;
}

const NAME = 'raw';

export function runRaw(source: string, options: RawOptions): void {
  const insns = decodeInsns(rawBytes(source));
  const kernel = new Kernel(options.seed === undefined ? {} : { seed: options.seed });
  const prog = kernel.bpf.progLoad(
    {
      name: NAME,
      section: '',
      type: ProgType.unspec,
      expectedAttachType: 0,
      progFlags: 0,
      autoload: true,
      insns,
      subProgs: [{ name: NAME, insnOff: 0 }],
      funcInfo: [],
      lineInfo: [],
    },
    [],
  );
  const mem = options.mem ?? new Uint8Array(0);
  const region = kernel.engine.alloc(mem.length);
  region.bytes.set(mem);
  const args = mem.length === 0 ? [0, 0] : [region.address, mem.length];
  const start = performance.now();
  const { r0, instructions, fault } = kernel.engine.run(prog.program, {
    args,
    fuel: options.fuel ?? DEFAULT_RUN_FUEL,
  });
  const timeNs = Math.round((performance.now() - start) * 1e6);
  if (options.json) {
    stdout.json({ ...(fault === undefined ? { r0 } : { fault }), instructions, timeNs });
    if (fault !== undefined) process.exitCode = 1;
    return;
  }
  if (fault !== undefined) throw faultError(fault);
  stdout.line(`r0 = ${r0} (0x${r0.toString(16)}), ${instructions} instructions, ${duration(timeNs)}`);
  for (const line of kernel.tracePipe.drain()) stdout.line(line);
}

function rawBytes(source: string): Uint8Array {
  const text = source === '-' ? Buffer.from(readInput('-')).toString('latin1') : source;
  const digits = text.replaceAll(/0x|[\s:]/g, '');
  const refuse = (what: string) => new UsageError('USAGE_RAW', what);
  if (digits.length === 0) throw refuse('no instructions are given');
  if (/[^0-9a-f]/i.test(digits)) throw refuse('instructions are given as hex digits');
  if (digits.length % (2 * INSN_SIZE) !== 0) {
    throw refuse(`${digits.length} hex digits are no whole instructions of ${2 * INSN_SIZE} digits`);
  }
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
