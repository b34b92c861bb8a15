/**
 * The verifier's face, `bpflab/verifier`: judging programs, as requests or out of objects, for a kernel profile. No
 * engine, no simulated kernel, no Node.
 */
export { type BtfSource, requestFromJson } from './raw-request.js';
export type {
  Verdict,
  VerifyFuncInfo,
  VerifyLineInfo,
  VerifyMap,
  VerifyPolicy,
  VerifyRequest,
  VerifyResult,
} from './types.js';
export { verify } from './verify.js';
