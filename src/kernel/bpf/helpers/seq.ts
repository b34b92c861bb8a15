/**
 * Text for iterators and for programs: `bpf_seq_*`, `bpf_snprintf_btf`, `bpf_d_path`. Models kernel/trace/bpf_trace.c and
 * kernel/bpf/btf.c (`btf_show`) of Linux 6.18.
 */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import { BTF_SHOW_FLAGS, showBtf } from '../../lib/btf-show.js';
import { bpfPrintf } from '../../lib/vsprintf.js';
import type { Machine } from '../../machine.js';
import type { SeqFile } from '../run-context.js';
import { argArray, formatAt, writeString } from './print.js';
import { stateOf } from './state.js';
import { EINVAL, ENOENT, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** struct btf_ptr: pointer, type id, flags. */
const BTF_PTR = 16;

export function seqHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    seq_printf(call) {
      const format = formatAt(kernel, call, 2, sizeArg(call, 3));
      const args = argArray(kernel, call, 4, sizeArg(call, 5));
      if (format === undefined || args === undefined) return -EINVAL;
      const text = bpfPrintf(format, args);
      return typeof text === 'number' ? text : write(kernel, Buffer.from(text, 'latin1'));
    },
    seq_write: (call) => write(kernel, call.bytes(2, sizeArg(call, 3))),
    seq_printf_btf(call) {
      const text = show(kernel, call, 2, call.argU32(3), flagsArg(call, 4));
      return typeof text === 'number' ? text : write(kernel, Buffer.from(text, 'latin1'));
    },
    snprintf_btf(call) {
      const size = sizeArg(call, 2);
      const to = call.pointer(1, size, true);
      const text = show(kernel, call, 3, call.argU32(4), flagsArg(call, 5));
      if (typeof text === 'number') return text;
      writeString(kernel, to, size, text);
      return text.length;
    },
    d_path(call) {
      const size = sizeArg(call, 3);
      if (size === 0) return 0;
      const to = call.pointer(2, size, true);
      const path = stateOf(kernel).paths.get(call.argU32(1));
      if (path === undefined) return -ENOENT;
      if (path.length + 1 > size) return -Errno.ENAMETOOLONG;
      writeString(kernel, to, size, path);
      return path.length + 1;
    },
  });
}

/** -EOVERFLOW once it does not fit: the iterator then begins the element anew with more room. */
function write(kernel: Machine, bytes: Uint8Array): number {
  const seq: SeqFile | undefined = stateOf(kernel).run.seq;
  if (seq === undefined) return -EINVAL;
  if (seq.data.length + bytes.length >= seq.capacity) {
    seq.overflowed = true;
    return -Errno.EOVERFLOW;
  }
  seq.data.push(...bytes);
  return 0;
}

function show(kernel: Machine, call: HelperCall, n: number, size: number, flags: number): string | number {
  if ((flags & ~BTF_SHOW_FLAGS) !== 0 || size !== BTF_PTR) return -EINVAL;
  const at = call.pointer(n, BTF_PTR);
  const { view, memory } = { view: kernel.memory.view, memory: kernel.memory };
  const id = view.getUint32(at + 8, true);
  const { btf } = kernel;
  if (btf === undefined) return -ENOENT;
  if (view.getUint32(at + 12, true) !== 0) return -EINVAL;
  if (id === 0 || !btf.has(id)) return -ENOENT;
  const address = view.getBigUint64(at, true);
  return showBtf(btf, id, flags, (offset, length) => {
    const from = memory.offsetOf(address + BigInt(offset), length);
    return from < 0 ? undefined : memory.u8.slice(from, from + length);
  });
}
