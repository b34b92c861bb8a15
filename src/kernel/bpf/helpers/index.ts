/** Which helpers a program of a type can call. Models the `*_func_proto` functions of Linux 6.18. */
import { helperById } from '../../../abi/helpers.js';
import { ProgType } from '../../../abi/prog-types.js';
import { POISON_HELPER } from '../../../object/core/index.js';
import { POISON_KFUNC } from '../../../object/index.js';
import { helperVariant } from '../../../verifier/env/index.js';
import { type HelperDef, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { kfuncResolver } from '../kfuncs/index.js';
import type { HelperSets } from '../prog-load.js';
import { baseHelpers } from './base.js';
import { callbackFlowHelpers } from './callback-flow.js';
import { cgroupHelpers } from './cgroup.js';
import { dynptrHelpers } from './dynptr.js';
import { kptrHelpers, lockFlowHelpers } from './kptr.js';
import { lircHelpers } from './lirc.js';
import { mapHelpers } from './map.js';
import { mapFlowHelpers } from './map-flow.js';
import { msgHelpers } from './msg.js';
import { outputHelpers } from './output.js';
import { printHelpers } from './print.js';
import { probeReadHelpers } from './probe-read.js';
import { routeHelpers } from './route.js';
import { seqHelpers } from './seq.js';
import { skbHelpers } from './skb.js';
import { skbFieldHelpers } from './skb-fields.js';
import { skbRoomHelpers } from './skb-room.js';
import { socketHelpers } from './socket.js';
import { storageHelpers } from './storage.js';
import { syncookieHelpers } from './syncookie.js';
import { type MapCommands, syscallHelpers } from './syscall.js';
import type { HelperTable } from './table.js';
import { taskHelpers } from './task.js';
import { traceHelpers } from './trace.js';
import { tunnelHelpers } from './tunnel.js';
import { xdpHelpers } from './xdp.js';

/** Most externs of one object that are looked for among poisoned calls. */
const MAX_EXTERNS = 1_000_000;

const PACKET_TYPES: readonly ProgType[] = [
  ProgType.socket_filter,
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.cgroup_skb,
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.lwt_seg6local,
  ProgType.sk_skb,
  ProgType.flow_dissector,
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

/**
 * Resolvers for programs: what Linux lets a program like that call, as far as it is there. The verifier's sets say who may
 * call what (src/verifier/env/helper-sets.ts).
 */
export function helperResolver(kernel: Machine, maps: () => MapCommands): HelperSets {
  const common = {
    ...baseHelpers(kernel),
    ...mapHelpers(kernel),
    ...taskHelpers(kernel),
    ...probeReadHelpers(kernel),
    ...printHelpers(kernel),
    ...outputHelpers(kernel),
    ...cgroupHelpers(kernel),
    ...storageHelpers(kernel),
    ...kptrHelpers(kernel),
    ...dynptrHelpers(kernel),
    ...seqHelpers(kernel),
    ...syncookieHelpers(kernel),
    ...msgHelpers(kernel),
    ...lircHelpers(kernel),
    ...syscallHelpers(kernel, maps),
    ...(kernel.sched.interleaved
      ? { ...mapFlowHelpers(kernel), ...lockFlowHelpers(kernel), ...callbackFlowHelpers(kernel) }
      : {}),
  };
  const made = new Map<ProgType, HelperTable>();
  const tableOf = (type: ProgType): HelperTable => {
    const known = made.get(type) ?? { ...common, ...special(kernel, type) };
    made.set(type, known);
    return known;
  };
  const kfuncs = kfuncResolver(kernel);
  return (load) => {
    const { env } = load;
    const table = tableOf(env.type as ProgType);
    const kfunc = kfuncs(load);
    return (kind, id) => {
      if (kind !== 'helper') return kfunc(id);
      const helper = helperById(id);
      if (helper === undefined) return poisoned(id);
      return helperVariant(env, helper.name) === undefined ? undefined : table[helper.name];
    };
  };
}

/** What depends on the type: helpers on its context, and those of which types have their own. */
function special(kernel: Machine, type: ProgType): HelperTable {
  const general = {
    ...socketHelpers(kernel, type),
    ...routeHelpers(kernel, type),
    ...traceHelpers(kernel, type),
  };
  if (type === ProgType.xdp) return { ...general, ...xdpHelpers(kernel) };
  return PACKET_TYPES.includes(type)
    ? {
        ...general,
        ...skbHelpers(kernel),
        ...tunnelHelpers(kernel),
        ...skbRoomHelpers(kernel),
        ...skbFieldHelpers(kernel),
      }
    : general;
}
