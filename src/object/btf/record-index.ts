/**
 * Where each type record of a BTF type section starts: one pass over the headers, nothing decoded.
 * This is what makes opening a whole kernel's BTF cheap.
 */
import { BtfError } from './error.js';
import {
  BTF_MAX_TYPE,
  BTF_TYPE_SIZE,
  ELEM_SIZE,
  FIXED_SIZE,
  infoKind,
  infoVlen,
  KIND_COUNT,
} from './format.js';

/** Byte offsets of all records in the section; `firstId` only names them in errors. */
export function indexRecords(view: DataView, little: boolean, firstId: number, file?: string): Uint32Array {
  const size = view.byteLength;
  const starts = new Uint32Array(Math.floor(size / BTF_TYPE_SIZE));
  let count = 0;
  let at = 0;
  const fail = (code: 'BTF_TRUNCATED' | 'BTF_KIND' | 'BTF_HEADER', detail: string): never => {
    const place = file === undefined ? { offset: at } : { file, offset: at };
    throw new BtfError(code, detail, place);
  };
  while (at < size) {
    const id = firstId + count;
    if (at + BTF_TYPE_SIZE > size) fail('BTF_TRUNCATED', `type [${id}] is cut off by the end of the types`);
    const info = view.getUint32(at + 4, little);
    const kind = infoKind(info);
    if (kind === 0 || kind >= KIND_COUNT) fail('BTF_KIND', `type [${id}] is of unknown kind ${kind}`);
    starts[count] = at;
    count++;
    const elements = ELEM_SIZE[kind as 0];
    const next: number =
      at + BTF_TYPE_SIZE + FIXED_SIZE[kind as 0] + (elements === 0 ? 0 : elements * infoVlen(info));
    if (next > size) {
      fail('BTF_TRUNCATED', `type [${id}] needs ${next - at} bytes, ${size - at} are left in the types`);
    }
    at = next;
  }
  if (firstId + count - 1 > BTF_MAX_TYPE) fail('BTF_HEADER', `more than ${BTF_MAX_TYPE} types`);
  return starts.subarray(0, count);
}
