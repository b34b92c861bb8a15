/** `LD_IMM64` of every source, and the legacy packet loads `LD_ABS` and `LD_IND` (Linux 6.18, kernel/bpf/verifier.c). */
import { MapType } from '../abi/map-types.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { forkAbnormalReturn } from './calls.js';
import type { Verifier } from './context.js';
import { mayLoadAbs } from './env/index.js';
import { checkResourceLeak } from './refs.js';
import { markConstZero, markKnown, markKnownZero, markUnknown } from './reg.js';
import { checkDst, checkSrc, clearCallerSaved } from './reg-access.js';
import { CONST_PTR_TO_MAP, PTR_TO_CTX, PTR_TO_FUNC, PTR_TO_MAP_VALUE, SCALAR_VALUE } from './reg-type.js';
import { checkUnmodified } from './region.js';

const CTX_REG = 6;

export function checkLdImm(v: Verifier, insn: Insn): void {
  if (C.bpfSize(insn.code) !== C.BPF_DW) v.invalid('invalid BPF_LD_IMM insn');
  if (insn.off !== 0) v.invalid('BPF_LD_IMM64 uses reserved fields');
  checkDst(v, insn.dst);
  const dst = v.reg(insn.dst);
  markUnknown(dst);
  if (insn.src === 0) {
    markKnown(dst, v.insns[v.insnIdx + 1]!.imm, insn.imm);
    dst.type = SCALAR_VALUE;
    return;
  }
  markKnownZero(dst);
  if (insn.src === C.BPF_PSEUDO_BTF_ID) {
    const symbol = v.aux.of(v.insnIdx).symbol!;
    dst.type = symbol.regType;
    dst.btf = symbol.btf;
    dst.extra = symbol.btf === null ? symbol.memSize : symbol.btfId;
    return;
  }
  if (insn.src === C.BPF_PSEUDO_FUNC) {
    const index = v.findSubprog(v.insnIdx + insn.imm + 1);
    if (!v.hasFuncInfo) v.invalid('missing btf func_info');
    if (v.subprogs[index]!.isGlobal) v.invalid('callback function not static');
    dst.type = PTR_TO_FUNC;
    dst.subprog = index;
    return;
  }
  const aux = v.aux.of(v.insnIdx);
  dst.map = v.usedMaps[aux.mapIndex]!;
  if (insn.src === C.BPF_PSEUDO_MAP_VALUE || insn.src === C.BPF_PSEUDO_MAP_IDX_VALUE) {
    if (dst.map.type === MapType.arena) {
      markUnknown(dst);
      return;
    }
    dst.type = PTR_TO_MAP_VALUE;
    dst.off = aux.mapOff;
  } else {
    dst.type = CONST_PTR_TO_MAP;
  }
}

/** `r0 = *(size *)skb[imm + src]`: r6 has to hold the context. */
export function checkLdAbs(v: Verifier, insn: Insn): void {
  const mode = C.bpfMode(insn.code);
  if (!mayLoadAbs(v.env)) v.invalid('BPF_LD_[ABS|IND] instructions not allowed for this program type');
  if (
    insn.dst !== 0 ||
    insn.off !== 0 ||
    C.bpfSize(insn.code) === C.BPF_DW ||
    (mode === C.BPF_ABS && insn.src !== 0)
  ) {
    v.invalid('BPF_LD_[ABS|IND] uses reserved fields');
  }
  checkSrc(v, CTX_REG);
  checkResourceLeak(v, true, 'BPF_LD_[ABS|IND]');
  const ctx = v.reg(CTX_REG);
  if (ctx.type !== PTR_TO_CTX) v.invalid('at the time of BPF_LD_ABS|IND R6 != pointer to skb');
  if (mode === C.BPF_IND) checkSrc(v, insn.src);
  checkUnmodified(v, ctx, CTX_REG, false);
  clearCallerSaved(v);
  markUnknown(v.reg(0));
  // A load past the packet's end returns 0 from the function.
  if (v.state.curframe > 0) forkAbnormalReturn(v, () => markConstZero(v.reg(0)));
}
