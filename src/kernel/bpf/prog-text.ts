/**
 * A loaded program's code, and the versions of it that take its place: with functions replaced by other programs
 * (`bpf_arch_text_poke` for BPF_PROG_TYPE_EXT), with helpers that run through their probe points. The engine's own version
 * stays as fast as it was loaded; another one is made when the first probe or replacement comes, and goes with the last.
 */
import { BPF_CALL, BPF_EXIT, BPF_JMP, BPF_PSEUDO_KFUNC_CALL, LD_IMM64 } from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import type { Engine, HelperDef, HelperResolver, ImmResolver, LoadOptions, Program } from '../../vm/index.js';
import { SyscallError } from '../errors.js';

/** Number of the call that stands for the first replaced function. */
const REPLACED_CALL = -0x6000_0000;

export interface TextSource {
  readonly name: string;
  readonly insns: readonly Insn[];
  readonly resolveImm: ImmResolver;
  readonly helpers: HelperResolver;
  readonly options: LoadOptions;
  /** Where functions start, by name. */
  readonly functions: ReadonlyMap<string, number>;
}

/** Gives a helper another way to run; undefined leaves it as it is. */
export type HelperWrap = (helper: HelperDef) => HelperDef | undefined;

export class ProgText {
  /** What is run now. */
  current: Program;
  private readonly plain: Program;
  private readonly replaced = new Map<number, HelperDef>();
  private wrap: HelperWrap | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly source: TextSource,
  ) {
    this.plain = this.load(source.insns, source.helpers);
    this.current = this.plain;
  }

  /** Names of its functions. */
  get functions(): readonly string[] {
    return [...this.source.functions.keys()];
  }

  /** Helpers and kernel functions that it calls, by name. */
  helpers(): Set<string> {
    const names = new Set<string>();
    for (const insn of calls(this.source.insns)) {
      const helper = this.source.helpers(insn.src === 0 ? 'helper' : 'kfunc', insn.imm, insn.off);
      if (helper !== undefined) names.add(helper.name);
    }
    return names;
  }

  /** From now on a call of a function is a call of `helper`. Throws `SyscallError`: ENOENT, or EBUSY for a second time. */
  replace(name: string, helper: HelperDef): () => void {
    const place = { symbol: this.source.name };
    const at = this.source.functions.get(name);
    if (at === undefined || at === 0)
      throw SyscallError.of('ENOENT', `no function ${name} to replace`, place);
    if (this.replaced.has(at)) throw SyscallError.of('EBUSY', `${name} has been replaced already`, place);
    this.replaced.set(at, helper);
    this.rebuild();
    return () => {
      this.replaced.delete(at);
      this.rebuild();
    };
  }

  /** From now on helpers run as `wrap` says; undefined: as they were. */
  wrapHelpers(wrap: HelperWrap | undefined): void {
    if (wrap === undefined && this.wrap === undefined) return;
    this.wrap = wrap;
    this.rebuild();
  }

  private rebuild(): void {
    // Runs under way finish in the version that they began in, so none is unloaded.
    if (this.replaced.size === 0 && this.wrap === undefined) {
      this.current = this.plain;
      return;
    }
    const { insns, helpers } = this.source;
    const patched = [...insns];
    const stand = [...this.replaced];
    stand.forEach(([at], i) => {
      put(patched, at, REPLACED_CALL + i);
    });
    this.current = this.load(patched, (kind, imm, off) => {
      if (kind === 'helper' && imm >= REPLACED_CALL && imm < REPLACED_CALL + stand.length)
        return stand[imm - REPLACED_CALL]![1];
      const helper = helpers(kind, imm, off);
      return helper === undefined ? undefined : (this.wrap?.(helper) ?? helper);
    });
  }

  private load(insns: readonly Insn[], helpers: HelperResolver): Program {
    const { name, resolveImm, options } = this.source;
    return this.engine.load({ name, insns, resolveImm }, { ...options, helpers });
  }
}

/** A function's first two instructions become a call and an exit; what follows is never reached. */
function put(insns: Insn[], at: number, imm: number): void {
  const exit: Insn = { code: BPF_JMP | BPF_EXIT, dst: 0, src: 0, off: 0, imm: 0 };
  const second = insns[at + 1];
  insns[at] = { code: BPF_JMP | BPF_CALL, dst: 0, src: 0, off: 0, imm };
  insns[at + 1] = exit;
  if (second?.code === LD_IMM64) insns[at + 2] = exit;
}

function* calls(insns: readonly Insn[]): Iterable<Insn> {
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i]!;
    if (insn.code === LD_IMM64) i++;
    const helper = insn.src === 0 || insn.src === BPF_PSEUDO_KFUNC_CALL;
    if (insn.code === (BPF_JMP | BPF_CALL) && helper) yield insn;
  }
}
