/** Which kernel functions a program can call: those that Linux lets its type call, as far as they are there. */
import { kfuncByName, mayCallKfunc } from '../../../abi/kfuncs.js';
import type { Btf } from '../../../object/btf/btf.js';
import { skipModifiers } from '../../../object/btf/layout.js';
import type { BtfTypeId } from '../../../object/btf/types.js';
import type { Caller, FlowResult, HelperDef, RegValue } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { lockOf } from '../helpers/kptr.js';
import type { LoadContext } from '../prog-load.js';
import { acquireResilientLock } from '../spin-lock.js';
import { cpumaskKfuncs } from './cpumask.js';
import { dynptrKfuncs } from './dynptr.js';
import { iteratorKfuncs } from './iterators.js';
import { kernelKfuncs } from './kernel.js';
import { objectKfuncs } from './objects.js';
import { stringKfuncs } from './strings.js';
import type { KfuncTable } from './table.js';

/** Every kernel function that is there, by name. */
export function kfuncTable(kernel: Machine): KfuncTable {
  return {
    ...dynptrKfuncs(kernel),
    ...iteratorKfuncs(kernel),
    ...stringKfuncs(kernel),
    ...objectKfuncs(kernel),
    ...cpumaskKfuncs(kernel),
    ...kernelKfuncs(kernel),
  };
}

/** Those that may have to wait, where others may hold what they want. */
function kfuncFlows(kernel: Machine): Readonly<Record<string, (caller: Caller) => FlowResult>> {
  return {
    bpf_res_spin_lock: (caller) => acquireResilientLock(kernel, lockOf(kernel, caller)) as FlowResult,
  };
}

/** Resolves kernel functions by their BTF id in the kernel's own types. */
export function kfuncResolver(kernel: Machine): (load: LoadContext) => (id: number) => HelperDef | undefined {
  let table: KfuncTable | undefined;
  const flows = kfuncFlows(kernel);
  return (load) => {
    const made = new Map<number, HelperDef | undefined>();
    const make = (id: number): HelperDef | undefined => {
      const { btf } = kernel;
      if (btf?.has(id) !== true || btf.kindOf(id) !== 'func') return undefined;
      const name = btf.nameOf(id);
      const info = kfuncByName(name);
      if (info === undefined || !mayCallKfunc(load.env, info)) return undefined;
      if (name === 'bpf_throw' && hasExceptionCallback(load)) return undefined;
      table ??= kfuncTable(kernel);
      const run = table[name];
      const flow = kernel.sched.interleaved ? flows[name] : undefined;
      if (flow !== undefined) return { kind: 'flow', name, run: flow };
      if (run === undefined) return undefined;
      if (!returnsInt(btf, id)) return { kind: 'plain', name, run: (call) => run(call, load) };
      return { kind: 'plain', name, run: (call) => lowHalf(run(call, load)) };
    };
    return (id) => {
      if (!made.has(id)) made.set(id, make(id));
      return made.get(id);
    };
  };
}

/** Whether a kernel function returns an `int`: unlike a helper's, its upper half of r0 is zero, be it negative or not. */
function returnsInt(btf: Btf, id: BtfTypeId): boolean {
  const func = btf.type(id);
  const proto = func.kind === 'func' ? btf.type(func.type) : undefined;
  if (proto?.kind !== 'func_proto' || proto.type === 0) return false;
  const result = btf.type(skipModifiers(btf, proto.type, true));
  return (result.kind === 'int' || result.kind === 'enum') && result.size === 4;
}

const lowHalf = (value: RegValue | undefined): RegValue | undefined =>
  typeof value === 'number' ? value >>> 0 : value === undefined ? undefined : value & 0xffff_ffffn;

/** A program that catches what it throws with a function of its own; there is no such thing here. */
function hasExceptionCallback({ btf, name }: LoadContext): boolean {
  if (btf === undefined) return false;
  for (const [, type] of btf.types()) {
    const tagged = type.kind === 'decl_tag' && type.name.startsWith('exception_callback:');
    if (tagged && btf.nameOf(type.type) === name) return true;
  }
  return false;
}
