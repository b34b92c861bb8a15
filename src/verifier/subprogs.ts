/**
 * Which functions a program consists of, and what their BTF says: discovery through calls and function
 * pointers, jumps that stay inside, `func_info` that agrees. Models `add_subprog_and_kfunc`, `check_subprogs`,
 * `check_btf_func` of Linux 6.18 (kernel/bpf/verifier.c).
 */

import {
  BPF_ABS,
  BPF_CALL,
  BPF_EXIT,
  BPF_IND,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  bpfClass,
  bpfMode,
  bpfOp,
  LD_IMM64,
} from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Btf } from '../object/btf/btf.js';
import { Subprog, type Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { FUNC_TAIL_CALL } from './helper-ids.js';
import { addKfuncCall } from './kfunc/desc.js';
import { MAX_SUBPROGS } from './state.js';

const NO_FUNCTIONS =
  'loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN';

export const isPseudoCall = (insn: Insn): boolean =>
  insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_CALL;
export const isPseudoFunc = (insn: Insn): boolean => insn.code === LD_IMM64 && insn.src === BPF_PSEUDO_FUNC;
export const isKfuncCall = (insn: Insn): boolean =>
  insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_KFUNC_CALL;
export const isHelperCall = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_CALL) && insn.src === 0;

/** Finds all functions; the first is the program itself. */
export function addSubprogs(v: Verifier): void {
  addSubprog(v, 0);
  for (let i = 0; i < v.insns.length; i++) {
    const insn = v.insns[i]!;
    if (!v.capable && (isPseudoFunc(insn) || isPseudoCall(insn) || isKfuncCall(insn))) {
      v.reject(ERRNO.EPERM, NO_FUNCTIONS);
    }
    if (isPseudoFunc(insn) || isPseudoCall(insn)) addSubprog(v, i + insn.imm + 1);
    else if (isKfuncCall(insn)) addKfuncCall(v, insn);
  }
  const handler = exceptionCallback(v);
  if (handler > 0) {
    addSubprog(v, handler);
    v.exceptionStart = handler;
    const subprog = v.subprogs[v.findSubprog(handler)]!;
    subprog.isCallback = true;
    subprog.isAsyncCallback = true;
  }
  if (v.log.chatty) v.subprogs.forEach(({ start }, i) => void v.log.write(`func#${i} @${start}\n`));
}

const EXCEPTION_TAG = 'exception_callback:';

/** First instruction of the function that a declaration tag of the main one names for exceptions; 0 for none. */
function exceptionCallback(v: Verifier): number {
  const { btf, request } = v;
  const main = request.funcInfo?.[0]?.typeId;
  if (btf === undefined || main === undefined) return 0;
  const names: string[] = [];
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'decl_tag' || !btf.nameOf(id).startsWith(EXCEPTION_TAG)) continue;
    const tag = btf.type(id);
    if (tag.kind !== 'decl_tag' || tag.type !== main || tag.componentIndex !== -1) continue;
    names.push(tag.name.slice(EXCEPTION_TAG.length));
  }
  const [name] = names;
  if (name === undefined) return 0;
  if (names.length > 1) v.reject(ERRNO.EEXIST, 'multiple exception callback tags for main subprog');
  const id = btf.findByName(name, 'func');
  const func = id === undefined ? undefined : btf.type(id);
  if (func?.kind !== 'func') {
    v.reject(ERRNO.ENOENT, `exception callback '${name}' could not be found in BTF`);
  }
  if (func.linkage !== 1) v.invalid(`exception callback '${name}' must have global linkage`);
  const record = request.funcInfo?.find(({ typeId }) => typeId === id);
  if (record === undefined) v.invalid('exception callback type id not found in func_info');
  if (record.insnOff === 0) v.invalid('invalid exception callback insn_off in func_info: 0');
  return record.insnOff;
}

function addSubprog(v: Verifier, start: number): void {
  if (start < 0 || start >= v.insns.length) v.invalid('call to invalid destination');
  if (v.findSubprog(start) >= 0) return;
  if (v.subprogs.length >= MAX_SUBPROGS) v.reject(ERRNO.E2BIG, 'too many subprograms');
  v.subprogs.push(new Subprog(start));
  v.subprogs.sort((a, b) => a.start - b.start);
}

