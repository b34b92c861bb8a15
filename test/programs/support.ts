/** Loads one of our programs and runs it; expected values in the tests are what Linux 6.18 gave for the same input. */
import { readFileSync } from 'node:fs';
import { type Lab, type LabOptions, loadLab } from '../../src/kernel/lab.js';
import { type CapturedFrame, readPcap } from '../../src/kernel/net/pcap.js';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { openObject, relocateObject } from '../../src/object/index.js';
import { dumpMaps, type MapDump } from '../../src/report/map-dump.js';

const FOLDER = new URL('../../programs/', import.meta.url);

export function lab(name: string, options: LabOptions = {}): Lab {
  const targetBtf = loadTargetBtf({ from: 'embedded' });
  const file = `${name}.bpf.o`;
  const object = openObject(new Uint8Array(readFileSync(new URL(file, FOLDER))), { file });
  const kconfig = { CONFIG_HZ: '250' };
  return loadLab(relocateObject(object, { targetBtf, kconfig }), { btf: targetBtf, ...options });
}

/** The frames of the committed capture. */
export function traffic(): CapturedFrame[] {
  return readPcap(new Uint8Array(readFileSync(new URL('data/traffic.pcap', FOLDER))));
}

/** Return values of a program over the whole capture: value → how often; `refused` as its errno's name. */
export function runTraffic(loaded: Lab, prog: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { data } of traffic()) {
    let key: string;
    try {
      key = (loaded.run(prog, { dataIn: data }).retval | 0).toString();
    } catch (error) {
      key = (error as { code: string }).code;
    }
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** A map's entries, keys and values decoded; values of one CPU where there is one a CPU. */
export function entries(loaded: Lab, map: string, cpu = 0): unknown[][] {
  return dumpOf(loaded, map).entries.map(({ key, value, values }) => [
    key,
    values === undefined ? value : values[cpu],
  ]);
}

export function dumpOf(loaded: Lab, map: string): MapDump {
  const dump = dumpMaps(loaded).find(({ name }) => name === map);
  if (dump === undefined) throw new Error(`no map ${map}`);
  return dump;
}

/** Little-endian 32-bit words, for keys and contexts. */
export function u32(...words: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

export function u64(...words: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(words, (word) => BigInt.asUintN(64, BigInt(word))).buffer);
}

export function concat(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
