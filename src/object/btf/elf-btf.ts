/**
 * Finds `.BTF` in an ELF file of any machine, class and byte order, so that a kernel image, a module or
 * an object can serve as a source of types. The loader's own reader only takes BPF objects and checks far more.
 */
import { BtfError } from './error.js';

export const isElf = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;

/** Field offsets in the file header and in a section header, by ELF class. */
interface Layout {
  readonly word: 4 | 8;
  readonly headerSize: number;
  readonly shoff: number;
  readonly shentsize: number;
  readonly sectionSize: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const LAYOUTS: Readonly<Record<number, Layout>> = {
  1: { word: 4, headerSize: 52, shoff: 32, shentsize: 46, sectionSize: 40, offset: 16, size: 20, link: 24 },
  2: { word: 8, headerSize: 64, shoff: 40, shentsize: 58, sectionSize: 64, offset: 24, size: 32, link: 40 },
};

const SHT_NOBITS = 8;
/** Where the real section count and string table index stand in section 0. */
const SHN_XINDEX = 0xffff;

/** Bytes of the named section; undefined where there is none. Throws `BTF_NOT_FOUND` on a broken file. */
export function elfSection(bytes: Uint8Array, wanted: string, file?: string): Uint8Array | undefined {
  const fail = (detail: string): never => {
    throw new BtfError('BTF_NOT_FOUND', `broken ELF file: ${detail}`, file === undefined ? {} : { file });
  };
  if (bytes.length < 6) fail('its header is cut off');
  const layout = LAYOUTS[bytes[4] ?? 0] ?? fail(`unknown class ${bytes[4]}`);
  if (bytes.length < layout.headerSize) fail('its header is cut off');
  if (bytes[5] !== 1 && bytes[5] !== 2) fail(`unknown byte order ${bytes[5]}`);
  const little = bytes[5] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): number =>
    layout.word === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little));
  const tableAt = word(layout.shoff);
  const stride = view.getUint16(layout.shentsize, little);
  if (tableAt === 0) return undefined;
  if (stride < layout.sectionSize) fail(`section headers of ${stride} bytes`);
  if (tableAt + stride > bytes.length) fail('its section table lies outside the file');
  const headerOf = (index: number): number => tableAt + index * stride;
  const count = view.getUint16(layout.shentsize + 2, little) || word(headerOf(0) + layout.size);
  if (headerOf(count) > bytes.length) fail('its section table lies outside the file');
  let namesIndex = view.getUint16(layout.shentsize + 4, little);
  if (namesIndex === SHN_XINDEX) namesIndex = view.getUint32(headerOf(0) + layout.link, little);
  if (namesIndex >= count) fail('it has no section names');
  const contents = (index: number): Uint8Array => {
    const at = headerOf(index);
    if (view.getUint32(at + 4, little) === SHT_NOBITS) return bytes.subarray(0, 0);
    const [offset, size] = [word(at + layout.offset), word(at + layout.size)];
    if (offset + size > bytes.length) fail(`section ${index} lies outside the file`);
    return bytes.subarray(offset, offset + size);
  };
  const names = contents(namesIndex);
  for (let index = 1; index < count; index++) {
    if (nameAt(names, view.getUint32(headerOf(index), little)) === wanted) return contents(index);
  }
  return undefined;
}

function nameAt(names: Uint8Array, offset: number): string {
  const end = names.indexOf(0, offset);
  if (offset >= names.length || end < 0 || end - offset > 64) return '';
  return String.fromCharCode(...names.subarray(offset, end));
}
