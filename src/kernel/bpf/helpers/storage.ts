/** Helpers on storages that hang on objects of the kernel. Models bpf_sk_storage.c, bpf_task_storage.c and their kin. */

import { type HelperCall, HelperFault } from '../../../vm/index.js';
import { Cgroup } from '../../cgroup/cgroup.js';
import { Inode } from '../../fs/inode.js';
import type { Machine } from '../../machine.js';
import { Sock } from '../../net/sock.js';
import { CgroupStorageMap } from '../cgroup-storage.js';
import { LocalStorageMap, type StorageOwner } from '../local-storage.js';
import { stateOf } from './state.js';
import {
  addressHigh,
  EINVAL,
  flagsArg,
  type HelperTable,
  mapArgOf,
  plainHelpers,
  setPointer,
} from './table.js';
import { taskAt } from './tasks.js';

/** BPF_LOCAL_STORAGE_GET_F_CREATE. */
const CREATE = 1;

type OwnerOf = (kernel: Machine, offset: number) => StorageOwner | undefined;

const object =
  <T extends StorageOwner>(Class: abstract new (...args: never[]) => T): OwnerOf =>
  (kernel, offset) => {
    const found = kernel.objects.get(offset);
    return found instanceof Class ? found : undefined;
  };

const OWNERS = {
  sk: object(Sock),
  task: (kernel: Machine, offset: number) => taskAt(kernel, offset),
  inode: object(Inode),
  cgrp: object(Cgroup),
} satisfies Record<string, OwnerOf>;

export function storageHelpers(kernel: Machine): HelperTable {
  const high = addressHigh(kernel);
  const owner = (call: HelperCall, find: OwnerOf): StorageOwner | undefined => {
    if (call.arg(2) === 0n) return undefined;
    const found = find(kernel, call.argU32(2)) ?? packetSock(kernel, call.argU32(2));
    if (found === undefined) throw new HelperFault(`r2: 0x${call.arg(2).toString(16)} has no storage`);
    return found;
  };
  const get = (find: OwnerOf) => (call: HelperCall) => {
    const map = mapArgOf(kernel, call, 1, LocalStorageMap);
    const flags = flagsArg(call, 4);
    const on = owner(call, find);
    if (on === undefined || (flags & ~CREATE) !== 0) return 0;
    const initial = call.arg(3) === 0n ? 0 : call.pointer(3, map.valueSize);
    return setPointer(call, map.getOrCreate(on, initial, flags === CREATE), high);
  };
  const remove = (find: OwnerOf) => (call: HelperCall) => {
    const map = mapArgOf(kernel, call, 1, LocalStorageMap);
    const on = owner(call, find);
    return on === undefined ? -EINVAL : map.remove(on);
  };
  return plainHelpers({
    sk_storage_get: get(OWNERS.sk),
    sk_storage_delete: remove(OWNERS.sk),
    task_storage_get: get(OWNERS.task),
    task_storage_delete: remove(OWNERS.task),
    inode_storage_get: get(OWNERS.inode),
    inode_storage_delete: remove(OWNERS.inode),
    cgrp_storage_get: get(OWNERS.cgrp),
    cgrp_storage_delete: remove(OWNERS.cgrp),
    get_local_storage(call) {
      const map = mapArgOf(kernel, call, 1, CgroupStorageMap);
      const state = stateOf(kernel);
      const group = state.run.cgroup ?? state.currentCgroup;
      const type = (state.run.attachType ?? 0) as never;
      if (map.valueFor(group.id, type) === 0) map.link(group.id, type);
      return setPointer(call, map.valueFor(group.id, type), high);
    },
  });
}

/** The socket of the packet in hand, which a test run makes up. */
function packetSock(kernel: Machine, offset: number): Sock | undefined {
  const { skb } = kernel.net;
  if (skb === undefined || skb.socket.address32 !== offset) return undefined;
  return stateOf(kernel).packetSock(offset);
}
