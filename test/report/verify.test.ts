/** The text of verdicts, and their SARIF: required properties, rules by index, places, levels. */
import { describe, expect, test } from '@jest/globals';
import { sarifLog } from '../../src/report/sarif.js';
import {
  errnoName,
  sourceOf,
  type VerifyReport,
  verifySummary,
  verifyText,
} from '../../src/report/verify.js';

const REJECTED: VerifyReport = {
  object: 'build/prog one.o',
  section: 'xdp',
  program: 'drop',
  type: 'xdp',
  profile: '6.18',
  verdict: 'reject',
  errno: 13,
  message: "R0 invalid mem access 'map_value_or_null'",
  warnings: [],
  insn: 5,
  source: { file: 'src/prog one.bpf.c', line: 12, column: 7 },
  processed: 6,
  states: 1,
  peakStates: 1,
  stackDepth: '8',
  timeMs: 0.25,
  log: `${Array.from({ length: 20 }, (_, i) => `${i}: (b7) r0 = 0`).join('\n')}\nprocessed 6 insns (limit 1000000)\n`,
};
const ACCEPTED: VerifyReport = {
  ...REJECTED,
  program: 'pass',
  verdict: 'accept',
  errno: 0,
  message: '',
  insn: null,
  source: null,
  processed: 1,
  log: '',
};
const BARE = { paint: (_: string, text: string) => text, wholeLog: false } as const;

describe('text', () => {
  test('one line for what is accepted, its warnings below', () => {
    expect(verifyText(ACCEPTED, BARE)).toBe(
      'accept  prog one.o: pass (xdp)  1 insn processed, 1 state (peak 1), 0.3 ms',
    );
    expect(verifyText({ ...ACCEPTED, warnings: ['mind the map'] }, BARE)).toMatch(
      /\n {8}warning: mind the map$/,
    );
  });

  test('message, place and end of the log for what is rejected', () => {
    const lines = verifyText(REJECTED, { ...BARE, sourceText: '\treturn *value;' }).split('\n');
    expect(lines[1]).toBe("        R0 invalid mem access 'map_value_or_null' (EACCES)");
    expect(lines[2]).toBe('        at insn 5, src/prog one.bpf.c:12:7: return *value;');
    expect(lines[3]).toBe('        | … 8 lines before …');
    expect(lines.at(-1)).toBe('        | 19: (b7) r0 = 0');
  });

  test('an explanation stands for the log, the whole log where it was asked for', () => {
    const explained = verifyText(REJECTED, { ...BARE, explanation: 'Because.\n' });
    expect(explained).toMatch(/\n {8}Because\.$/);
    expect(explained).not.toMatch(/\|/);
    expect(verifyText(ACCEPTED, { ...BARE, wholeLog: true }).split('\n')).toHaveLength(2);
    expect(verifyText(REJECTED, { ...BARE, wholeLog: true })).toMatch(
      /\nprocessed 6 insns \(limit 1000000\)$/,
    );
  });

  test('refusals without a message, verdicts without an instruction', () => {
    expect(verifyText({ ...REJECTED, message: '', insn: null, log: '' }, BARE)).toMatch(
      /\n {8}refused without a message \(EACCES\)$/,
    );
    expect(verifyText({ ...ACCEPTED, verdict: 'error', message: 'no type' }, BARE)).toBe(
      'error   prog one.o: pass (xdp)\n        no type',
    );
  });

  const sums: readonly (readonly [verdicts: VerifyReport['verdict'][], text: string])[] = [
    [['accept'], '1 program for profile rt: 1 accepted, 0 rejected'],
    [['accept', 'reject', 'reject'], '3 programs for profile rt: 1 accepted, 2 rejected'],
    [
      ['unsupported', 'unknown', 'error'],
      '3 programs for profile rt: 0 accepted, 0 rejected, 1 unsupported, 1 unknown, 1 not loadable',
    ],
  ];
  test.each(sums)('sum of %j', (verdicts, text) => {
    expect(
      verifySummary(
        verdicts.map((verdict) => ({ verdict })),
        'rt',
      ),
    ).toBe(text);
  });

  test('errnos by name, and by number where they have none', () => {
    expect([13, 22, 9999].map(errnoName)).toEqual(['EACCES', 'EINVAL', 'errno 9999']);
  });

  test('the source of an instruction is that of the last record before it', () => {
    const line = (insnOff: number, n: number) => ({ insnOff, file: 'a.c', text: '', line: n, column: 1 });
    const request = { insns: [], progType: 1, lineInfo: [line(0, 10), line(4, 11), line(9, 12)] };
    expect([0, 3, 4, 8, 9, 50].map((insn) => sourceOf(request, insn)?.line)).toEqual([
      10, 10, 11, 11, 12, 12,
    ]);
    expect(sourceOf(request, undefined)).toBeNull();
  });
});

interface Sarif {
  readonly $schema: string;
  readonly version: string;
  readonly runs: readonly {
    readonly tool: {
      readonly driver: {
        readonly name: string;
        readonly version: string;
        readonly rules: readonly { id: string }[];
      };
    };
    readonly invocations: readonly {
      executionSuccessful: boolean;
      toolExecutionNotifications: readonly object[];
    }[];
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string };
          readonly region?: { readonly startLine: number; readonly startColumn?: number };
        };
      }[];
    }[];
  }[];
}

describe('SARIF', () => {
  const rule = { id: 'null-check', title: 'Unchecked pointer', text: 'Check it.' };
  const log = sarifLog(
    [
      { report: ACCEPTED },
      { report: REJECTED, rule },
      { report: { ...REJECTED, errno: 22 } },
      { report: { ...ACCEPTED, warnings: ['unsafe map'] } },
      { report: { ...ACCEPTED, verdict: 'unsupported', message: 'kfuncs' } },
      { report: { ...ACCEPTED, verdict: 'unknown', message: 'not known' } },
      { report: { ...ACCEPTED, object: '/abs/x.o', verdict: 'error', message: 'no type' } },
    ],
    [{ file: 'gone.o', message: 'gone.o: no such file' }],
    '1.2.3',
  ) as Sarif;
  const [run] = log.runs;

  test('what 2.1.0 demands is there', () => {
    expect(log.version).toBe('2.1.0');
    expect(log.$schema).toMatch(/sarif-2\.1\.0/);
    expect(run!.tool.driver).toMatchObject({ name: 'bpflab', version: '1.2.3' });
    expect(run!.invocations[0]).toMatchObject({ executionSuccessful: false });
    expect(run!.invocations[0]!.toolExecutionNotifications).toHaveLength(1);
  });

  test('a result for each program that was not accepted and for each warning', () => {
    expect(run!.results.map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual([
      'null-check error',
      'rejected-EINVAL error',
      'run-time-allocation warning',
      'unsupported note',
      'unknown note',
      'not-loadable error',
    ]);
  });

  test('rules are listed once and found by their index', () => {
    const ids = run!.tool.driver.rules.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { ruleId, ruleIndex } of run!.results) expect(ids[ruleIndex]).toBe(ruleId);
  });

  test('places are the source where it is known, else the object; names are URIs', () => {
    const places = run!.results.map(({ locations }) => locations[0]!.physicalLocation);
    expect(places[0]).toEqual({
      artifactLocation: { uri: 'src/prog%20one.bpf.c' },
      region: { startLine: 12, startColumn: 7 },
    });
    expect(places[3]).toEqual({ artifactLocation: { uri: 'build/prog%20one.o' } });
    expect(places.at(-1)!.artifactLocation.uri).toMatch(/^file:\/\/\/.*x\.o$/);
  });
});
