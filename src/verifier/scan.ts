/**
 * The pass over all instructions before anything is simulated: opcodes, `LD_IMM64` and the maps it names
 * (`resolve_pseudo_ldimm64` of Linux 6.18, kernel/bpf/verifier.c).
 */

import { MapType } from '../abi/map-types.js';
import { checkStatic } from '../isa/check.js';
import * as C from '../isa/constants.js';
import { resolveSymbol } from './btf/ksym.js';
import type { Verifier } from './context.js';
import { mapProgramProblem } from './env/index.js';
import { ERRNO } from './errno.js';
import type { MapView } from './map-view.js';
import { MAX_VAR_OFF } from './reg.js';

const MAX_USED_MAPS = 64;

export function scanInsns(v: Verifier): void {
  for (let i = 0; i < v.insns.length; i++) {
    const problem = checkStatic(v.insns, i);
    const insn = v.insns[i]!;
    if (problem !== undefined) v.invalid(problem);
    if (insn.code !== C.LD_IMM64) continue;
    resolve(v, i);
    i++;
  }
}

function resolve(v: Verifier, i: number): void {
  const insn = v.insns[i]!;
  switch (insn.src) {
    case C.BPF_PSEUDO_BTF_ID:
      v.aux.of(i).symbol = resolveSymbol(v, i);
      return;
    case C.BPF_PSEUDO_MAP_FD:
    case C.BPF_PSEUDO_MAP_IDX:
      v.aux.of(i).mapIndex = useMap(v, insn.imm);
      return;
    case C.BPF_PSEUDO_MAP_VALUE:
    case C.BPF_PSEUDO_MAP_IDX_VALUE:
      resolveValue(v, i);
      return;
    default:
  }
}

function resolveValue(v: Verifier, i: number): void {
  const aux = v.aux.of(i);
  aux.mapIndex = useMap(v, v.insns[i]!.imm);
  const map = v.usedMaps[aux.mapIndex]!;
  const off = v.insns[i + 1]!.imm >>> 0;
  if (off >= MAX_VAR_OFF) v.invalid(`direct value offset of ${off} is not allowed`);
  if (!map.hasDirectValue) v.invalid('no direct value access support for this map type');
  if (map.maxEntries !== 1) {
    v.reject(ERRNO.ENOTSUPP, `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`);
  }
  if (!map.directValueFits(off)) {
    v.invalid(`invalid access to map value pointer, value_size=${map.valueSize} off=${off}`);
  }
  aux.mapOff = off;
}

/** Index among the program's own maps; a map named for the first time has to suit the program. */
function useMap(v: Verifier, fd: number): number {
  const map = v.allMaps[fd];
  if (map === undefined) v.reject(ERRNO.EBADF, `fd ${fd} is not pointing to valid bpf_map`);
  const known = v.usedMaps.indexOf(map);
  if (known >= 0) return known;
  if (v.usedMaps.length >= MAX_USED_MAPS) {
    v.reject(ERRNO.E2BIG, `The total number of maps per program has reached the limit of ${MAX_USED_MAPS}`);
  }
  checkCompatible(v, map);
  v.usedMaps.push(map);
  return v.usedMaps.length - 1;
}

function checkCompatible(v: Verifier, map: MapView): void {
  const policy = v.request.policy?.prealloc ?? 'none';
  const problem = mapProgramProblem(policy, v.env, map);
  if (problem !== undefined) {
    if (problem.errno !== 0) v.reject(problem.errno, problem.message);
    v.log.write(`${problem.message}\n`);
  }
  const isStorage = map.type === MapType.cgroup_storage || map.type === MapType.percpu_cgroup_storage;
  if (isStorage && v.usedMaps.some(({ type }) => type === map.type)) {
    v.reject(ERRNO.EBUSY, 'only one cgroup storage of each type is allowed');
  }
  if (map.type === MapType.arena && v.usedMaps.some(({ type }) => type === MapType.arena)) {
    v.reject(ERRNO.EBUSY, 'Only one arena per program');
  }
  if (map.type === MapType.arena && !(v.capable && v.perfmon)) {
    v.reject(ERRNO.EPERM, 'CAP_BPF and CAP_PERFMON are required to use arena');
  }
}
