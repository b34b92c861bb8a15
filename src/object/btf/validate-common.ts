/**
 * What both validation passes share: how they see a BTF, and how they name the type at fault.
 */
import { BtfError, type BtfErrorCode } from './error.js';
import type { BtfHeader } from './format.js';
import type { BtfKind, BtfType } from './types.js';

export interface CheckedBtf {
  readonly file: string | undefined;
  readonly header: BtfHeader;
  readonly firstId: number;
  readonly typeCount: number;
  readonly pointerSize: number;
  type(id: number): BtfType;
  kindOf(id: number): BtfKind;
  nameOf(id: number): string;
  vlenOf(id: number): number;
  word(id: number, index: number): number;
  has(id: number): boolean;
}

/** `[12] struct foo: detail`. */
export function invalid(
  btf: CheckedBtf,
  id: number,
  detail: string,
  code: BtfErrorCode = 'BTF_INVALID',
): BtfError {
  const name = btf.nameOf(id);
  const place = btf.file === undefined ? {} : { file: btf.file };
  return new BtfError(code, `[${id}] ${btf.kindOf(id)} ${name === '' ? '(anon)' : name}: ${detail}`, place);
}
