/** What `bpflab run` says: one report (plain data, the JSON form) and its rendering as text. */
import { progTypeName } from '../abi/prog-types.js';
import { returnName } from '../abi/return-names.js';
import type { BpfProg } from '../kernel/bpf/prog.js';
import type { TestRunResult } from '../kernel/bpf/test-run-types.js';
import type { Lab, OutputRecord } from '../kernel/lab.js';
import type { Redirect } from '../kernel/net/net-state.js';
import { frameText } from './frame.js';
import { dumpMaps, type MapDump, mapText } from './map-dump.js';
import { table } from './table.js';

/** Entries of a map, and output records, that the text shows. */
const TEXT_ENTRIES = 64;
/** Bytes of a packet or record that a line of text shows. */
const TEXT_BYTES = 32;

/** What every kind of run ends with. */
export interface Aftermath {
  /** Lines of trace_pipe. */
  readonly trace: readonly string[];
  readonly output: readonly OutputRecord[];
  readonly events: readonly object[];
  readonly maps: readonly MapDump[];
}

export interface RunProgram {
  readonly program: string;
  readonly type: string;
  /** Why the kernel's verifier would have refused it. */
  readonly refusal?: string;
}

export interface SingleRun extends Aftermath, RunProgram {
  readonly file: string;
  /** Signed, as C sees an int. */
  readonly retval: number;
  readonly returnName?: string;
  readonly redirect?: Redirect;
  readonly dataIn?: Uint8Array;
  readonly dataOut?: Uint8Array;
  readonly ctxOut?: Uint8Array;
  readonly repeat: number;
  /** Of all repetitions. */
  readonly instructions: number;
  /** Mean time of a repetition in nanoseconds. */
  readonly meanNs: number;
}

export interface PacketRun {
  readonly index: number;
  readonly bytes: number;
  readonly frame: string;
  /** Absent when the test run refused the packet. */
  readonly retval?: number;
  readonly returnName?: string;
  readonly redirect?: Redirect;
  /** Present when the program changed the packet. */
  readonly dataOut?: Uint8Array;
  readonly refused?: string;
}

export interface CaptureRun extends Aftermath, RunProgram {
  readonly file: string;
  readonly capture: string;
  readonly packets: readonly PacketRun[];
  /** Packets by what became of them: a return value's name or number, or `refused`. */
  readonly summary: Readonly<Record<string, number>>;
  readonly instructions: number;
  /** Median time of a packet in nanoseconds. */
  readonly medianNs: number;
}

export function aftermath(lab: Lab, output: readonly OutputRecord[]): Aftermath {
  return {
    trace: lab.kernel.tracePipe.drain(),
    output,
    events: lab.kernel.rcEvents.splice(0),
    maps: dumpMaps(lab),
  };
}

/** What a program returned, and what it is called. */
export function outcome(
  prog: BpfProg,
  result: TestRunResult,
): Pick<SingleRun, 'retval' | 'returnName' | 'redirect'> {
  const name = returnName(prog.type, result.retval);
  return {
    retval: result.retval | 0,
    ...(name === undefined ? {} : { returnName: name }),
    ...(result.redirect === undefined ? {} : { redirect: result.redirect }),
  };
}

export function programOf({ name, type, refusal }: BpfProg): RunProgram {
  return { program: name, type: progTypeName(type), ...(refusal !== undefined && { refusal }) };
}

/** The key under which a packet counts in a summary. */
export function summaryKey(packet: PacketRun): string {
  return packet.retval === undefined ? 'refused' : (packet.returnName ?? packet.retval.toString());
}

export function singleText(run: SingleRun, strong: (text: string) => string): string {
  const lines = [`${run.program} (${run.type}) returned ${strong(returned(run))}`];
  const times = run.repeat === 1 ? '1 run' : `${run.repeat} runs, ${duration(run.meanNs)} each`;
  lines.push(`${run.instructions} instructions in ${times}`);
  if (run.refusal !== undefined) lines.push(`note: ${run.refusal}`);
  if (run.redirect !== undefined) lines.push(`redirect ${redirectText(run.redirect)}`);
  if (run.dataOut !== undefined) lines.push(`data out ${packetText(run.dataOut, run.dataIn)}`);
  if (run.ctxOut !== undefined && run.ctxOut.length > 0) lines.push(`ctx out  ${bytesText(run.ctxOut)}`);
  return [...lines, ...aftermathText(run, strong)].join('\n');
}

