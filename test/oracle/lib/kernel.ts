/**
 * Asks the running kernel through the reference tools beside the project: `kverify` (libbpf loads an object
 * file) and `kraw.py` (raw requests). Programs are loaded and let go; nothing is attached.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { encodeInsns } from '../../../src/isa/encode.js';
import { BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, type Insn, LD_IMM64 } from '../../../src/isa/index.js';
import type { LoadableObject, LoadableProgram, MapDef } from '../../../src/object/index.js';
import { type Built, build, SHARED_ORACLE } from './tools.js';

/** What `kverify --full` says of a program. */
export interface KernelProgram {
  readonly obj: string;
  readonly program?: string;
  readonly verdict: string;
  readonly errno?: number;
  readonly insn_processed?: number;
  readonly libbpf?: string;
  readonly log_last_lines?: string;
  /** Test runs on packets. */
  readonly runs?: readonly {
    readonly data_in: string;
    readonly errno?: number;
    readonly retval?: number;
    readonly data_out?: string;
  }[];
  readonly load?: {
    readonly prog_type: number;
    readonly expected_attach_type: number;
    readonly prog_flags: number;
    readonly attach_btf_id?: number;
    readonly license: string;
    readonly insns: string;
    readonly func_info?: string;
    readonly maps: readonly { readonly name: string }[];
  };
}

/** What `kraw.py` says of a request. */
export interface KernelAnswer {
  readonly verdict: string;
  readonly errno?: number;
  readonly map?: number;
  readonly log?: string;
  readonly runs?: readonly { readonly errno: number; readonly retval?: number; readonly data_out?: string }[];
}

const kraw = join(SHARED_ORACLE, 'kraw.py');

const jsonLines = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as T);

/** Why the kernel cannot be asked here; undefined when it can. */
export function kernelRefusal(): string | undefined {
  if (!existsSync(kraw)) return 'the reference tools are not beside this project';
  const [answer] = ask([{ prog_type: 'socket_filter', insns: 'b7000000000000009500000000000000' }]);
  if (answer === undefined) return 'no python3';
  return answer.verdict === 'accept' ? undefined : `bpf(2) is refused here (errno ${answer.errno})`;
}

export const buildKverify = (): Built =>
  build('kverify', [join(SHARED_ORACLE, 'kverify.c'), join(SHARED_ORACLE, 'bpfcap.c')]);

export function kverify(path: string, files: readonly string[]): KernelProgram[] {
  const result = spawnSync(path, ['--full', '--run', ...files], { encoding: 'utf8', maxBuffer: 1 << 30 });
  return jsonLines(result.stdout ?? '');
}

/** Raw requests, answered in order. `logChars`: how much of a log's end to keep. */
export function ask(requests: readonly object[], logChars = 1200): KernelAnswer[] {
  const input = requests.map((request) => JSON.stringify(request)).join('\n');
  const result = spawnSync('python3', [kraw, '--log', `${logChars}`], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  return jsonLines(result.stdout ?? '');
}

const isMapLoad = ({ code, src }: Insn): boolean =>
  code === LD_IMM64 && (src === BPF_PSEUDO_MAP_FD || src === BPF_PSEUDO_MAP_VALUE);

/** Instructions as lines, with the kernel's names of maps in place of their numbers. */
export function kernelListing(insns: readonly Insn[], mapName: (index: number) => string): string[] {
  return insns.map((insn) => {
    const { code, dst, src, off, imm } = insn;
    return [code, dst, src, off, isMapLoad(insn) ? mapName(imm) : imm].join(' ');
  });
}

export const kernelNameOf = (map: MapDef | undefined): string =>
  map === undefined ? 'none' : (map.kernelName ?? map.name).slice(0, 15);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const RINGBUF = 27;
const PERF_EVENT_ARRAY = 4;
/** Types of which Linux wants at least one element. */
const SIZED = new Set([1, 2, 3, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 23, 25]);

/** A map as a request wants it, with what kverify completes for maps that the application would size. */
function mapRequest(map: MapDef, btf: string | undefined, inner: number | undefined): object {
  const perf = map.type === PERF_EVENT_ARRAY;
  const fallback = map.type === RINGBUF ? 4096 : SIZED.has(map.type) ? 1 : 0;
  return {
    type: map.type,
    key_size: perf ? 4 : map.keySize,
    value_size: perf ? 4 : map.valueSize,
    max_entries: map.maxEntries || fallback,
    map_flags: map.mapFlags,
    name: kernelNameOf(map),
    ...(map.mapExtra !== 0n && { map_extra: Number(map.mapExtra) }),
    ...(btf !== undefined &&
      map.btfValueTypeId !== 0 && {
        btf,
        btf_key_type_id: map.btfKeyTypeId,
        btf_value_type_id: map.btfValueTypeId,
      }),
    ...(inner !== undefined && { inner }),
    ...(map.initialData !== undefined && { data: hex(map.initialData) }),
    ...(map.frozen && { frozen: true }),
  };
}

/** Our program as a raw request: the maps that it names, inner maps first. The flags are the reference's: it adds those that test programs ask for. */
export function requestOf(object: LoadableObject, program: LoadableProgram, progFlags: number): object {
  const btf = object.btf === undefined ? undefined : hex(object.btf.bytes);
  const maps: object[] = [];
  const places = new Map<number, number>();
  const place = (index: number): number => {
    const known = places.get(index);
    const map = object.maps[index];
    if (known !== undefined || map === undefined) return known ?? index;
    const inner = map.inner === undefined ? undefined : maps.push(mapRequest(map.inner, btf, undefined)) - 1;
    const at = maps.push(mapRequest(map, btf, inner)) - 1;
    places.set(index, at);
    return at;
  };
  const insns = program.insns.map((insn) => (isMapLoad(insn) ? { ...insn, imm: place(insn.imm) } : insn));
  const funcInfo = new Uint8Array(
    new Uint32Array(program.funcInfo.flatMap(({ insnOff, typeId }) => [insnOff, typeId])).buffer,
  );
  return {
    prog_type: program.type,
    expected_attach_type: program.expectedAttachType,
    prog_flags: progFlags,
    prog_name: program.name,
    license: object.license,
    kern_version: object.kernVersion,
    attach_btf_id: program.attachBtfId ?? 0,
    insns: hex(encodeInsns(insns)),
    // statistics only: a whole log may outgrow its buffer, which is an error of its own
    log_level: 4,
    maps,
    ...(btf !== undefined && funcInfo.length > 0 && { btf, func_info: hex(funcInfo) }),
  };
}
