/**
 * Programs on tracepoints: with the record that perf would write, or, raw, with the tracepoint's own arguments. Models
 * kernel/trace/trace_event_perf.c (`perf_trace_run_bpf_submit`) and `bpf_raw_tracepoint_open`.
 */
import { type ContextField, type ContextLayout, layout } from '../../abi/context/layout.js';
import {
  MAX_TRACE_SIZE,
  SCHED_SWITCH,
  SYS_ENTER,
  SYS_EXIT,
  TRACE_ENTRY_ROWS,
} from '../../abi/context/tracing.js';
import type { Btf } from '../../object/btf/btf.js';
import type { Region } from '../../vm/index.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import type { Tracing } from './bpf-trace.js';
import type { ProbeArg, ProbePoint } from './probes.js';

/** Where a record's own fields begin. */
const FIRST_FIELD = 8;
const PID_AT = 4;
const KNOWN: Readonly<Record<string, ContextLayout>> = {
  'raw_syscalls:sys_enter': SYS_ENTER,
  'raw_syscalls:sys_exit': SYS_EXIT,
  'sched:sched_switch': SCHED_SWITCH,
};

/** The record's layout: known, or the kernel's type of it, or 64-bit words; `fields` says how many of those. */
function recordLayout(btf: Btf | undefined, name: string, fields: number): ContextLayout {
  const known = KNOWN[name];
  if (known !== undefined) return known;
  const [category, event] = name.split(':') as [string, string];
  if (category === 'syscalls') return event.startsWith('sys_exit') ? SYS_EXIT : SYS_ENTER;
  const id = btf?.findByName(`trace_event_raw_${event}`, 'struct');
  if (id !== undefined) return typedLayout(btf!, id, event);
  const rows = Array.from({ length: fields }, (_, i) => [`field${i}`, FIRST_FIELD + 8 * i, 8] as const);
  return layout(`trace_event_raw_${event}`, FIRST_FIELD + 8 * fields, [...TRACE_ENTRY_ROWS, ...rows]);
}

function typedLayout(btf: Btf, id: number, event: string): ContextLayout {
  const type = btf.type(id);
  const fields: ContextField[] = [];
  if (type.kind === 'struct') {
    for (const member of type.members) {
      const size = btf.sizeOf(member.type);
      const offset = member.bitOffset / 8;
      if (offset < FIRST_FIELD || size === 0) continue;
      const bytes = btf.kindOf(btf.skipModifiersAndTypedefs(member.type)) === 'array';
      fields.push({ name: member.name, offset, size: bytes ? 1 : size, count: bytes ? size : 1 });
    }
  }
  return { name: `trace_event_raw_${event}`, size: btf.sizeOf(id), fields };
}

/** Tracepoints with programs: all of one share a call. */
export class Tracepoints {
  private readonly progs = new Map<ProbePoint, { list: BpfProg[]; undo: () => void }>();
  private readonly layouts = new Map<string, ContextLayout>();

  constructor(private readonly tracing: Tracing) {}

  attach(link: BpfLink, point: ProbePoint): () => void {
    const { prog } = link;
    const known = this.progs.get(point) ?? this.open(point);
    known.list.push(prog);
    return () => {
      known.list.splice(known.list.indexOf(prog), 1);
      if (known.list.length > 0) return;
      known.undo();
      this.progs.delete(point);
    };
  }

  attachRaw(link: BpfLink, point: ProbePoint): () => void {
    const { tracing } = this;
    const { memory } = tracing;
    return point.attach('entry', function* (fields, _, raw = fields) {
      yield* tracing.atTracepoint(function* () {
        const context = memory.args(raw);
        yield* tracing.traceRun(link.prog, tracing.start(context.address));
        memory.give(context);
      });
    });
  }

  /** How the record of a tracepoint is laid out. */
  layoutOf(name: string, fields: number): ContextLayout {
    let found = this.layouts.get(name);
    if (found === undefined) {
      found = recordLayout(this.tracing.kernel.btf, name, fields);
      this.layouts.set(name, found);
    }
    return found;
  }

  private open(point: ProbePoint): { list: BpfProg[]; undo: () => void } {
    const { tracing } = this;
    const list: BpfProg[] = [];
    const known = (count: number): ContextLayout => this.layoutOf(point.name, count);
    const undo = point.attach('entry', (fields) =>
      tracing.atTracepoint(function* () {
        yield* tracing.perfEvent(function* () {
          const record = fill(tracing, known(fields.length), fields);
          yield* tracing.callBpf(list, tracing.start(record.address));
          tracing.memory.give(record);
        });
      }),
    );
    const opened = { list, undo };
    this.progs.set(point, opened);
    return opened;
  }
}

/** The record of an event: its common fields, and the given ones in order. */
function fill(tracing: Tracing, shape: ContextLayout, given: readonly ProbeArg[]): Region {
  const { memory, kernel } = tracing;
  const record = memory.take(MAX_TRACE_SIZE);
  const own = shape.fields.filter(({ offset }) => offset >= FIRST_FIELD);
  kernel.memory.view.setInt32(record.address32 + PID_AT, kernel.current.pid, true);
  let at = 0;
  for (const field of own) {
    if (field.size === 1 && field.count > 1) {
      if (at < given.length) memory.putField(record, field, given[at++]!);
      continue;
    }
    for (let i = 0; i < field.count && at < given.length; i++) {
      memory.putField(record, { ...field, offset: field.offset + i * field.size, count: 1 }, given[at++]!);
    }
  }
  return record;
}
