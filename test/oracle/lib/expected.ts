/**
 * What libbpf hands over, as `capture.c` prints it: one JSON line an object and one a program.
 */

export interface ExpectedDefinition {
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
  readonly map_flags: number;
  readonly map_extra: number;
  readonly numa_node: number;
  readonly btf_key: number;
  readonly btf_value: number;
}

/** A map as libbpf shows it once the object is opened. */
export interface ExpectedMap extends ExpectedDefinition {
  readonly name: string;
  readonly type: number;
  readonly internal: boolean;
  readonly inner?: ExpectedMap;
  /** What the kernel was asked for; this and the following are absent where libbpf did not come to that. */
  readonly created?: ExpectedDefinition & { readonly kernel_value: number };
  readonly created_inner?: ExpectedDefinition;
  readonly frozen?: boolean;
  readonly data?: string;
  readonly slots?: readonly (readonly [key: number, name: string])[];
}

export interface ExpectedProgram {
  readonly program: string;
  readonly section: string;
  /** As set when the object is opened. */
  readonly type: number;
  readonly attach_type: number;
  readonly autoload: boolean;
  /** How it came to be loaded: 0 as it is, 1 with another attach target, 2 as a socket filter, -1 not at all. */
  readonly mode: number;
  readonly messages?: string;
  readonly load_attach_type?: number;
  readonly flags?: number;
  readonly kern_version?: number;
  readonly attach_btf_id?: number;
  readonly license?: string;
  readonly insns?: string;
  readonly func_info?: readonly (readonly [off: number, typeId: number])[];
  readonly line_info?: readonly (readonly [
    off: number,
    line: number,
    column: number,
    file: string,
    text: string,
  ])[];
}

export interface ExpectedObject {
  readonly file: string;
  /** libbpf's words, where it does not open the object. */
  readonly openError?: string;
  readonly maps: readonly ExpectedMap[];
  readonly programs: readonly ExpectedProgram[];
}

interface Row extends Partial<ExpectedProgram> {
  readonly obj: string;
  readonly open_error?: string;
  readonly crash?: number;
  readonly maps?: readonly ExpectedMap[];
}

/** Reads capture's output. Lines of a process that crashed become an object that libbpf does not open. */
export function parseExpected(text: string): Map<string, ExpectedObject> {
  const objects = new Map<
    string,
    { file: string; openError?: string; maps: ExpectedMap[]; programs: ExpectedProgram[] }
  >();
  for (const line of text.split('\n')) {
    if (!line.startsWith('{') || !line.endsWith('}')) continue;
    const row = JSON.parse(line) as Row;
    const object = objects.get(row.obj) ?? { file: row.obj, maps: [], programs: [] };
    objects.set(row.obj, object);
    if (row.crash !== undefined) object.openError = `libbpf crashed with signal ${row.crash}`;
    else if (row.open_error !== undefined) object.openError = lastLine(row.open_error);
    else if (row.maps !== undefined) object.maps.push(...row.maps);
    else object.programs.push(row as ExpectedProgram);
  }
  return objects;
}

/** The message that names the cause: the first that is not about a skipped section. */
function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line !== '' && !line.includes('skipping unrecognized'));
  return lines[0] ?? text.trim();
}