/** Jumps stay inside their function, and none runs into the next. */
export function checkSubprogs(v: Verifier): void {
  let current = 0;
  let start = 0;
  let end = v.subprogEnd(0);
  for (let i = 0; i < v.insns.length; i++) {
    const insn = v.insns[i]!;
    noteTraits(v.subprogs[current]!, insn);
    if (isJump(insn.code)) {
      const target = i + 1 + (insn.code === (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off);
      if (target < start || target >= end) v.invalid(`jump out of range from insn ${i} to ${target}`);
    }
    if (i !== end - 1) continue;
    if (
      insn.code !== (BPF_JMP | BPF_EXIT) &&
      insn.code !== (BPF_JMP32 | BPF_JA) &&
      insn.code !== (BPF_JMP | BPF_JA)
    ) {
      v.invalid('last insn is not an exit or jmp');
    }
    start = end;
    current++;
    if (current < v.subprogs.length) end = v.subprogEnd(current);
  }
}

function isJump(code: number): boolean {
  const cls = bpfClass(code);
  if (cls !== BPF_JMP && cls !== BPF_JMP32) return false;
  return bpfOp(code) !== BPF_EXIT && bpfOp(code) !== BPF_CALL;
}

function noteTraits(subprog: Subprog, insn: Insn): void {
  if (isHelperCall(insn) && insn.imm === FUNC_TAIL_CALL) subprog.hasTailCall = true;
  const mode = bpfMode(insn.code);
  if (bpfClass(insn.code) === BPF_LD && (mode === BPF_ABS || mode === BPF_IND)) subprog.hasLdAbs = true;
}

/** `func_info` before the functions are known: offsets ascend, every type is a function. */
export function checkFuncInfoEarly(v: Verifier): void {
  const records = v.request.funcInfo ?? [];
  const { btf } = v;
  if (records.length === 0 || btf === undefined) return;
  let previous = 0;
  records.forEach(({ insnOff, typeId }, i) => {
    if (i === 0 && insnOff !== 0) {
      v.invalid(`nonzero insn_off ${insnOff} for the first func info record`);
    }
    if (i > 0 && insnOff <= previous) {
      v.invalid(`same or smaller insn offset (${insnOff}) than previous func info record (${previous})`);
    }
    if (!btf.has(typeId) || btf.kindOf(typeId) !== 'func')
      v.invalid(`invalid type id ${typeId} in func info`);
    previous = insnOff;
  });
  v.hasFuncInfo = true;
}

/** `func_info` against the functions that were found. */
export function checkFuncInfo(v: Verifier): void {
  const records = v.request.funcInfo ?? [];
  if (!v.hasFuncInfo) {
    checkAbnormalReturn(v);
    return;
  }
  const btf = v.btf!;
  if (records.length !== v.subprogs.length) {
    v.invalid("number of funcs in func_info doesn't match number of subprogs");
  }
  records.forEach(({ insnOff, typeId }, i) => {
    const subprog = v.subprogs[i]!;
    if (subprog.start !== insnOff) {
      v.invalid("func_info BTF section doesn't match subprog layout in BPF program");
    }
    const func = btf.type(typeId);
    if (func.kind !== 'func') return;
    subprog.name = func.name;
    subprog.isGlobal = func.linkage === 1;
    const scalar = returnsScalar(btf, func.type);
    if (i > 0 && !scalar && subprog.hasLdAbs) {
      v.invalid("LD_ABS is only allowed in functions that return 'int'.");
    }
    if (i > 0 && !scalar && subprog.hasTailCall) {
      v.invalid("tail_call is only allowed in functions that return 'int'.");
    }
  });
}

/** Does a prototype return an integer of at most 8 bytes, or an enum? */
function returnsScalar(btf: Btf, protoId: number): boolean {
  const proto = btf.type(protoId);
  if (proto.kind !== 'func_proto') return false;
  const result = btf.type(btf.skipModifiers(proto.type));
  const plain = result.kind === 'typedef' ? btf.underlying(proto.type) : result;
  return plain.kind === 'int' ? plain.size <= 8 : plain.kind === 'enum' || plain.kind === 'enum64';
}

function checkAbnormalReturn(v: Verifier): void {
  for (let i = 1; i < v.subprogs.length; i++) {
    const subprog = v.subprogs[i]!;
    if (subprog.hasLdAbs) v.invalid('LD_ABS is not allowed in subprogs without BTF');
    if (subprog.hasTailCall) v.invalid('tail_call is not allowed in subprogs without BTF');
  }
}
