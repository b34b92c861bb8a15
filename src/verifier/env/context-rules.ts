/**
 * Building blocks of the context tables: which sizes a field may be read or written with, and what a load yields.
 * Model `is_valid_access`, `bpf_ctx_narrow_access_ok` and `bpf_ctx_wide_access_ok` (include/linux/filter.h, Linux 6.18).
 */
import type { ContextLayout } from '../../abi/context/layout.js';
import type { ProgEnv } from './types.js';

/** The bytes that a row covers, and the access. Offsets in bytes from the start of the context. */
export interface At {
  readonly from: number;
  readonly to: number;
  readonly off: number;
  readonly size: number;
}

/**
 * Bytes that Linux loads before it narrows to what the program asked for (`ctx_field_size`), 0 for an access that
 * takes the field as it is, undefined for one that is not allowed.
 */
export type SizeRule = (at: At) => number | undefined;

/** That size and no other. */
export const exact =
  (bytes: number): SizeRule =>
  ({ size }) =>
    size === bytes ? 0 : undefined;

/** Any part of a field of that size. */
export const narrow =
  (bytes: number): SizeRule =>
  ({ size }) =>
    size <= bytes ? bytes : undefined;

/** As `narrow`, but only from the field's first byte. */
export const narrowAtStart: SizeRule = ({ from, off, size }) => {
  if (off === from) return size <= 4 ? 4 : undefined;
  return size === 4 ? 0 : undefined;
};

/** Any size that ends inside the row. */
export const within: SizeRule = ({ to, off, size }) => (off + size <= to ? 0 : undefined);

/** As `rule`, or two words at once where they are aligned. */
export const orPair =
  (rule: SizeRule): SizeRule =>
  (at) => {
    if (at.size === 8) return at.off + 8 <= at.to && at.off % 8 === 0 ? 4 : undefined;
    return rule(at);
  };

/** Narrow, but at least two bytes. */
export const atLeastHalf: SizeRule = ({ size }) => (size >= 2 && size <= 4 ? 4 : undefined);

/** A port of two bytes that old programs read as four. */
export const port: SizeRule = ({ size }) => (size === 4 ? 4 : size <= 2 ? 2 : undefined);
export const portWhole: SizeRule = ({ size }) => (size === 4 ? 0 : size <= 2 ? 2 : undefined);

/** What a row of a table allows. */
export interface FieldAccess {
  readonly read?: SizeRule;
  readonly write?: SizeRule;
  /** Register type of a loaded pointer; a number where absent. */
  readonly type?: number;
  /** Structure of a `PTR_TO_BTF_ID`. */
  readonly struct?: string;
  /** A sign-extending load is refused. */
  readonly noSext?: true;
  /** Programs for which the row is there, and those which may write. */
  readonly when?: (env: ProgEnv) => boolean;
  readonly writeWhen?: (env: ProgEnv) => boolean;
}

/** `[fields of the layout, or first byte and end, what is allowed]`. */
export type RuleRow = readonly [fields: string | readonly [from: number, to: number], access: FieldAccess];

/** One row as looked up. */
export interface Rule extends FieldAccess {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Resolves the names of a table; throws for one that the layout lacks, which is a programming error. */
export function rulesOf(layout: ContextLayout, rows: readonly RuleRow[]): readonly Rule[] {
  return rows.flatMap(([fields, access]): Rule[] => {
    if (typeof fields !== 'string') return [{ name: 'padding', from: fields[0], to: fields[1], ...access }];
    return fields.split(' ').map((name) => {
      const field = layout.fields.find((f) => f.name === name);
      if (field === undefined) throw new Error(`${layout.name} has no field ${name}`);
      return { name, from: field.offset, to: field.offset + field.size * field.count, ...access };
    });
  });
}

/** `rules` without the named fields. */
export function without(rules: readonly Rule[], names: string): readonly Rule[] {
  const gone = new Set(names.split(' '));
  return rules.filter((rule) => !gone.has(rule.name));
}

/** `rules` with changes to the named fields. */
export function alter(
  rules: readonly Rule[],
  names: string,
  change: (rule: Rule) => Partial<FieldAccess>,
): readonly Rule[] {
  const wanted = new Set(names.split(' '));
  return rules.map((rule) => (wanted.has(rule.name) ? { ...rule, ...change(rule) } : rule));
}

/** Only the named fields may be written. */
export function writableOnly(rules: readonly Rule[], names: string): readonly Rule[] {
  const wanted = new Set(names.split(' '));
  return rules.map(({ write, ...rule }) =>
    wanted.has(rule.name) && write !== undefined ? { ...rule, write } : rule,
  );
}
