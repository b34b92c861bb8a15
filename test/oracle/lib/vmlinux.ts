/** The running kernel's types, read once, and what random programs take from them. */
import { readFileSync } from 'node:fs';
import { Btf } from '../../../src/object/btf/index.js';
import type { KernelTypes } from '../random/program.js';

const VMLINUX = '/sys/kernel/btf/vmlinux';
let read: { readonly btf: Btf | undefined } | undefined;

/** Undefined where the kernel does not show its types. */
export function vmlinux(): Btf | undefined {
  if (read === undefined) {
    try {
      read = { btf: Btf.parse(new Uint8Array(readFileSync(VMLINUX))) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      read = { btf: undefined };
    }
  }
  return read.btf;
}

const TASK_FIELDS = ['pid', 'tgid', 'exit_state', 'flags', 'prio', 'static_prio', 'exit_code', 'start_time'];

export function kernelTypes(): KernelTypes | undefined {
  const btf = vmlinux();
  if (btf === undefined) return undefined;
  const task = btf.findByName('task_struct', 'struct');
  return {
    kfunc: (name) => btf.findByName(name, 'func'),
    taskFields: TASK_FIELDS.flatMap((name) => {
      const member = task === undefined ? undefined : btf.findMember(task, name);
      return member === undefined ? [] : [member.bitOffset / 8];
    }),
  };
}
