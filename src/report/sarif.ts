/**
 * Verdicts as SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format), which code review tools show beside the
 * source: a result for each program that was not accepted, and for each warning.
 */
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errnoName, type ReportVerdict, type VerifyReport } from './verify.js';

/** What the rule behind a result is called; from an explanation where there is one. */
export interface SarifRule {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

export interface SarifInput {
  readonly report: VerifyReport;
  readonly rule?: SarifRule;
}

type Level = 'error' | 'warning' | 'note';

interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: Level;
  readonly message: { readonly text: string };
  readonly locations: readonly object[];
}

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';
const LEVELS: Readonly<Record<Exclude<ReportVerdict, 'accept'>, Level>> = {
  reject: 'error',
  error: 'error',
  unsupported: 'note',
  unknown: 'note',
};

const PREALLOC_WARNING: SarifRule = {
  id: 'run-time-allocation',
  title: 'Hash maps that allocate elements at run time, in a tracing program',
  text: 'The kernel loads the program and warns: an allocation inside the allocator can deadlock.',
};

function ruleOf({ report, rule }: SarifInput): SarifRule {
  if (rule !== undefined) return rule;
  switch (report.verdict) {
    case 'unsupported':
      return {
        id: 'unsupported',
        title: 'The program cannot be judged',
        text: 'It uses a feature whose rules this verifier does not have.',
      };
    case 'unknown':
      return {
        id: 'unknown',
        title: 'The verdict of an older release is not known',
        text: 'What the program does was judged otherwise by older releases, in ways that are not recorded.',
      };
    case 'error':
      return {
        id: 'not-loadable',
        title: 'The program could not be made ready to load',
        text: 'A loader refuses it before the kernel sees it.',
      };
    default:
      return {
        id: `rejected-${errnoName(report.errno)}`,
        title: `The kernel refuses the program with ${errnoName(report.errno)}`,
        text: 'The message is the first line of the verifier’s log that says what is wrong.',
      };
  }
}

function uriOf(file: string): string {
  return isAbsolute(file)
    ? pathToFileURL(file).href
    : encodeURI(file).replaceAll('#', '%23').replaceAll('?', '%3F');
}

function locationOf({ object, program, section, insn, source }: VerifyReport): object {
  const file = source?.file.replace(/^(\.\/+)+/, '') || object;
  const region =
    source === null || source.line < 1
      ? {}
      : { region: { startLine: source.line, ...(source.column > 0 && { startColumn: source.column }) } };
  return {
    physicalLocation: { artifactLocation: { uri: uriOf(file) }, ...region },
    logicalLocations: [
      {
        name: program,
        fullyQualifiedName: `${object}:${section}:${program}${insn === null ? '' : `:insn ${insn}`}`,
        kind: 'function',
      },
    ],
  };
}

class Rules {
  readonly list: SarifRule[] = [];

  indexOf(rule: SarifRule): number {
    const known = this.list.findIndex(({ id }) => id === rule.id);
    return known >= 0 ? known : this.list.push(rule) - 1;
  }
}

function resultsOf(input: SarifInput, rules: Rules): SarifResult[] {
  const { report } = input;
  const locations = [locationOf(report)];
  const result = (rule: SarifRule, level: Level, text: string): SarifResult => ({
    ruleId: rule.id,
    ruleIndex: rules.indexOf(rule),
    level,
    message: { text: `${report.program}: ${text}` },
    locations,
  });
  const results = report.warnings.map((warning) => result(PREALLOC_WARNING, 'warning', warning));
  if (report.verdict === 'accept') return results;
  const message = report.message === '' ? 'refused without a message' : report.message;
  return [...results, result(ruleOf(input), LEVELS[report.verdict], message)];
}

/** The log of one run. `failures`: files that could not be read at all. */
export function sarifLog(
  inputs: readonly SarifInput[],
  failures: readonly { readonly file: string; readonly message: string }[],
  version: string,
): object {
  const rules = new Rules();
  const results = inputs.flatMap((input) => resultsOf(input, rules));
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'bpflab',
            version,
            rules: rules.list.map(({ id, title, text }) => ({
              id,
              shortDescription: { text: title },
              fullDescription: { text },
            })),
          },
        },
        invocations: [
          {
            executionSuccessful: failures.length === 0,
            toolExecutionNotifications: failures.map(({ file, message }) => ({
              level: 'error',
              message: { text: message },
              locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(file) } } }],
            })),
          },
        ],
        columnKind: 'utf16CodeUnits',
        results,
      },
    ],
  };
}
