/** The comparison that `bpf_rbtree_add` calls, under the tree's lock (`in_rbtree_lock_required_cb`, Linux 6.18). */
import type { Verifier } from '../context.js';
import { isRbtreeKfunc } from './desc.js';

/** Inside the comparison that `bpf_rbtree_add` calls, under its lock (`in_rbtree_lock_required_cb`). */
export function inTreeCallback(v: Verifier): boolean {
  const { frame } = v;
  if (v.state.curframe === 0 || !frame.inCallback) return false;
  const insn = v.insns[frame.callsite]!;
  const kfunc = v.kfuncs.get(insn.imm);
  return kfunc !== undefined && isRbtreeKfunc(kfunc.name);
}
