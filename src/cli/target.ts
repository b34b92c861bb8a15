/**
 * The options that say which kernel an object is relocated for, shared by every command that relocates: types for
 * CO-RE, values for `.kconfig`. Types are opened only where the object asks for them.
 */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { Btf } from '../object/btf/btf.js';
import { EMBEDDED_BTF_NAME, KERNEL_BTF_PATH, loadTargetBtf } from '../object/btf/target.js';
import type { BpfObject, RelocateOptions } from '../object/index.js';
import { readInput } from './files.js';

export interface TargetOptions {
  readonly btf?: string;
  readonly kconfig?: string;
}

export function addTargetOptions(command: Command): Command {
  return command
    .option(
      '--btf <file>',
      'types of the target kernel for CO-RE: a BTF or ELF file, "kernel" (the running one) or "embedded"' +
        ' (default: the running kernel where it shows its types, else embedded)',
    )
    .option('--kconfig <file>', 'kernel configuration (lines CONFIG_X=value) for .kconfig variables');
}

/** What `relocateObject` needs to know of the target that the user chose. */
export function targetFor(object: BpfObject, options: TargetOptions): RelocateOptions {
  return {
    ...((options.btf !== undefined || needsTypes(object)) && { targetBtf: chooseTypes(options.btf) }),
    ...(options.kconfig !== undefined && { kconfig: Buffer.from(readInput(options.kconfig)).toString() }),
  };
}

export function chooseTypes(choice: string | undefined): Btf {
  switch (choice) {
    case undefined:
      return loadTargetBtf({ from: existsSync(KERNEL_BTF_PATH) ? 'kernel' : 'embedded' });
    case 'kernel':
    case 'embedded':
      return loadTargetBtf({ from: choice });
    default:
      return loadTargetBtf({ from: 'file', path: choice });
  }
}

/** The types that come with bpflab are a selection. */
export function isEmbedded(types: Btf): boolean {
  return types.file === EMBEDDED_BTF_NAME;
}

/** Opening a kernel's types takes longer than most objects need in all, so it is done on demand. */
function needsTypes(object: BpfObject): boolean {
  const coreRelos = object.btfExt?.coreRelos.size ?? 0;
  const typedExterns = object.externs.some(({ kind }) => kind === 'kfunc' || kind === 'ksym');
  const structOps = object.maps.some(({ def }) => def.structOps !== undefined);
  return coreRelos > 0 || typedExterns || structOps || object.programs.some(({ attachBtf }) => attachBtf);
}
