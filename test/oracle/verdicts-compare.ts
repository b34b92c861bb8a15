/** One recorded program against our verdict. */
import { verify } from '../../src/verifier/index.js';
import type { Verdict } from '../../src/verifier/types.js';
import type { CorpusRow } from './verdicts-corpus.js';

export interface Comparison {
  readonly kind: 'agree' | 'too kind' | 'too strict' | 'unsupported' | 'crashed';
  readonly verdict: Verdict | 'crash';
  readonly errno: number;
  readonly message: string;
  /** The first error line is Linux's. */
  readonly lineEqual: boolean;
  readonly processed: number;
  readonly totalStates: number;
  readonly peakStates: number;
  /** The whole log is Linux's, but for what no request holds. */
  readonly logEqual: boolean;
}

/** A log without addresses, times, and the source lines and blanks that recorded requests lack. */
function plain(log: string): string {
  return log
    .replace(/^; .*\n/gm, '')
    .replace(/^arg#0 reference.*\n/gm, '')
    .replace(/verification time.*\n/g, '')
    .replace(/\(18\) (r\d) = 0x[0-9a-f]+/g, '(18) $1 = …')
    .replace(/ +;/g, ' ;')
    .replace(/\n+$/, '');
}

export function compareRow(row: CorpusRow): Comparison {
  try {
    const request = row.request();
    const result = verify({ ...request, logLevel: request.logLevel || 1 });
    const { verdict, errno, message, processed, totalStates, peakStates } = result;
    let kind: Comparison['kind'] = 'agree';
    if (verdict === 'unsupported') kind = 'unsupported';
    else if (verdict !== row.verdict) kind = verdict === 'accept' ? 'too kind' : 'too strict';
    const lineEqual = verdict === 'reject' && message.trim() === row.firstLine.trim() && errno === row.errno;
    const logEqual = plain(result.log) === plain(row.log);
    return { kind, verdict, errno, message, lineEqual, processed, totalStates, peakStates, logEqual };
  } catch (error) {
    const message =
      error instanceof Error
        ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' | ')
        : String(error);
    return {
      kind: 'crashed',
      verdict: 'crash',
      errno: 0,
      message,
      lineEqual: false,
      processed: 0,
      totalStates: 0,
      peakStates: 0,
      logEqual: false,
    };
  }
}
