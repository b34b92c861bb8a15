/**
 * Capture files in the classic format of libpcap: both byte orders, microseconds or nanoseconds, Ethernet frames
 * (draft-ietf-opsawg-pcap). pcapng is refused by name.
 */
import { PcapError } from '../errors.js';

export interface CapturedFrame {
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** What was captured, a view of the file. */
  readonly data: Uint8Array;
  /** Bytes on the wire; more than `data` has where the capture cut the frame. */
  readonly wireLength: number;
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LINKTYPE_ETHERNET = 1;
/** Most that any capture keeps of a frame (libpcap's MAXIMUM_SNAPLEN). */
const MAX_FRAME = 262144;
const PCAPNG_MAGIC = 0x0a0d0d0a;

/** Magic number as read in little-endian order → byte order and the unit of the sub-second part. */
const MAGICS: ReadonlyMap<number, { readonly little: boolean; readonly unitNs: bigint }> = new Map([
  [0xa1b2c3d4, { little: true, unitNs: 1000n }],
  [0xa1b23c4d, { little: true, unitNs: 1n }],
  [0xd4c3b2a1, { little: false, unitNs: 1000n }],
  [0x4d3cb2a1, { little: false, unitNs: 1n }],
]);

/** All frames of a capture. Throws `PcapError` for another format, another link layer, or a damaged file. */
export function readPcap(bytes: Uint8Array): CapturedFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (magic === PCAPNG_MAGIC) {
    throw new PcapError('PCAP_MAGIC', 'this is a pcapng capture; convert it: editcap -F pcap IN OUT');
  }
  const format = MAGICS.get(magic);
  if (format === undefined) throw new PcapError('PCAP_MAGIC', 'not a capture file in pcap format');
  if (bytes.length < FILE_HEADER) throw truncated(bytes.length, 'the file header');
  const { little, unitNs } = format;
  // The upper bits of the field say how long the frame check sequence is.
  const linkType = view.getUint32(20, little) & 0xffff;
  if (linkType !== LINKTYPE_ETHERNET) {
    throw new PcapError('PCAP_LINK_TYPE', `link type ${linkType} is not Ethernet (${LINKTYPE_ETHERNET})`);
  }
  const frames: CapturedFrame[] = [];
  for (let at = FILE_HEADER; at < bytes.length; ) {
    if (at + RECORD_HEADER > bytes.length) throw truncated(at, 'a record header');
    const seconds = BigInt(view.getUint32(at, little));
    const fraction = BigInt(view.getUint32(at + 4, little));
    const length = view.getUint32(at + 8, little);
    const wireLength = view.getUint32(at + 12, little);
    if (length > MAX_FRAME) {
      throw new PcapError('PCAP_RECORD', `frame ${frames.length} claims ${length} bytes`, { offset: at });
    }
    const start = at + RECORD_HEADER;
    if (start + length > bytes.length) throw truncated(at, `frame ${frames.length}`);
    const timeNs = seconds * 1_000_000_000n + fraction * unitNs;
    frames.push({ timeNs, data: bytes.subarray(start, start + length), wireLength });
    at = start + length;
  }
  return frames;
}

function truncated(offset: number, where: string): PcapError {
  return new PcapError('PCAP_TRUNCATED', `the file ends within ${where}`, { offset });
}
