/**
 * Loads an object into the simulated kernel and runs its programs on a packet or context: maps of any size that a
 * mutant asks for, helpers with any arguments. The kernel has little memory, as the limit is on what a mutant may take.
 */
import { BpflabError } from '../../src/errors.js';
import { loadLab } from '../../src/kernel/lab.js';
import type { LoadableObject } from '../../src/object/index.js';
import { dumpMaps } from '../../src/report/map-dump.js';

const MEMORY_BYTES = 32 << 20;
const FUEL = 20_000;
const MAX_PROGRAMS = 4;
const PACKET = new Uint8Array(98).map(
  (_, i) => [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 84, 0, 1, 0x40, 0, 64, 17][i] ?? i,
);
const CONTEXT = new Uint8Array(64).fill(1);

/** Throws `BpflabError` for what is refused; `onRefusal` is told what programs are stopped by. */
export function runInLab(object: LoadableObject, onRefusal: (error: BpflabError) => void): void {
  const lab = loadLab(object, { memoryLimitBytes: MEMORY_BYTES, cpus: 2 });
  for (const { name } of object.programs.slice(0, MAX_PROGRAMS)) {
    for (const input of [{ dataIn: PACKET }, { ctxIn: CONTEXT }]) {
      try {
        lab.run(name, { ...input, fuel: FUEL, repeat: 2 });
      } catch (error) {
        if (!(error instanceof BpflabError)) throw error;
        onRefusal(error);
      }
    }
  }
  lab.drain();
  dumpMaps(lab);
}
