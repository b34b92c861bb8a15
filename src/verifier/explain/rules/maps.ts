/** Map values, and what maps go with what. */
import { MapType, mapTypeName } from '../../../abi/map-types.js';
import { BPF_PSEUDO_MAP_IDX_VALUE, BPF_PSEUDO_MAP_VALUE, LD_IMM64 } from '../../../isa/constants.js';
import type { Finding } from '../finding.js';
import { helperName } from '../names.js';
import type { Rule } from '../types.js';

const INSIDE =
  'A pointer into a map value may be used only where all the bytes of the access lie inside the value, for every value that its variable part may have by what is known on this path.';

const BOUND =
  'Bound the index before it is added: `if (i >= N) return …` on an unsigned variable, or `i &= N - 1` where N is a power of two, directly before the access and on the very variable that is added.';

function variable(f: Finding): string {
  const attributes = f.value()?.attributes;
  const max = attributes?.get('umax') ?? attributes?.get('smax');
  return max === undefined ? '' : ` The variable part of the offset may be as much as ${max}.`;
}

const listKinds = (f: Finding): string => mapTypeName(f.number('type') as MapType);

/** Slot of the first direct address of which this holds: offset, and index of the map. */
const directAddress = (f: Finding, test: (off: number, map: number) => boolean): number | undefined =>
  f.firstInsn(
    (insn, slot) =>
      insn.code === LD_IMM64 &&
      (insn.src === BPF_PSEUDO_MAP_VALUE || insn.src === BPF_PSEUDO_MAP_IDX_VALUE) &&
      test(f.request.insns[slot + 1]?.imm ?? 0, insn.imm),
  );

/** Register with the map value: of the instruction, or among the arguments. */
const valueArgument = (f: Finding): number | undefined => f.regno ?? f.argumentsOf('map_value')[0];