export function captureText(run: CaptureRun, strong: (text: string) => string): string {
  const rows = run.packets.map((packet) => [
    packet.index.toString(),
    packet.bytes.toString(),
    packet.retval === undefined
      ? `refused: ${packet.refused}`
      : returned({ ...packet, retval: packet.retval }),
    packet.dataOut === undefined ? '' : `now ${packet.dataOut.length} bytes`,
    packet.frame,
  ]);
  const header = ['#', 'bytes', 'returned', '', 'packet'];
  const lines = [`${run.program} (${run.type}) on the ${run.packets.length} packets of ${run.capture}`, ''];
  lines.push(table(header, rows, { align: ['right', 'right', 'left', 'left', 'left'] }), '');
  const counts = Object.entries(run.summary).map(([name, count]) => `${strong(name)} ${count}`);
  const each = run.packets.length === 0 ? '' : `, ${duration(run.medianNs)} a packet (median)`;
  lines.push(`${counts.join(', ')}; ${run.instructions} instructions${each}`);
  if (run.refusal !== undefined) lines.push(`note: ${run.refusal}`);
  return [...lines, ...aftermathText(run, strong)].join('\n');
}

function returned(run: Pick<SingleRun, 'retval' | 'returnName'>): string {
  return run.returnName === undefined ? run.retval.toString() : `${run.returnName} (${run.retval})`;
}

function aftermathText(run: Aftermath, strong: (text: string) => string): string[] {
  const lines: string[] = [];
  const section = (title: string, body: readonly string[]) => {
    if (body.length > 0) lines.push('', strong(title), ...body.map((line) => `  ${line}`));
  };
  section('trace_pipe', run.trace);
  section('decoded', run.events.map(eventText));
  const records = run.output.slice(0, TEXT_ENTRIES).map(recordText);
  const more = run.output.length - records.length;
  section('output', more > 0 ? [...records, `… ${more} more`] : records);
  section(
    'maps',
    run.maps.flatMap((map) => mapText(map, TEXT_ENTRIES)),
  );
  return lines;
}

function eventText(event: object): string {
  return Object.entries(event)
    .map(([name, value]) =>
      name === 'kind'
        ? `${value}`
        : `${name} ${typeof value === 'bigint' ? `0x${value.toString(16)}` : value}`,
    )
    .join(' ');
}

export function recordText(record: OutputRecord): string {
  const cpu = record.cpu === undefined ? '' : ` cpu${record.cpu}`;
  return `${record.map}${cpu} ${bytesText(record.data)}`;
}

function redirectText(redirect: Redirect): string {
  switch (redirect.kind) {
    case 'ifindex':
      return `to interface ${redirect.ifindex}`;
    case 'map':
      return `through ${redirect.map}[${redirect.index}] to ${redirect.target}`;
    case 'broadcast':
      return `to all of ${redirect.map}`;
  }
}

function packetText(out: Uint8Array, before: Uint8Array | undefined): string {
  const same = before !== undefined && Buffer.compare(out, before) === 0;
  return same ? `${out.length} bytes, unchanged (${frameText(out)})` : bytesText(out);
}

function bytesText(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, TEXT_BYTES))
    .toString('hex')
    .replace(/(.{8})(?=.)/g, '$1 ');
  return `${bytes.length} bytes: ${shown}${bytes.length > TEXT_BYTES ? ' …' : ''}`;
}

/** Three digits and a unit. */
export function duration(ns: number): string {
  if (ns < 1000) return `${ns.toPrecision(3)} ns`;
  return ns < 1e6 ? `${(ns / 1e3).toPrecision(3)} µs` : `${(ns / 1e6).toPrecision(3)} ms`;
}
