/** A case of `helper-cases.ts` in our kernel: what it returns and leaves, in the form in which the kernel's answers are kept. */
import { createHash } from 'node:crypto';
import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { type ProgType, progTypeByName } from '../../src/abi/prog-types.js';
import { BpflabError } from '../../src/errors.js';
import { assemble } from '../../src/isa/index.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import type { HelperCase } from './helper-cases.js';
import type { MapSpec } from './random/gen.js';

/** Arguments of raw tracepoints. */
export const RAW_ARGUMENTS = '00'.repeat(64);
const SLEEPABLE = 16;

export interface Outcome {
  readonly retval?: number;
  /** Hex. */
  readonly data?: string;
  readonly refused?: string;
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** Result and packet in a few characters. */
export function summaryOf(retval: number, data: string): string {
  const digest = data === '' ? '' : createHash('sha1').update(data).digest('hex').slice(0, 10);
  return `${retval}:${digest}`;
}

export function outcomeOf(kernel: Kernel, one: HelperCase): Outcome {
  try {
    const maps = (one.maps ?? []).map((spec) => createMap(kernel, spec));
    const prog = kernel.bpf.progLoad(
      {
        name: 'case',
        section: one.type,
        type: progTypeByName(one.type) as ProgType,
        expectedAttachType: 0 as never,
        progFlags: one.type === 'syscall' ? SLEEPABLE : 0,
        autoload: true,
        insns: assemble(one.asm, { helperId }),
        subProgs: [],
        funcInfo: [],
        lineInfo: [],
      },
      maps,
    );
    const { retval, dataOut } = testRun(kernel, prog, {
      ...(one.data !== undefined && one.data !== '' && { dataIn: bytes(one.data) }),
      ...(one.type === 'raw_tracepoint' && { ctxIn: bytes(RAW_ARGUMENTS) }),
    });
    return { retval, data: Buffer.from(dataOut ?? []).toString('hex') };
  } catch (error) {
    if (error instanceof BpflabError) return { refused: error.message };
    throw error;
  }
}

function createMap(kernel: Kernel, spec: MapSpec): BpfMap {
  const map = kernel.bpf.mapCreate({
    name: spec.name,
    type: MapType[spec.type as MapTypeName],
    keySize: spec.key_size,
    valueSize: spec.value_size,
    maxEntries: spec.max_entries,
    mapFlags: spec.map_flags,
    mapExtra: 0n,
  });
  if (spec.data !== undefined) kernel.bpf.mapUpdate(map, new Uint8Array(4), bytes(spec.data));
  if (spec.frozen === true) kernel.bpf.mapFreeze(map);
  return map;
}
