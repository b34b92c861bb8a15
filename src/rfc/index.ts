/**
 * The series "bpf: Make BPF and PREEMPT_RT co-exist" (RFC, February 2020) as an executable specification: 19 patches and
 * nine hazards, each with scenarios in which they can be seen. docs/rfc.md describes it.
 */
import { CONTEXT_PATCHES } from './patches-context.js';
import { MAP_PATCHES } from './patches-maps.js';
import type { PatchSpec } from './spec.js';

export { HAZARDS } from './hazards.js';
export {
  type CaseReport,
  changedWithoutRt,
  type HazardReport,
  judgeCase,
  judgeHazard,
  judgePatch,
  type PatchReport,
  runCase,
} from './judge.js';
export { type RfcLibrary, type RfcOptions, runSide, type SideReport, type SideRun } from './side.js';
export { type CaseSpec, DIFFSTAT, type HazardSpec, type PatchSpec, type SideSpec } from './spec.js';

/** In their order. */
export const PATCHES: readonly PatchSpec[] = [...CONTEXT_PATCHES, ...MAP_PATCHES];
