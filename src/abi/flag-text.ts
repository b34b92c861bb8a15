/** Flag words as text, for any of this folder's flag tables. */

/** Names of the flags set in `value`, then what is left over as a hexadecimal number; `0` for none. */
export function flagsText(table: Readonly<Record<string, number>>, value: number): string {
  const names: string[] = [];
  let left = value >>> 0;
  for (const [name, bit] of Object.entries(table)) {
    if (bit === 0 || (left & bit) === 0) continue;
    names.push(name);
    left = (left & ~bit) >>> 0;
  }
  if (left !== 0 || names.length === 0) names.push(left === 0 ? '0' : `0x${left.toString(16)}`);
  return names.join(' | ');
}
