/**
 * The verifier: would Linux 6.18 load this program? `verify` takes what `bpf(BPF_PROG_LOAD)` is given and answers with a
 * verdict, the errno and the log; it never throws for a rejected program. No engine, no simulated kernel, no Node.
 */
import { BpflabError } from '../errors.js';
import { checkAttach } from './btf/attach.js';
import { checkCfg, computePostorder, computeScc, findSuccessors } from './cfg.js';
import { Verifier } from './context.js';
import { checkCallbacksRemain, checkKfuncsResolved } from './dead-code.js';
import { checkFrom } from './do-check.js';
import { loadProblem, RECORDED_CONFIG } from './env/index.js';
import { markFastcallPatterns, shrinkFastcallStack } from './fastcall.js';
import { finalStackDepths } from './final-depth.js';
import { computeLiveRegisters } from './live-regs.js';
import { StackLiveness } from './live-stack.js';
import { LOG_INSNS, LOG_STATES, LOG_STATS, saysOnlyFailures } from './log.js';
import { maxCtxOffset } from './mem-access.js';
import { scanInsns } from './scan.js';
import { checkMaxStackDepth } from './stack-depth.js';
import { addSubprogs, checkFuncInfo, checkFuncInfoEarly, checkSubprogs } from './subprogs.js';
import type { Verdict, VerifyRequest, VerifyResult } from './types.js';
import { Rejection, Unsupported } from './verdict.js';

/** Judges a program. Deterministic: the same request gives the same result. */
export function verify(request: VerifyRequest): VerifyResult {
  // Writing what only a failure shows takes several times as long as judging: done where there is one.
  if (saysOnlyFailures(request.logLevel ?? 0)) {
    const answer = judge(new Verifier(request, true));
    if (answer.verdict === 'accept') return answer;
  }
  return judge(new Verifier(request));
}

function judge(v: Verifier): VerifyResult {
  try {
    run(v);
    return result(v, 'accept', 0, '');
  } catch (error) {
    if (error instanceof Rejection) return result(v, 'reject', error.errno, v.firstError ?? '');
    if (error instanceof Unsupported) return result(v, 'unsupported', 0, error.feature);
    // Types that refer to nothing, or to themselves, show up where they are used.
    if (error instanceof BpflabError) return result(v, 'unsupported', 0, error.message);
    throw error;
  }
}

function run(v: Verifier): void {
  const { request } = v;
  const problem = loadProblem({
    progType: request.progType,
    expectedAttachType: request.expectedAttachType ?? 0,
    attachBtfId: request.attachBtfId ?? 0,
    insnCount: request.insns.length,
    progFlags: request.progFlags ?? 0,
    logLevel: request.logLevel ?? 0,
    capabilities: v.env.capabilities,
    config: RECORDED_CONFIG,
  });
  if (problem !== undefined) v.reject(problem.errno, problem.message === '' ? undefined : problem.message);
  if (request.attachTarget !== undefined) v.target = verifiedTarget(v, request.attachTarget);
  checkFuncInfoEarly(v);
  addSubprogs(v);
  checkSubprogs(v);
  checkFuncInfo(v);
  scanInsns(v);
  checkCfg(v);
  findSuccessors(v);
  computePostorder(v);
  v.liveness = new StackLiveness(v);
  checkAttach(v);
  computeScc(v);
  computeLiveRegisters(v);
  markFastcallPatterns(v);
  checkFrom(v, 0);
  checkGlobals(v);
  shrinkFastcallStack(v);
  checkMaxStackDepth(v);
  v.finalDepths = finalStackDepths(v);
  checkKfuncsResolved(v);
  checkCallbacksRemain(v);
}

/** The program to hang on, as the kernel knows it once it is loaded. */
function verifiedTarget(v: Verifier, request: VerifyRequest): Verifier {
  if (request.attachTarget?.attachTarget !== undefined) v.unsupported('chain of more than three programs');
  const policy = { ...v.request.policy, ...request.policy };
  const target = new Verifier({ ...request, policy, logLevel: 0 });
  try {
    run(target);
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    v.unsupported(`target program that Linux refuses (${target.firstError ?? `errno ${error.errno}`})`);
  }
  return target;
}

/** Global functions that were called, and those that they call, each for any arguments. */
function checkGlobals(v: Verifier): void {
  if (!v.hasFuncInfo) return;
  if (v.exceptionStart !== 0) v.subprogs[v.findSubprog(v.exceptionStart)]!.called = true;
  for (let again = true; again; ) {
    again = false;
    v.subprogs.forEach((subprog, i) => {
      if (i === 0 || !subprog.isGlobal || !subprog.called || subprog.verified) return;
      checkFrom(v, i);
      if ((v.log.level & (LOG_STATES | LOG_INSNS)) !== 0) {
        v.log.write(`Func#${i} ('${subprog.name}') is safe for any args that match its prototype\n`);
      }
      subprog.verified = true;
      again = true;
    });
  }
}

function result(v: Verifier, verdict: Verdict, errno: number, message: string): VerifyResult {
  const depths = v.finalDepths ?? v.subprogs.map((subprog) => subprog.stackDepth);
  const stackDepth = depths.join('+');
  if ((v.log.level & LOG_STATS) !== 0) v.log.write(`stack depth ${stackDepth}\n`);
  if (v.log.level !== 0) {
    v.log.write(
      `processed ${v.insnProcessed} insns (limit 1000000) max_states_per_insn ${v.maxStatesPerInsn} ` +
        `total_states ${v.totalStates} peak_states ${v.peakStates} mark_read 0\n`,
    );
  }
  return {
    verdict,
    errno,
    message: message.split('\n')[0] ?? '',
    insn: verdict === 'accept' || v.insnProcessed === 0 ? undefined : v.insnIdx,
    processed: v.insnProcessed,
    maxStatesPerInsn: v.maxStatesPerInsn,
    totalStates: v.totalStates,
    peakStates: v.peakStates,
    stackDepth,
    log: v.log.text(),
    reached: v.aux.reached(),
    pointerTypes: Uint32Array.from(v.aux.ptrType),
    maxCtxOffset: maxCtxOffset(v),
  };
}
