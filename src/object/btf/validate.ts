/**
 * What the kernel checks of BTF that it is given (`btf_parse` of `kernel/bpf/btf.c`, Linux 6.18), as far
 * as types are concerned: every record by itself, then what records say about each other. The rules for
 * the kernel's own field types (`bpf_spin_lock`, kptrs, …) belong to the verifier and are not here.
 */
import { BtfError } from './error.js';
import { BTF_MAX_STR_SIZE } from './format.js';
import { type CheckedBtf, invalid } from './validate-common.js';
import { checkRecord } from './validate-record.js';
import { Resolver } from './validate-resolve.js';

/** Throws the first fault in the kernel's order: all records, then all references, then type tags. */
export function validateBtf(btf: CheckedBtf): void {
  checkHeader(btf);
  for (let id = btf.firstId; id < btf.typeCount; id++) checkRecord(btf, id);
  const resolver = new Resolver(btf);
  for (let id = btf.firstId; id < btf.typeCount; id++) resolver.check(id);
  for (let id = btf.firstId; id < btf.typeCount; id++) checkTypeTags(btf, id);
}

/** No flags, and two sections without a gap before, between or behind them. */
function checkHeader({ header, file }: CheckedBtf): void {
  const place = file === undefined ? {} : { file };
  if (header.flags !== 0) throw new BtfError('BTF_HEADER', `flags ${header.flags} are not supported`, place);
  const typeEnd = header.typeStart + header.typeSize;
  const gaps =
    header.typeStart !== header.headerSize ||
    header.strStart !== typeEnd ||
    header.strStart + header.strSize !== header.totalSize;
  if (gaps) throw new BtfError('BTF_HEADER', 'there are bytes outside the type and string sections', place);
  if (header.strSize > BTF_MAX_STR_SIZE)
    throw new BtfError('BTF_HEADER', 'string section exceeds 16 MiB', place);
}

/** Longest chain of qualifiers, typedefs and tags. */
const MAX_CHAIN = 32;

/** In a chain, tags come before any qualifier or typedef. */
function checkTypeTags(btf: CheckedBtf, id: number): void {
  let type = btf.type(id);
  let inTags = type.kind === 'type_tag';
  for (let length = 0; isLink(type.kind); length++) {
    if (length === MAX_CHAIN) throw loopError(btf, id);
    if (type.kind !== 'type_tag') inTags = false;
    else if (!inTags) throw invalid(btf, id, "type tags don't precede modifiers");
    type = btf.type('type' in type ? type.type : 0);
  }
}

function loopError(btf: CheckedBtf, id: number): BtfError {
  return invalid(btf, id, 'chain of modifiers is too long, or loops', 'BTF_LOOP');
}

function isLink(kind: string): boolean {
  return ['typedef', 'const', 'volatile', 'restrict', 'type_tag'].includes(kind);
}
