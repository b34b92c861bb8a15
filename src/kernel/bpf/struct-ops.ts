/**
 * struct_ops: one value, a table of functions of the kernel that programs take the place of. Models
 * kernel/bpf/bpf_struct_ops.c of Linux 6.18: states, refusals and what a look-up shows. Who calls the functions is the
 * subsystem's business, through `member`.
 */

import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Btf } from '../../object/btf/btf.js';
import type { BtfMember } from '../../object/btf/types.js';
import { VALUE_PREFIX } from '../../verifier/btf/struct-ops.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr } from './map.js';
import { type BpfProg, isProg } from './prog.js';

const CREATE_FLAGS = MapFlag.BPF_F_LINK | MapFlag.BPF_F_VTYPE_BTF_OBJ_FD;

/** `enum bpf_struct_ops_state`. */
const StructOpsState = { init: 0, inUse: 1, toBeFree: 2, ready: 3 } as const;
export type StructOpsState = (typeof StructOpsState)[keyof typeof StructOpsState];

/** Type of the value, as the kernel's BTF has it: its size, and where and what the table in it is. */
interface ValueType {
  readonly size: number;
  readonly dataOffset: number;
  readonly opsId: number;
  readonly members: readonly BtfMember[];
}

function valueTypeOf(btf: Btf | undefined, id: number): ValueType | undefined {
  if (btf === undefined || !btf.has(id)) return undefined;
  const value = btf.type(id);
  if (value.kind !== 'struct' || !value.name.startsWith(VALUE_PREFIX)) return undefined;
  const data = value.members.find(({ name }) => name === 'data');
  if (data === undefined) return undefined;
  const opsId = btf.skipModifiersAndTypedefs(data.type);
  const ops = btf.type(opsId);
  if (ops.kind !== 'struct' || `${VALUE_PREFIX}${ops.name}` !== value.name) return undefined;
  return { size: btf.sizeOf(id), dataOffset: data.bitOffset / 8, opsId, members: ops.members };
}

export class StructOpsMap extends BpfMap {
  private readonly valueType: ValueType;
  private state: StructOpsState = StructOpsState.init;
  /** What was stored, with programs' ids in place of their descriptors. */
  private stored = new Uint8Array(0);
  private programs = new Map<string, BpfProg>();

  static check(attr: MapAttr): void {
    const sizes = attr.keySize === 4 && attr.maxEntries === 1;
    requireAttr(sizes, attr, 'EINVAL', 'key size is not 4 or max_entries not 1');
    requireAttr((attr.mapFlags & ~CREATE_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr((attr.btfVmlinuxValueTypeId ?? 0) !== 0, attr, 'EINVAL', 'no type of the value');
  }

  constructor(attr: MapAttr, host: MapHost) {
    const valueType = valueTypeOf(host.btf, attr.btfVmlinuxValueTypeId!);
    requireAttr(valueType !== undefined, attr, 'ENOTSUPP', 'the kernel has no such table of functions');
    requireAttr(attr.valueSize === valueType!.size, attr, 'EINVAL', `value size is not ${valueType!.size}`);
    super(attr, host);
    this.valueType = valueType!;
  }

  override get canBeInner(): boolean {
    return false;
  }

  /** Filled without BPF_F_LINK: in use since then. */
  get isRegistered(): boolean {
    return this.state === StructOpsState.inUse;
  }

  /** Stored with BPF_F_LINK: a link registers it. */
  get isReady(): boolean {
    return this.state === StructOpsState.ready;
  }

  /** Name of the kernel's structure, such as `tcp_congestion_ops`. */
  get typeName(): string {
    return this.host.btf!.nameOf(this.valueType.opsId);
  }

  /** A member that holds characters; empty where there is none. */
  text(name: string): string {
    const member = this.valueType.members.find((each) => each.name === name);
    if (member === undefined || this.stored.length === 0) return '';
    const at = this.valueType.dataOffset + member.bitOffset / 8;
    const bytes = this.stored.subarray(at, at + this.host.btf!.sizeOf(member.type));
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** The program that a member of the table leads to. */
  member(name: string): BpfProg | undefined {
    return this.programs.get(name);
  }

  override nextKey(key: number, next: number): number {
    if (key !== 0 && this.memory.view.getUint32(key, true) === 0) return -Errno.ENOENT;
    this.memory.view.setUint32(next, 0, true);
    return 0;
  }

  override lookup(): number {
    return 0;
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    if (this.memory.view.getUint32(key, true) !== 0) return -Errno.ENOENT;
    this.memory.u8.fill(0, value, value + this.valueSize);
    if (this.state === StructOpsState.init) return 0;
    this.memory.u8.set(this.stored, value);
    // `struct bpf_struct_ops_common_value`: a reference count, then the state.
    this.memory.view.setUint32(value, this.state === StructOpsState.inUse ? 1 : 0, true);
    this.memory.view.setUint32(value + 4, this.state, true);
    return 0;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    if (flags !== 0) return -Errno.EINVAL;
    if (this.memory.view.getUint32(key, true) !== 0) return -Errno.E2BIG;
    const bytes = this.memory.u8.slice(value, value + this.valueSize);
    const view = new DataView(bytes.buffer);
    if (!this.holesAreZero(bytes)) return -Errno.EINVAL;
    if (view.getUint32(0, true) !== 0 || view.getUint32(4, true) !== 0) return -Errno.EINVAL;
    if (this.state !== StructOpsState.init) return -Errno.EBUSY;
    const programs = new Map<string, BpfProg>();
    for (const [index, member] of this.valueType.members.entries()) {
      const refused = this.takeMember(member, index, view, programs);
      if (refused !== 0) return refused;
    }
    this.programs = programs;
    this.stored = bytes;
    const linked = (this.mapFlags & MapFlag.BPF_F_LINK) !== 0;
    this.state = linked ? StructOpsState.ready : StructOpsState.inUse;
    return 0;
  }

  override delete(): number {
    if ((this.mapFlags & MapFlag.BPF_F_LINK) !== 0) return -Errno.EOPNOTSUPP;
    if (this.state === StructOpsState.toBeFree) return -Errno.EINPROGRESS;
    if (this.state !== StructOpsState.inUse) return -Errno.ENOENT;
    this.state = StructOpsState.toBeFree;
    return 0;
  }

  /** A function's member holds a descriptor; others stay as they are, as far as the table takes values. */
  private takeMember(
    member: BtfMember,
    index: number,
    view: DataView,
    programs: Map<string, BpfProg>,
  ): number {
    const btf = this.host.btf!;
    const at = this.valueType.dataOffset + member.bitOffset / 8;
    const type = btf.underlying(member.type);
    if (type.kind !== 'ptr' || btf.underlying(type.type).kind !== 'func_proto') return 0;
    const fd = Number(BigInt.asIntN(32, view.getBigUint64(at, true)));
    if (fd === 0) return 0;
    const file = this.host.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    if (!isProg(file) || file.type !== ProgType.struct_ops || file.expectedAttachType !== index)
      return -Errno.EINVAL;
    view.setBigUint64(at, BigInt(file.id), true);
    programs.set(member.name, file);
    return 0;
  }

  /** Bytes between the members of the value and of the table. */
  private holesAreZero(bytes: Uint8Array): boolean {
    const btf = this.host.btf!;
    const used = new Uint8Array(bytes.length);
    used.fill(1, 0, 8);
    for (const member of this.valueType.members) {
      const at = this.valueType.dataOffset + Math.floor(member.bitOffset / 8);
      used.fill(1, at, at + btf.sizeOf(member.type));
    }
    return bytes.every((byte, i) => byte === 0 || used[i] === 1);
  }
}
