/**
 * What of Debian's objects is meant to be refused, and what libbpf 1.x cannot be asked about. Each row has
 * its reason; a row that no longer holds fails the comparison.
 */

export interface RefusedRow {
  /** End of the file's path. */
  readonly file: RegExp;
  /** Only this program; absent: the object. */
  readonly program?: string;
  readonly code: string;
  readonly reason: string;
}

export const REFUSED: readonly RefusedRow[] = [
  {
    file: /gvisor\/.*\/af_xdp_ebpf\.o$/,
    code: 'OBJECT_NOT_ELF',
    reason: 'Debian ships a file of one byte here in place of the object',
  },
  {
    file: /cilium\/ebpf\/testdata\/invalid_map-e[bl]\.elf$/,
    code: 'OBJECT_BAD_MAP',
    reason: 'test data meant to be refused: a map definition with an unknown field that is not zero',
  },
  {
    file: /cilium\/ebpf\/testdata\/fwd_decl-e[bl]\.elf$/,
    program: 'call_fwd',
    code: 'OBJECT_UNRESOLVED_EXTERN',
    reason: 'calls a function that is declared and never defined; libbpf refuses it too',
  },
  {
    file: /cilium\/ebpf\/testdata\/loader-clang-\d+-e[bl]\.elf$/,
    program: 'asm_relocation',
    code: 'OBJECT_UNRESOLVED_EXTERN',
    reason: "refers to a constant whose value only the package's own test supplies",
  },
];

export interface NoReferenceRow {
  readonly message: RegExp;
  readonly reason: string;
}

/** Refusals by libbpf 1.x of objects that we read. */
export const NO_REFERENCE: readonly NoReferenceRow[] = [
  {
    message: /legacy map definitions|bad map relo against .* in section '[^']*\/maps'/,
    reason: 'map definitions in a maps section, which libbpf before 1.0 read',
  },
  {
    message: /is static and not supported/,
    reason: 'a static function in a section of its own, which no loader takes for a program',
  },
  {
    message: /endianness mismatch|non-native endianness/,
    reason: 'the other byte order, which this libbpf does not read',
  },
  {
    message: /failed to find BTF for extern/,
    reason: 'an extern that nothing describes: only its users are refused by us',
  },
];

/** Big-endian objects whose source says other things than its little-endian build. */
export const ORDER_DEPENDENT: readonly { readonly file: RegExp; readonly reason: string }[] = [
  { file: /relocs_read-eb\.elf$/, reason: 'its expected values are what bit fields read in each byte order' },
];
