/**
 * Objects that programs allocate (`bpf_obj_new`), with the types that describe them, and references to the kernel's own.
 * Models kernel/bpf/helpers.c (`bpf_obj_new_impl`, `bpf_obj_drop_impl`, `bpf_refcount_acquire_impl`) of Linux 6.18.
 */

import { FIELD, type SpecialField } from '../../../verifier/special-fields.js';
import type { Region } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';

export interface BpfObject {
  readonly region: Region;
  readonly fields: readonly SpecialField[];
  /** Holders of it. */
  references: number;
  /** Copies, for `bpf_percpu_obj_new`. */
  readonly cpuStride: number;
}

export class BpfObjects {
  private readonly byStart = new Map<number, BpfObject>();

  constructor(private readonly kernel: Machine) {}

  get size(): number {
    return this.byStart.size;
  }

  /** A zeroed object. Throws `VmMemoryError` when there is no memory. */
  create(size: number, fields: readonly SpecialField[], perCpu = false): BpfObject {
    const cpuStride = perCpu ? Math.ceil(size / 8) * 8 : 0;
    const region = this.kernel.memory.alloc(perCpu ? cpuStride * this.kernel.cpus : size, 'readwrite');
    const object = { region, fields, references: 1, cpuStride };
    for (const { kind, offset } of fields) {
      if (kind === FIELD.REFCOUNT) this.kernel.memory.view.setUint32(region.address32 + offset, 1, true);
    }
    this.byStart.set(region.address32, object);
    return object;
  }

  /** The object that starts at a memory offset. */
  at(offset: number): BpfObject | undefined {
    return this.byStart.get(offset);
  }

  /** The object that a memory offset lies in. */
  holding(offset: number): BpfObject | undefined {
    for (const object of this.byStart.values()) {
      const { address32, size } = object.region;
      if (offset >= address32 && offset < address32 + size) return object;
    }
    return undefined;
  }

  /** One holder less; `dropField` is called for each special field when it was the last. */
  put(object: BpfObject, dropField: (kind: number, at: number) => void): void {
    object.references--;
    const refcount = object.fields.find(({ kind }) => kind === FIELD.REFCOUNT);
    if (refcount !== undefined) {
      const at = object.region.address32 + refcount.offset;
      this.kernel.memory.view.setUint32(at, object.references, true);
    }
    if (object.references > 0) return;
    for (const { kind, offset } of object.fields) dropField(kind, object.region.address32 + offset);
    this.byStart.delete(object.region.address32);
    this.kernel.memory.free(object.region);
  }

  get(object: BpfObject): void {
    object.references++;
    const refcount = object.fields.find(({ kind }) => kind === FIELD.REFCOUNT);
    if (refcount === undefined) return;
    const at = object.region.address32 + refcount.offset;
    this.kernel.memory.view.setUint32(at, object.references, true);
  }
}
