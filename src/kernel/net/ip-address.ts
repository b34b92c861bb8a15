/** IPv4 and IPv6 addresses as texts (RFC 4291, RFC 5952) and as bytes in network order. */

/** The bytes of an IPv4 or IPv6 address; undefined for a text that is neither. */
export function addressOf(text: string): Uint8Array | undefined {
  if (text.includes(':')) return ipv6Of(text);
  const parts = text.split('.');
  const good = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
  return good ? Uint8Array.from(parts, Number) : undefined;
}

function ipv6Of(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const words = halves.map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail = []] = words;
  const gap = 8 - head.length - tail.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined;
  const all = [...head, ...Array.from({ length: gap }, () => '0'), ...tail];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return Uint8Array.from(
    all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]),
  );
}

/** As a text: dotted, or words in hexadecimal with the longest run of zeros left out. */
export function addressText(address: Uint8Array): string {
  if (address.length === 4) return [...address].join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16),
  );
  const whole = words.join(':');
  const runs = [...whole.matchAll(/(?:^|:)(0(?::0)+)(?=:|$)/g)].sort((a, b) => b[1]!.length - a[1]!.length);
  const longest = runs[0];
  if (longest === undefined) return whole;
  const before = whole.slice(0, longest.index);
  const after = whole.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}
