/**
 * How a context looks to a program: a table of fields. The floors above read and write contexts through
 * it and name an offset in a message; which program may touch which field is the verifier's business.
 */

/** `[name, offset, size]` or `[name, offset, element size, number of elements]`, in bytes. */
export type FieldRow =
  | readonly [name: string, offset: number, size: number]
  | readonly [name: string, offset: number, size: number, count: number];

/** One field. An array has `count` elements of `size` bytes. */
export interface ContextField {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

/** A context structure as programs see it, sizes in bytes. */
export interface ContextLayout {
  /** The structure's C name. */
  readonly name: string;
  readonly size: number;
  readonly fields: readonly ContextField[];
}

/** Builds a layout from its rows. */
export function layout(name: string, size: number, rows: readonly FieldRow[]): ContextLayout {
  return {
    name,
    size,
    fields: rows.map(([field, offset, bytes, count = 1]) => ({ name: field, offset, size: bytes, count })),
  };
}

/** The field that covers byte `offset`: the first in declaration order where union members overlap. */
export function fieldAt(context: ContextLayout, offset: number): ContextField | undefined {
  return context.fields.find((f) => offset >= f.offset && offset < f.offset + f.size * f.count);
}

/** Byte offset of a field; throws for a name that the layout lacks, which is a programming error. */
export function offsetOf(context: ContextLayout, name: string): number {
  const field = context.fields.find((f) => f.name === name);
  if (field === undefined) throw new Error(`${context.name} has no field ${name}`);
  return field.offset;
}
