/**
 * Register texts of the log (`map_value(map=m,ks=8,vs=48,smax=60)`, `scalar(umax=255)`, `fp-8`) in plain words, and the few
 * numbers in them that rules ask for.
 */

export interface ValueText {
  /** `scalar`, `pkt`, `map_value_or_null`, …; `const` for a known number, `fp` for the stack. */
  readonly type: string;
  /** By name, as printed: `off`, `r`, `smin`, `umax`, `map`, `vs`, … */
  readonly attributes: ReadonlyMap<string, string>;
  /** Known number, or constant stack offset. */
  readonly constant?: bigint;
}

const CONSTANT = /^P?(-?(?:0x[0-9a-f]+|\d+))$/;
const STACK = /^fp(?:\[\d+\])?(-?(?:0x[0-9a-f]+|\d+))$/;

function integer(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** Commas inside parentheses do not separate. */
function splitAttributes(text: string): string[] {
  return text.match(/(?:[^,(]|\([^)]*\))+/g) ?? [];
}

export function parseValue(text: string): ValueText {
  const number = CONSTANT.exec(text);
  if (number !== null) return { type: 'const', attributes: new Map(), constant: integer(number[1]!) };
  const stack = STACK.exec(text);
  if (stack !== null) return { type: 'fp', attributes: new Map(), constant: integer(stack[1]!) };
  const open = text.indexOf('(');
  if (open < 0 || !text.endsWith(')')) return { type: text, attributes: new Map() };
  const attributes = new Map<string, string>();
  for (const part of splitAttributes(text.slice(open + 1, -1))) {
    const names = part.split(/=(?![^(]*\))/);
    const value = names.pop() ?? '';
    for (const name of names) attributes.set(name, value);
  }
  const type = text
    .slice(0, open)
    .replace(/^P/, '')
    .replace(/^fp\[\d+\]$/, 'fp');
  return { type, attributes };
}

function rangeText({ attributes }: ValueText): string {
  const smin = attributes.get('smin');
  const smax = attributes.get('smax');
  const umin = attributes.get('umin');
  const umax = attributes.get('umax');
  if (umax !== undefined && !(smin ?? umin ?? '0').startsWith('-'))
    return `from ${umin ?? smin ?? 0} to ${umax}`;
  if (smin !== undefined && smax !== undefined) return `from ${smin} to ${smax}`;
  if (smax !== undefined) return `of at most ${smax}, negative included`;
  if (umin !== undefined) return `of at least ${umin} (unsigned), without an upper bound`;
  if (smin !== undefined) return `of at least ${smin}, without an upper bound`;
  return '';
}

const POINTERS: Readonly<Record<string, string>> = {
  ctx: 'the context',
  pkt_end: 'the end of the packet',
  sock: 'a socket',
  sock_common: 'the common part of a socket',
  tcp_sock: 'a TCP socket',
  xdp_sock: 'an XDP socket',
  flow_keys: 'the flow keys',
  func: 'a function',
  tp_buffer: 'the trace record',
};

function offsetText(value: ValueText): string {
  const off = value.attributes.get('off') ?? value.attributes.get('imm');
  const range = rangeText(value);
  const parts = [];
  if (off !== undefined) parts.push(`offset ${off}`);
  if (range !== '') parts.push(`a variable offset ${range}`);
  else if (value.attributes.has('var_off')) parts.push(`a variable offset`);
  return parts.length === 0 ? '' : ` at ${parts.join(' plus ')}`;
}

/** `trusted_ptr_or_null_task_struct`: flags, whether it may be null, the structure. */
const KERNEL_POINTER = /^(?<flags>(?:[a-z]+_)*)ptr_(?:or_null_)?(?<struct>\w*)$/;
const FLAG_WORDS: Readonly<Record<string, string>> = {
  user: 'user-space',
  percpu: 'per-CPU',
  rcu: 'RCU-protected',
  untrusted: 'untrusted',
  trusted: 'trusted',
};

/** A pointer to a kernel structure, with what is known of its being there. */
function kernelPointerText(type: string): string | undefined {
  const groups = KERNEL_POINTER.exec(type)?.groups;
  if (groups === undefined || groups.flags!.startsWith('map_')) return undefined;
  const words = groups.flags!.split('_').flatMap((flag) => FLAG_WORDS[flag] ?? []);
  const article = /^[aeiou](?!ser)/.test(words[0] ?? '') ? 'an' : 'a';
  return `${[article, ...words, 'pointer'].join(' ')} to a struct ${groups.struct}`;
}

function pointerText(value: ValueText): string {
  const { type, attributes } = value;
  const nullable = type.includes('or_null');
  const base = type.replace(/_?or_null_?$/, '');
  const or = nullable ? ' or NULL, not yet compared with 0' : '';
  const at = offsetText(value);
  const map = attributes.has('map') ? `map ${attributes.get('map')}` : 'a map';
  switch (base) {
    case 'map_ptr':
      return map;
    case 'map_value':
      return `a pointer to the value of ${map} (${attributes.get('vs')} bytes)${at}${or}`;
    case 'map_key':
      return `a pointer to a key of ${map} (${attributes.get('ks')} bytes)${at}${or}`;
    case 'pkt':
    case 'pkt_meta': {
      const range = attributes.get('r') ?? '0';
      // A negative range, printed as an unsigned number: at or past the end.
      const checked = range.startsWith('0xfffffff')
        ? ', known to reach its end or past it'
        : ` with ${range} checked bytes`;
      return `a pointer to ${base === 'pkt' ? 'the packet' : "the packet's metadata"}${at}${checked}`;
    }
    case 'fp':
      return `a pointer to the stack${at}`;
    default:
  }
  const kernel = kernelPointerText(type);
  if (kernel !== undefined) return `${kernel}${at}${or}`;
  if (base === 'rdonly_untrusted_mem')
    return `a pointer to memory of unknown size${at}, which may only be read`;
  const size = attributes.get('sz');
  const name =
    POINTERS[base] ?? (size === undefined ? `an object of type ${base}` : `${size} bytes of memory`);
  return `a pointer to ${name}${at}${or}`;
}

/** In words, to stand after `R3 is`. */
export function describeValue(text: string | undefined): string {
  if (text === undefined) return 'not initialised';
  const value = parseValue(text);
  if (value.type === 'const') return `the number ${value.constant}`;
  if (value.type === 'fp' && value.constant !== undefined) return `a pointer to the stack, ${text}`;
  if (value.type === 'scalar') {
    const range = rangeText(value);
    const id = value.attributes.has('var_off') && range === '' ? ' of which only some bits are known' : '';
    return range === '' ? `a number of any size${id}` : `a number ${range}`;
  }
  return text.includes('(') ? pointerText(value) : slotText(text);
}

/** Eight stack bytes: `?` nothing, `m` anything, `0` zero. */
function slotText(text: string): string {
  if (/^m+$/.test(text)) return 'eight bytes of unknown contents';
  if (/^0+$/.test(text)) return 'eight zero bytes';
  const partly = /^([?m0]{1,7})(.+)$/.exec(text);
  if (partly !== null && !/^[?m0rdif]{8}$/.test(text)) {
    return `partly (the bytes not shown as ${partly[1]}) ${describeValue(partly[2])}`;
  }
  return `stack bytes ${text} (? not written, m unknown, 0 zero, r part of a spilled register)`;
}