export const MAP_RULES: readonly Rule[] = [
  {
    id: 'map-value-bounds',
    title: 'Access outside a map value',
    pattern: /^invalid access to map value, value_size=(?<have>\d+) off=(?<off>-?\d+) size=(?<size>\d+)/,
    text: INSIDE,
    what: (f) => {
      const size = f.number('size');
      const end = f.number('off') + size;
      const how =
        size === 0
          ? 'no bytes, which this access may not'
          : size === 1
            ? `byte ${f.number('off')}`
            : `bytes ${f.number('off')} to ${end - 1}`;
      return `${f.is()}; ${f.access} may touch ${how}, and the value has ${f.text('have')}.${variable(f)}${f.sizeNote}`;
    },
    mend: [
      BOUND,
      'Check that the last byte counts: with an access of s bytes the index may be at most value_size - s.',
      'Make the value type of the map as large as what is kept in it.',
    ],
  },
  {
    id: 'map-key-bounds',
    title: 'Access outside a map key',
    pattern: /^invalid access to map key, key_size=(?<have>\d+) off=(?<off>-?\d+) size=(?<size>\d+)/,
    text: INSIDE.replace('map value', 'map key').replace('the value,', 'the key,'),
    what: (f) =>
      `${f.is()}; ${f.access} of ${f.text('size')} bytes at offset ${f.text('off')} does not lie inside the ${f.text('have')} bytes of the key.`,
    mend: [BOUND],
  },
  {
    id: 'map-value-null',
    title: 'Result of a look-up used without a NULL check',
    pattern: /^R(?<reg>\d+) invalid mem access '(?<type>map_(?:value|key)_or_null)'/,
    text: 'A look-up returns NULL when there is no such element, even in arrays (the index may be out of range). Its result may be dereferenced only on a branch where a comparison with 0 has shown that it is not NULL.',
    what: (f) => `${f.is()}; no comparison on this path says that it is not NULL.`,
    mend: [
      'Test the result directly after the look-up: `if (!value) return 0;`.',
      'Look up once and keep the pointer: the result of a second look-up has to be tested again.',
    ],
  },
  {
    id: 'map-permission',
    title: 'Map that programs may not access so',
    pattern: /^(?<what>write into|read from) map forbidden/,
    text: 'A map with BPF_F_RDONLY_PROG (every .rodata map) cannot be written by programs, one with BPF_F_WRONLY_PROG cannot be read.',
    what: (f) =>
      `${f.is(valueArgument(f))}, a map that programs may not ${f.text('what').startsWith('write') ? 'write' : 'read'}.`,
    follow: (f) => {
      const regno = valueArgument(f);
      return regno === undefined ? f.defaultPlaces() : [{ kind: 'reg', regno }];
    },
    mend: [
      'Write to a map without that flag: a variable that is not const lands in .data or .bss.',
      'Drop the flag where user space creates the map.',
    ],
  },
  {
    id: 'map-direct-value',
    title: 'Direct address outside a map value',
    pattern:
      /^(?:invalid access to map value pointer, value_size=(?<have>\d+) off=(?<off>-?\d+)|direct value offset of (?<far>\d+) is not allowed)/,
    text: 'An instruction may carry the address of a byte inside an array map of one element (this is how global variables work); the offset has to lie inside the value.',
    what: (f) =>
      f.text('far') === ''
        ? `Offset ${f.text('off')} does not lie inside the ${f.text('have')} bytes of the value.`
        : `Offset ${f.text('far')} is past what any value may have.`,
    follow: () => [],
    locate: (f) => f.slot ?? directAddress(f, (off) => `${off >>> 0}` === (f.text('off') || f.text('far'))),
    mend: ['Object and map do not fit together: load the maps with the sizes that the object file asks for.'],
  },
  {
    id: 'map-direct-value-type',
    title: 'Map whose values have no direct address',
    pattern: /^no direct value access support for this map type/,
    text: 'Only array maps (one element, for global data) and a few others can give out the address of a value when the program is loaded.',
    what: () => 'An instruction asks for the address inside a map of another type.',
    follow: () => [],
    locate: (f) => f.slot ?? directAddress(f, (_, map) => f.request.maps?.[map]?.type !== MapType.array),
    mend: ['Use an array map for global data, or look the value up with bpf_map_lookup_elem.'],
  },
  {
    id: 'map-helper-mismatch',
    title: 'Map type and helper do not go together',
    pattern: /^cannot pass map_type (?<type>\d+) into func (?<helper>[a-z_0-9]+)/,
    text: 'Many helpers work on certain map types only, and many map types (ring buffers, program arrays, queues, socket maps, …) are reached by their own helpers only.',
    what: (f) => `${f.text('helper')} does not take maps of type ${listKinds(f)}.`,
    mend: (f) => {
      const type = f.number('type');
      if (type === MapType.prog_array) return ['A program array serves bpf_tail_call only.'];
      if (type === MapType.perf_event_array) return ['Send records with bpf_perf_event_output.'];
      if (type === MapType.ringbuf)
        return ['Use bpf_ringbuf_output, or bpf_ringbuf_reserve with bpf_ringbuf_submit.'];
      return ['Use the helper that belongs to the map type, or a map type that the helper takes.'];
    },
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'map-sockmap-update',
    title: 'Socket map changed where no socket is at hand',
    pattern: /^cannot update sockmap in this context/,
    text: 'Socket maps may be changed only by program types that run where a socket can safely be locked.',
    what: (f) =>
      `${f.helper === '' ? helperName(2) : f.helper} on a socket map is not open to this program type.`,
    mend: ['Update the map from user space, or from a sock_ops program with bpf_sock_map_update.'],
  },
  {
    id: 'map-callback',
    title: 'Map that cannot be iterated by a callback',
    pattern: /^callback function not allowed for map/,
    text: 'bpf_for_each_map_elem goes through hash, LRU, array and per-CPU maps only.',
    what: () => 'The map that the helper is handed is of another type.',
    mend: ['Use a hash or array map.'],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'map-special-field',
    title: 'Special field of a map value touched directly',
    pattern:
      /^(?<field>bpf_[a-z_]+|kptr|[a-z_]+) (?:cannot be accessed directly by load\/store|cannot be accessed indirectly by helper)/,
    text: 'Spin locks, timers, list heads and other kernel-managed fields of a map value may be touched only by the helpers made for them.',
    what: (f) => `${f.access} overlaps the ${f.text('field')} in the value; ${f.is()}.`,
    mend: [
      'Leave the field out: access the members before and after it separately, and copy values with bpf_map_update_elem.',
    ],
  },
  {
    id: 'map-field-missing',
    title: 'Map value without the lock or timer',
    pattern:
      /^(?:map '(?<map>[^']*)' has (?:no valid|to have BTF in order to use) (?<field>\w+)|off (?<at>-?\d+) doesn't point to 'struct (?<other>\w+)' that is at (?<want>-?\d+))/,
    text: 'The kernel finds a lock or timer in a map value by the BTF of the value type; the argument has to point exactly at that field.',
    what: (f) =>
      f.text('map') !== '' || f.text('field') !== ''
        ? `Map ${f.text('map')} has no ${f.text('field')} known by BTF.`
        : `The pointer leads to offset ${f.text('at')}, the ${f.text('other')} is at ${f.text('want')}.`,
    mend: [
      'Declare the map with __type(value, struct …) that holds the field at the top level, and pass the address of that member.',
      'Build with -g so that the object carries BTF.',
    ],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
];
