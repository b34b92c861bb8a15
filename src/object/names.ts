/** Names as libbpf derives them for the kernel: object names, names of global-data maps, length limits. */

/** `BPF_OBJ_NAME_LEN` without its NUL. */
export const MAX_KERNEL_NAME = 15;

/** Base name of a file up to its first dot, cut to 15 characters (`bpf_object__new`). */
export function objectName(file: string): string {
  const base = file.slice(file.lastIndexOf('/') + 1).slice(0, MAX_KERNEL_NAME);
  const dot = base.indexOf('.');
  return dot < 0 ? base : base.slice(0, dot);
}

/**
 * What the kernel calls the map of a data section (`internal_map_name`): up to eight characters of the object's name
 * before `.data`, `.bss` or `.rodata`, none before a section with a second dot; odd characters become `_`.
 */
export function dataMapName(object: string, section: string): string {
  const suffixLength = Math.min(Math.max(7, section.length), MAX_KERNEL_NAME);
  const custom = section.indexOf('.', 1) >= 0;
  const prefixLength = custom ? 0 : Math.min(MAX_KERNEL_NAME - suffixLength, object.length);
  const name = object.slice(0, prefixLength) + section.slice(0, suffixLength);
  return name.replace(/[^A-Za-z0-9_.]/g, '_');
}
