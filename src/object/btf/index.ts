/** BTF's public face: what other folders import. Targets read files and are imported from `target.js`. */
export { Btf, type BtfParseOptions } from './btf.js';
export {
  BtfExt,
  type BtfExtParseOptions,
  CORE_RELO_KINDS,
  type CoreRelo,
  type CoreReloKind,
  type FuncInfoRecord,
  type LineInfoRecord,
} from './btf-ext.js';
export { cDeclaration, dumpC } from './dump/c.js';
export { type RawType, rawJson, rawText, rawType } from './dump/raw.js';
export { type BtfEncodeOptions, encodeBtf } from './encode.js';
export { BtfError, type BtfErrorCode } from './error.js';
export { reduceBtf } from './reduce.js';
export * from './types.js';
