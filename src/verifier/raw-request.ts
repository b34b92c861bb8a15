/**
 * Recorded load requests, one JSON object each, as the project's tools exchange them: `prog_type`, `insns` (hex), `maps`,
 * `btf` (a hash or the blob in hex), `func_info`, … turned into a `VerifyRequest`.
 */

import { MapType, type MapTypeName } from '../abi/map-types.js';
import { isProgType, progTypeByName } from '../abi/prog-types.js';
import { decodeInsns } from '../isa/decode.js';
import type { Btf } from '../object/btf/btf.js';
import { CAPABILITY_NAMES, capabilitiesByName } from './capabilities.js';
import { VerifierError } from './error.js';
import type { VerifyCapabilities, VerifyFuncInfo, VerifyMap, VerifyPolicy, VerifyRequest } from './types.js';

/** Finds the BTF with this hash, or decodes it where it is given in hex; undefined where there is none. */
export type BtfSource = (hash: string) => Btf | undefined;

type Json = Readonly<Record<string, unknown>>;

function bad(what: string): never {
  throw new VerifierError('VERIFIER_REQUEST', what);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberOf(source: Json, key: string, fallback = 0): number {
  const value = source[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value)) bad(`"${key}" is no whole number`);
  return value;
}

function textOf(source: Json, key: string, fallback = ''): string {
  const value = source[key] ?? fallback;
  if (typeof value !== 'string') bad(`"${key}" is no string`);
  return value;
}

function bytesOf(source: Json, key: string): Uint8Array {
  const hex = textOf(source, key);
  if (hex.length % 2 !== 0 || /[^0-9a-f]/i.test(hex)) bad(`"${key}" is no hex`);
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

function progTypeOf(source: Json): number {
  const value = source.prog_type;
  if (typeof value === 'number' && isProgType(value)) return value;
  const byName = typeof value === 'string' ? progTypeByName(value) : undefined;
  return byName ?? bad('"prog_type" names no program type');
}

function mapTypeOf(source: Json): number {
  const value = source.type;
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && Object.hasOwn(MapType, value)) return MapType[value as MapTypeName];
  return bad('a map\'s "type" names no map type');
}

/** The name as the kernel keeps it. */
function mapName(source: Json): string {
  return textOf(source, 'name')
    .replace(/[^A-Za-z0-9_.]/g, '_')
    .slice(0, 15);
}

function mapOf(source: unknown, earlier: readonly VerifyMap[], btfOf: BtfSource): VerifyMap {
  if (!isObject(source)) bad('a map is no object');
  const hash = textOf(source, 'btf');
  const btf = hash === '' ? undefined : btfOf(hash);
  const innerIndex = source.inner;
  const inner = typeof innerIndex === 'number' ? earlier[innerIndex] : undefined;
  if (innerIndex !== undefined && inner === undefined) bad('a map\'s "inner" names no earlier map');
  return {
    name: mapName(source),
    type: mapTypeOf(source),
    keySize: numberOf(source, 'key_size'),
    valueSize: numberOf(source, 'value_size'),
    maxEntries: numberOf(source, 'max_entries'),
    mapFlags: numberOf(source, 'map_flags'),
    mapExtra: BigInt(numberOf(source, 'map_extra')),
    ...(inner !== undefined && { inner }),
    ...(source.data !== undefined && { data: bytesOf(source, 'data') }),
    frozen: source.frozen === true || source.frozen === 1,
    ...(btf !== undefined && {
      btf,
      btfKeyTypeId: numberOf(source, 'btf_key_type_id'),
      btfValueTypeId: numberOf(source, 'btf_value_type_id'),
    }),
  };
}

function funcInfoOf(source: Json): VerifyFuncInfo[] {
  const bytes = bytesOf(source, 'func_info');
  const size = numberOf(source, 'func_info_rec_size', 8);
  if (size < 8 || bytes.length % size !== 0) bad('"func_info" is no whole number of records');
  const view = new DataView(bytes.buffer);
  const records: VerifyFuncInfo[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    records.push({ insnOff: view.getUint32(at, true), typeId: view.getUint32(at + 4, true) });
  }
  return records;
}

function capsOf(source: Json): VerifyCapabilities {
  const caps = Array.isArray(source.caps) ? capabilitiesByName(source.caps) : undefined;
  return caps ?? bad(`"caps" is no list out of ${CAPABILITY_NAMES.join(', ')}`);
}

/**
 * A request from its JSON object.
 * @throws VerifierError `VERIFIER_REQUEST` for what is no request; decoding errors of instructions and BTF pass through.
 */
export function requestFromJson(json: unknown, btfOf: BtfSource, policy?: VerifyPolicy): VerifyRequest {
  return readRequest(json, btfOf, policy, 0);
}

/** Programs that hang on programs that hang on programs: Linux allows fewer. */
const MAX_CHAIN = 4;

function readRequest(
  json: unknown,
  btfOf: BtfSource,
  policy: VerifyPolicy | undefined,
  depth: number,
): VerifyRequest {
  if (!isObject(json)) bad('a request is no object');
  if (depth > MAX_CHAIN) bad('"attach_prog" names too long a chain of programs');
  const maps: VerifyMap[] = [];
  const list = json.maps ?? [];
  if (!Array.isArray(list)) bad('"maps" is no list');
  for (const map of list) maps.push(mapOf(map, maps, btfOf));
  const hash = textOf(json, 'btf');
  const btf = hash === '' ? undefined : btfOf(hash);
  return {
    insns: decodeInsns(bytesOf(json, 'insns')),
    progType: progTypeOf(json),
    expectedAttachType: numberOf(json, 'expected_attach_type'),
    progFlags: numberOf(json, 'prog_flags', numberOf(json, 'flags')),
    license: textOf(json, 'license', 'GPL'),
    name: textOf(json, 'prog_name'),
    maps,
    ...(btf !== undefined && { btf, funcInfo: funcInfoOf(json) }),
    attachBtfId: numberOf(json, 'attach_btf_id'),
    ...(json.attach_prog !== undefined && {
      attachTarget: readRequest(json.attach_prog, btfOf, policy, depth + 1),
    }),
    logLevel: numberOf(json, 'log_level'),
    ...(json.caps !== undefined && { capabilities: capsOf(json) }),
    ...(policy !== undefined && { policy }),
  };
}
