/**
 * The verifier's face, `bpflab/verifier`: judging programs, as requests or out of objects, for a kernel profile. No
 * engine, no simulated kernel, no Node.
 */
export { CAPABILITY_NAMES, capabilitiesByName } from './capabilities.js';
export type { PreallocPolicy } from './env/index.js';
export { VerifierError } from './error.js';
export { type ChainStep, type Explanation, explain, explanationText } from './explain/index.js';
export { type ObjectRequestOptions, requestOf } from './from-object.js';
export {
  DEFAULT_PROFILE,
  profileByName,
  profileNames,
  REFERENCE_VERSION,
  type VerifierProfile,
  withPreemptRt,
} from './profile.js';
export { type ProfileResult, type ProfileVerdict, policyOf, verifyFor } from './profile-verify.js';
export { type BtfSource, requestFromJson } from './raw-request.js';
export type {
  Verdict,
  VerifyCapabilities,
  VerifyFuncInfo,
  VerifyLineInfo,
  VerifyMap,
  VerifyPolicy,
  VerifyRequest,
  VerifyResult,
} from './types.js';
export { verify } from './verify.js';
