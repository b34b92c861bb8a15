/** Which helpers a program of a type can call. Models the `*_func_proto` functions of Linux 6.18. */
import { helperById } from '../../../abi/helpers.js';
import { ProgType } from '../../../abi/prog-types.js';
import { POISON_HELPER } from '../../../object/core/index.js';
import { POISON_KFUNC } from '../../../object/index.js';
import { type HelperDef, HelperFault, type HelperResolver } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { baseHelpers } from './base.js';
import { lircHelpers } from './lirc.js';
import { mapHelpers } from './map.js';
import { outputHelpers } from './output.js';
import { printHelpers } from './print.js';
import { probeReadHelpers } from './probe-read.js';
import { skbHelpers } from './skb.js';
import type { HelperTable } from './table.js';
import { taskHelpers } from './task.js';
import { xdpHelpers } from './xdp.js';

/** Most externs of one object that are looked for among poisoned calls. */
const MAX_EXTERNS = 1_000_000;

const SKB_TYPES: readonly ProgType[] = [
  ProgType.socket_filter,
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.cgroup_skb,
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.lwt_seg6local,
  ProgType.sk_skb,
];

/** What the loader puts where the target lacks something. Guarded code never comes to it, so only running it is an error. */
function poison(what: string): HelperDef {
  const run = (): never => {
    throw new HelperFault(what);
  };
  return { kind: 'plain', name: 'poisoned', run };
}

const POISONED_INSN = poison('a CO-RE relocation found no counterpart for this instruction in the target');
const POISONED_KFUNC = poison('the target does not have this kernel function');

function poisoned(id: number): HelperDef | undefined {
  if (id === POISON_HELPER) return POISONED_INSN;
  return id >= POISON_KFUNC && id < POISON_KFUNC + MAX_EXTERNS ? POISONED_KFUNC : undefined;
}

/** Resolvers by program type, made when first asked for. */
export function helperResolver(kernel: Machine): (type: ProgType) => HelperResolver {
  const common = {
    ...baseHelpers(kernel),
    ...mapHelpers(kernel),
    ...taskHelpers(kernel),
    ...probeReadHelpers(kernel),
    ...printHelpers(kernel),
    ...outputHelpers(kernel),
  };
  const made = new Map<ProgType, HelperResolver>();
  return (type) => {
    const known = made.get(type);
    if (known !== undefined) return known;
    const table: HelperTable = { ...common, ...special(kernel, type) };
    const resolver: HelperResolver = (kind, id) => {
      const helper = kind === 'helper' ? helperById(id) : undefined;
      if (helper !== undefined) return table[helper.name];
      return kind === 'helper' ? poisoned(id) : undefined;
    };
    made.set(type, resolver);
    return resolver;
  };
}

function special(kernel: Machine, type: ProgType): HelperTable {
  if (type === ProgType.xdp) return xdpHelpers(kernel);
  if (type === ProgType.lirc_mode2) return lircHelpers(kernel);
  return SKB_TYPES.includes(type) ? skbHelpers(kernel, type) : {};
}
