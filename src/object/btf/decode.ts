/**
 * One type record → one `BtfType`. The records' bounds have been checked when the section was indexed,
 * so nothing here reads past the section; names and ids are resolved by whoever asks.
 */
import { fromHalves } from '../../isa/int64.js';
import { BtfError } from './error.js';
import { infoFlag, infoKind, infoVlen, KIND } from './format.js';
import type { StringSection } from './strings.js';
import type {
  BtfArray,
  BtfComposite,
  BtfDatasec,
  BtfEnum,
  BtfEnumValue,
  BtfFuncProto,
  BtfInt,
  BtfMember,
  BtfParam,
  BtfQualifier,
  BtfSecVar,
  BtfType,
} from './types.js';

/** Where records lie, and how to read them. */
export interface RecordSource {
  /** Over the type section. */
  readonly view: DataView;
  readonly little: boolean;
  readonly strings: StringSection;
}

/** Decodes the record at byte `at` of the type section. */
export function decodeType(source: RecordSource, at: number): BtfType {
  const { view, little, strings } = source;
  const u32 = (offset: number): number => view.getUint32(at + offset, little);
  const info = u32(4);
  const name = strings.at(u32(0));
  const third = u32(8);
  const flag = infoFlag(info);
  switch (infoKind(info)) {
    case KIND.int:
      return decodeInt(name, third, u32(12));
    case KIND.ptr:
      return { kind: 'ptr', name, type: third };
    case KIND.array:
      return { kind: 'array', name, type: u32(12), indexType: u32(16), count: u32(20) } satisfies BtfArray;
    case KIND.struct:
      return decodeComposite(source, at, 'struct', name);
    case KIND.union:
      return decodeComposite(source, at, 'union', name);
    case KIND.enum:
      return decodeEnum(source, at, name);
    case KIND.enum64:
      return decodeEnum64(source, at, name);
    case KIND.fwd:
      return { kind: 'fwd', name, of: flag ? 'union' : 'struct' };
    case KIND.typedef:
      return { kind: 'typedef', name, type: third };
    case KIND.volatile:
      return { kind: 'volatile', name, type: third } satisfies BtfQualifier;
    case KIND.const:
      return { kind: 'const', name, type: third } satisfies BtfQualifier;
    case KIND.restrict:
      return { kind: 'restrict', name, type: third } satisfies BtfQualifier;
    case KIND.func:
      return { kind: 'func', name, type: third, linkage: infoVlen(info) };
    case KIND.func_proto:
      return decodeProto(source, at, name);
    case KIND.var:
      return { kind: 'var', name, type: third, linkage: u32(12) };
    case KIND.datasec:
      return decodeDatasec(source, at, name);
    case KIND.float:
      return { kind: 'float', name, size: third };
    case KIND.decl_tag:
      return { kind: 'decl_tag', name, type: third, componentIndex: u32(12) | 0, attribute: flag };
    case KIND.type_tag:
      return { kind: 'type_tag', name, type: third, attribute: flag };
    default:
      throw new BtfError('BTF_KIND', `type kind ${infoKind(info)} is not known`);
  }
}

function decodeInt(name: string, size: number, word: number): BtfInt {
  const encoding = (word >>> 24) & 0x0f;
  return {
    kind: 'int',
    name,
    size,
    signed: (encoding & 1) !== 0,
    char: (encoding & 2) !== 0,
    bool: (encoding & 4) !== 0,
    encoding,
    bitOffset: (word >>> 16) & 0xff,
    bits: word & 0xff,
  };
}

function decodeComposite(
  source: RecordSource,
  at: number,
  kind: 'struct' | 'union',
  name: string,
): BtfComposite {
  const { view, little, strings } = source;
  const info = view.getUint32(at + 4, little);
  const kindFlag = infoFlag(info);
  const members: BtfMember[] = [];
  let place = at + 12;
  for (let left = infoVlen(info); left > 0; left--, place += 12) {
    const offset = view.getUint32(place + 8, little);
    members.push({
      name: strings.at(view.getUint32(place, little)),
      type: view.getUint32(place + 4, little),
      bitOffset: kindFlag ? offset & 0xffffff : offset,
      bitfieldSize: kindFlag ? offset >>> 24 : 0,
    });
  }
  return { kind, name, size: view.getUint32(at + 8, little), kindFlag, members };
}

function decodeEnum({ view, little, strings }: RecordSource, at: number, name: string): BtfEnum {
  const info = view.getUint32(at + 4, little);
  const signed = infoFlag(info);
  const values: BtfEnumValue[] = [];
  let place = at + 12;
  for (let left = infoVlen(info); left > 0; left--, place += 8) {
    const value = signed ? view.getInt32(place + 4, little) : view.getUint32(place + 4, little);
    values.push({ name: strings.at(view.getUint32(place, little)), value: BigInt(value) });
  }
  return { kind: 'enum', name, size: view.getUint32(at + 8, little), signed, values };
}

function decodeEnum64({ view, little, strings }: RecordSource, at: number, name: string): BtfEnum {
  const info = view.getUint32(at + 4, little);
  const signed = infoFlag(info);
  const values: BtfEnumValue[] = [];
  let place = at + 12;
  for (let left = infoVlen(info); left > 0; left--, place += 12) {
    const value = fromHalves(view.getInt32(place + 4, little), view.getInt32(place + 8, little), signed);
    values.push({ name: strings.at(view.getUint32(place, little)), value });
  }
  return { kind: 'enum64', name, size: view.getUint32(at + 8, little), signed, values };
}

function decodeProto({ view, little, strings }: RecordSource, at: number, name: string): BtfFuncProto {
  const params: BtfParam[] = [];
  let place = at + 12;
  for (let left = infoVlen(view.getUint32(at + 4, little)); left > 0; left--, place += 8) {
    params.push({
      name: strings.at(view.getUint32(place, little)),
      type: view.getUint32(place + 4, little),
    });
  }
  return { kind: 'func_proto', name, type: view.getUint32(at + 8, little), params };
}

function decodeDatasec({ view, little }: RecordSource, at: number, name: string): BtfDatasec {
  const vars: BtfSecVar[] = [];
  let place = at + 12;
  for (let left = infoVlen(view.getUint32(at + 4, little)); left > 0; left--, place += 12) {
    vars.push({
      type: view.getUint32(place, little),
      offset: view.getUint32(place + 4, little),
      size: view.getUint32(place + 8, little),
    });
  }
  return { kind: 'datasec', name, size: view.getUint32(at + 8, little), vars };
}
