/**
 * Objects with a `maps` section, which libbpf 1.x refuses, against the requests that the reference tools'
 * `legacy_elf.py` makes of them. It knows little-endian objects without CO-RE and without function pointers.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, LD_IMM64 } from '../../../src/isa/constants.js';
import { decodeInsns } from '../../../src/isa/decode.js';
import type { Insn } from '../../../src/isa/insn.js';
import type { LoadableObject, MapDef } from '../../../src/object/types.js';
import { SHARED_ORACLE } from './tools.js';

interface LegacyMap {
  readonly name: string;
  readonly type: number;
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
  readonly map_flags: number;
  readonly data?: string;
}

interface LegacyRequest {
  readonly section: string;
  readonly maps: readonly LegacyMap[];
  readonly insns?: string;
  readonly license: string;
}

/** Requests for a file's programs; undefined where the tool or Python is not there. */
export function legacyRequests(file: string): LegacyRequest[] | undefined {
  const tool = join(SHARED_ORACLE, 'legacy_elf.py');
  if (!existsSync(tool)) return undefined;
  const result = spawnSync('python3', [tool, file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) return undefined;
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LegacyRequest);
}

/** One line an instruction; map numbers, which both sides count differently, become names. */
function listing(insns: readonly Insn[], mapName: (index: number) => string): string[] {
  return insns.map((insn) => {
    const { code, dst, src, off, imm } = insn;
    const isMap = code === LD_IMM64 && (src === BPF_PSEUDO_MAP_FD || src === BPF_PSEUDO_MAP_VALUE);
    return `${code} ${dst} ${src} ${off} ${isMap ? mapName(imm) : imm}`;
  });
}

/** legacy_elf.py names data maps by their section. */
const ourName = (map: MapDef | undefined): string =>
  map === undefined ? 'none' : map.origin === 'legacy' ? map.name : map.section;

function compareMaps(ours: readonly MapDef[], theirs: readonly LegacyMap[]): string[] {
  const lines: string[] = [];
  const known = ours.filter(({ origin }) => origin !== 'btf' && origin !== 'kconfig');
  for (const map of theirs) {
    const own = ours.find((candidate) => ourName(candidate) === map.name);
    // perf event arrays and maps of maps are completed by the tool for the kernel's sake
    const completed = map.type === 4 || map.type === 12 || map.type === 13;
    const text = (m: readonly (number | undefined)[]): string => m.join(', ');
    const mine = own && [
      own.type,
      completed ? 4 : own.keySize,
      completed ? 4 : own.valueSize,
      own.maxEntries || 2,
      own.mapFlags & ~1024,
    ];
    const wanted = [map.type, map.key_size, map.value_size, map.max_entries || 2, map.map_flags];
    if (mine === undefined || text(mine) !== text(wanted)) {
      lines.push(`map ${map.name}: ours ${mine ? text(mine) : 'none'}, reference ${text(wanted)}`);
    }
    if (own?.initialData !== undefined && map.data !== undefined) {
      const data = Buffer.from(own.initialData).toString('hex');
      if (data !== map.data) lines.push(`map ${map.name}: contents: ours ${data}, reference ${map.data}`);
    }
  }
  if (known.length !== theirs.length) lines.push(`maps: ours ${known.length}, reference ${theirs.length}`);
  return lines;
}

/** Differences, and how many programs could be compared. */
export function compareLegacy(
  ours: LoadableObject,
  requests: readonly LegacyRequest[],
): { lines: string[]; compared: number } {
  const lines = requests[0] === undefined ? [] : compareMaps(ours.maps, requests[0].maps);
  let compared = 0;
  for (const program of ours.programs) {
    const request = requests.find(({ section }) => section === program.section);
    if (request?.insns === undefined) continue;
    compared++;
    const theirs = listing(
      decodeInsns(Buffer.from(request.insns, 'hex')),
      (i) => request.maps[i]?.name ?? 'none',
    );
    const mine = listing(program.insns, (i) => ourName(ours.maps[i]));
    const at = mine.findIndex((text, i) => text !== theirs[i]);
    if (at >= 0)
      lines.push(`program ${program.name}: insn ${at}: ours ${mine[at]}, reference ${theirs[at] ?? 'none'}`);
    else if (mine.length !== theirs.length) {
      lines.push(`program ${program.name}: ours ${mine.length} instructions, reference ${theirs.length}`);
    }
    if (ours.license !== '' && request.license !== ours.license)
      lines.push(`license: ours ${ours.license}, reference ${request.license}`);
  }
  return { lines, compared };
}
