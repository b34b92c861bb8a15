/**
 * An object of the kernel that programs may hold a pointer to: its image lies in engine memory, laid out as the target
 * kernel's BTF says, and may be read. Without BTF there is enough memory for a pointer to lead somewhere that reads as
 * zero. The image is made when its address is first asked for.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { EngineMemory, Region } from '../../vm/index.js';

/** Where objects live and are found again by address. */
export interface ObjectHost {
  readonly memory: EngineMemory;
  readonly btf: Btf | undefined;
  /** Objects by the memory offset of their image. */
  readonly objects: Map<number, KernelObject>;
}

const BARE_SIZE = 4096;

export abstract class KernelObject {
  private image: Region | undefined;

  constructor(
    protected readonly host: ObjectHost,
    /** Name of the struct in the target's BTF. */
    private readonly structName: string,
  ) {}

  /** Memory offset of the image. */
  get offset(): number {
    return this.imageRegion().address32;
  }

  /** What a pointer to the object holds. */
  get address(): bigint {
    return this.imageRegion().address;
  }

  /** Gives the image back; pointers to it fault from now on. */
  release(): void {
    if (this.image === undefined) return;
    this.host.objects.delete(this.image.address32);
    this.host.memory.free(this.image);
    this.image = undefined;
  }

  /** Called once, to fill the members that the object knows. */
  protected fill(): void {}

  /** Sets a member by name, or the `index`th of an array's elements, if the target has it. */
  protected put(member: string, value: bigint, size: 1 | 2 | 4 | 8, index = 0): void {
    const bits = this.memberOffset(member);
    if (bits === undefined) return;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.host.memory.u8.set(bytes.subarray(0, size), this.offset + bits / 8 + index * size);
  }

  private memberOffset(member: string): number | undefined {
    const id = this.host.btf?.findByName(this.structName, 'struct');
    return id === undefined ? undefined : this.host.btf!.findMember(id, member)?.bitOffset;
  }

  private imageRegion(): Region {
    if (this.image !== undefined) return this.image;
    const { btf, memory, objects } = this.host;
    const id = btf?.findByName(this.structName, 'struct');
    this.image = memory.alloc(id === undefined ? BARE_SIZE : btf!.sizeOf(id), 'read');
    objects.set(this.image.address32, this);
    this.fill();
    return this.image;
  }
}
