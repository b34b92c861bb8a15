/** Helpers of syscall programs: `bpf()` from within, descriptors, names. Models kernel/bpf/syscall.c of Linux 6.18. */

import { Errno } from '../../../abi/errno.js';
import type { MapType } from '../../../abi/map-types.js';
import { BTF_KINDS } from '../../../object/btf/types.js';
import type { HelperCall } from '../../../vm/index.js';
import { SyscallError } from '../../errors.js';
import type { Machine } from '../../machine.js';
import { BpfMap } from '../map.js';
import { EINVAL, ENOENT, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** Commands of `bpf()` that a program may give here. */
const Command = {
  MAP_CREATE: 0,
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  MAP_GET_NEXT_KEY: 4,
  MAP_FREEZE: 22,
} as const;

/** What `bpf_sys_bpf` needs of the façade that the kernel's own `bpf()` is. */
export interface MapCommands {
  mapCreate(attr: BpfMap['attr']): BpfMap;
  mapFreeze(map: BpfMap): number;
}

export function syscallHelpers(kernel: Machine, commands: () => MapCommands): HelperTable {
  return plainHelpers({
    sys_bpf: (call) => sysBpf(kernel, call, commands()),
    sys_close(call) {
      return kernel.files.close(call.argU32(1)) ? 0 : -Errno.EBADF;
    },
    btf_find_by_name_kind(call) {
      const name = nameArg(kernel, call, 1, sizeArg(call, 2));
      if (flagsArg(call, 4) !== 0 || name === undefined) return -EINVAL;
      const kind = BTF_KINDS[call.argU32(3)];
      if (kernel.btf === undefined || kind === undefined) return -ENOENT;
      return kernel.btf.findByName(name, kind) ?? -ENOENT;
    },
    kallsyms_lookup_name(call) {
      const result = call.pointer(4, 8, true);
      kernel.memory.view.setBigUint64(result, 0n, true);
      const name = nameArg(kernel, call, 1, sizeArg(call, 2));
      if (flagsArg(call, 3) !== 0 || name === undefined) return -EINVAL;
      const address = kernel.symbols.lookupName(name);
      if (address === undefined) return -ENOENT;
      kernel.memory.view.setBigUint64(result, address, true);
      return 0;
    },
  });
}

/** A name of a known size that ends with a NUL; undefined for one that does not. */
function nameArg(kernel: Machine, call: HelperCall, n: number, size: number): string | undefined {
  if (size <= 1) return undefined;
  const at = call.pointer(n, size);
  const bytes = kernel.memory.u8.subarray(at, at + size);
  return bytes[size - 1] === 0
    ? Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1')
    : undefined;
}

function sysBpf(kernel: Machine, call: HelperCall, commands: MapCommands): number {
  const command = call.argU32(1);
  const size = sizeArg(call, 3);
  const at = call.pointer(2, size);
  const { view, u8 } = kernel.memory;
  const word = (offset: number): number => (offset + 4 <= size ? view.getUint32(at + offset, true) : 0);
  const text = (offset: number): string => {
    const bytes = u8.subarray(at + offset, at + Math.min(size, offset + 16));
    const end = bytes.indexOf(0);
    return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('latin1');
  };
  if (command === Command.MAP_CREATE) {
    const attr = {
      name: size > 28 ? text(28) : '',
      type: word(0) as MapType,
      keySize: word(4),
      valueSize: word(8),
      maxEntries: word(12),
      mapFlags: word(16),
      mapExtra: 0n,
    };
    try {
      return kernel.files.open(commands.mapCreate(attr));
    } catch (error) {
      if (error instanceof SyscallError) return -error.errno;
      throw error;
    }
  }
  const map = kernel.files.get(word(0));
  if (!Object.values<number>(Command).includes(command)) return -EINVAL;
  if (!(map instanceof BpfMap)) return -Errno.EBADF;
  if (command === Command.MAP_FREEZE) return commands.mapFreeze(map);
  return element(kernel, map, command, word(8), word(16), word(24));
}

/** One element of a map; key and value are kernel addresses in a syscall program. */
function element(
  kernel: Machine,
  map: BpfMap,
  command: number,
  key: number,
  value: number,
  flags: number,
): number {
  const { memory } = kernel;
  const readable = (at: number, bytes: number): boolean => memory.offsetOf(memory.addressOf(at), bytes) >= 0;
  const wanted = command === Command.MAP_GET_NEXT_KEY ? map.keySize : map.syscallValueSize;
  const needsValue = command !== Command.MAP_DELETE_ELEM;
  if (!readable(key, map.keySize) && !(command === Command.MAP_GET_NEXT_KEY && key === 0))
    return -Errno.EFAULT;
  if (needsValue && !readable(value, wanted)) return -Errno.EFAULT;
  switch (command) {
    case Command.MAP_LOOKUP_ELEM:
      return map.sysLookup(key, value);
    case Command.MAP_UPDATE_ELEM:
      return map.frozen ? -Errno.EPERM : map.sysUpdate(key, value, flags);
    case Command.MAP_DELETE_ELEM:
      return map.frozen ? -Errno.EPERM : map.sysDelete(key);
    default:
      return map.nextKey(key, value);
  }
}
