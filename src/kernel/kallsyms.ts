/**
 * Kernel symbols that programs can name: variables by their BTF id, and every symbol by its name. A variable is zeroed
 * memory of its type's size, made when first asked for; one that Linux keeps per CPU has a copy a CPU. Models
 * kernel/kallsyms.c as far as `bpf_kallsyms_lookup_name` and `BPF_PSEUDO_BTF_ID` need it.
 */
import type { Btf } from '../object/btf/btf.js';
import type { EngineMemory, Region } from '../vm/index.js';

/** A kernel variable in memory. */
export interface KernelVariable {
  readonly name: string;
  readonly region: Region;
  /** Bytes from one CPU's copy to the next; 0 for a variable that all CPUs share. */
  readonly cpuStride: number;
}

/** What the symbols need of their kernel. */
export interface SymbolHost {
  readonly memory: EngineMemory;
  readonly cpus: number;
  readonly btf: Btf | undefined;
}

const PERCPU_SECTION = '.data..percpu';

export class KernelSymbols {
  private readonly byName = new Map<string, KernelVariable>();
  private readonly byAddress = new Map<bigint, KernelVariable>();
  /** Functions and variables that somebody has given an address. */
  private readonly addresses = new Map<string, bigint>();
  private perCpuNames: ReadonlySet<string> | undefined;

  constructor(private readonly host: SymbolHost) {}

  /** Address of the variable whose BTF id this is; undefined where it is none, or the kernel has no BTF. */
  addressOfType(id: number): bigint | undefined {
    const { btf } = this.host;
    if (btf?.has(id) !== true) return undefined;
    const type = btf.type(id);
    return type.kind === 'var' ? this.variable(type.name, btf.sizeOf(type.type)).region.address : undefined;
  }

  /** The variable of that name, made with `size` bytes if it is not there yet. */
  variable(name: string, size: number): KernelVariable {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const { memory, cpus } = this.host;
    const cpuStride = this.isPerCpu(name) ? Math.ceil(size / 64) * 64 : 0;
    const region = memory.alloc(cpuStride === 0 ? size : cpuStride * cpus, 'read');
    const variable = { name, region, cpuStride };
    this.byName.set(name, variable);
    this.byAddress.set(region.address, variable);
    this.addresses.set(name, region.address);
    return variable;
  }

  /** The variable that starts at an address. */
  variableAt(address: bigint): KernelVariable | undefined {
    return this.byAddress.get(address);
  }

  /** Gives a symbol an address, for `bpf_kallsyms_lookup_name` and `%ps`. */
  define(name: string, address: bigint): void {
    this.addresses.set(name, address);
  }

  /** `kallsyms_lookup_name`: undefined for a name that no symbol has. */
  lookupName(name: string): bigint | undefined {
    return this.addresses.get(name);
  }

  /** Functions and variables that have an address, in the order in which they got it. */
  list(): (readonly [name: string, address: bigint])[] {
    return [...this.addresses];
  }

  /** `name+0xoffset`, of the nearest symbol at or below an address; undefined where none lies within a page. */
  nameOf(address: bigint): { readonly name: string; readonly offset: number } | undefined {
    let best: { name: string; offset: number } | undefined;
    for (const [name, at] of this.addresses) {
      const offset = Number(address - at);
      if (offset >= 0 && offset < 4096 && (best === undefined || offset < best.offset))
        best = { name, offset };
    }
    return best;
  }

  private isPerCpu(name: string): boolean {
    this.perCpuNames ??= this.readPerCpuNames();
    return this.perCpuNames.has(name);
  }

  private readPerCpuNames(): ReadonlySet<string> {
    const { btf } = this.host;
    const id = btf?.findByName(PERCPU_SECTION, 'datasec');
    const section = id === undefined ? undefined : btf!.type(id);
    if (section?.kind !== 'datasec') return new Set();
    return new Set(section.vars.map(({ type }) => btf!.nameOf(type)));
  }
}
