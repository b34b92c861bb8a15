/**
 * Where target types come from: a file, the running kernel, or the small set that ships with the
 * library. The only part of BTF that reads files.
 */
import { existsSync } from 'node:fs';
import { readWholeFile } from '../read-file.js';
import { Btf } from './btf.js';
import { elfSection, isElf } from './elf-btf.js';
import { EMBEDDED_BTF, EMBEDDED_BTF_SIZE } from './embedded/data.js';
import { inflateBase64 } from './embedded/inflate.js';
import { BtfError } from './error.js';

/** Where Linux shows its own types. */
export const KERNEL_BTF_PATH = '/sys/kernel/btf/vmlinux';

export type TargetChoice =
  /** Raw BTF, or ELF with a `.BTF` section; `base` for split BTF such as a module's. */
  | { readonly from: 'file'; readonly path: string; readonly base?: Btf }
  /** The running kernel; refused where there is none or it shows no types. */
  | { readonly from: 'kernel' }
  /** Common types of Linux 6.18 for x86-64, reduced: no kernel is needed and every machine gets the same. */
  | { readonly from: 'embedded' };

/** `file` of the types that come with bpflab. */
export const EMBEDDED_BTF_NAME = 'embedded BTF';

let embedded: Btf | undefined;

/** Opens the chosen target. Throws `BtfError`. */
export function loadTargetBtf(choice: TargetChoice): Btf {
  switch (choice.from) {
    case 'file':
      return readBtfFile(choice.path, choice.base);
    case 'kernel':
      if (!existsSync(KERNEL_BTF_PATH)) {
        throw new BtfError(
          'BTF_NOT_FOUND',
          'this system shows no kernel types; name a file or use the embedded ones',
          {
            file: KERNEL_BTF_PATH,
          },
        );
      }
      return readBtfFile(KERNEL_BTF_PATH);
    case 'embedded':
      embedded ??= Btf.parse(inflateBase64(EMBEDDED_BTF, EMBEDDED_BTF_SIZE), { file: EMBEDDED_BTF_NAME });
      return embedded;
  }
}

/** Opens raw BTF or the `.BTF` section of an ELF file. Throws `BtfError`. */
export function readBtfFile(path: string, base?: Btf): Btf {
  return btfFromBytes(readBytes(path), path, base);
}

/** The same for bytes at hand; `file` names them in errors. */
export function btfFromBytes(bytes: Uint8Array, file: string, base?: Btf): Btf {
  const options = base === undefined ? { file } : { file, base };
  if (!isElf(bytes)) return Btf.parse(bytes, options);
  const section = elfSection(bytes, '.BTF', file);
  if (section === undefined)
    throw new BtfError('BTF_NOT_FOUND', 'the ELF file has no .BTF section', { file });
  return Btf.parse(section, options);
}

function readBytes(path: string): Uint8Array {
  try {
    return readWholeFile(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new BtfError('BTF_NOT_FOUND', `cannot be read (${reason})`, { file: path });
  }
}
