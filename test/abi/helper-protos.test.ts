import { describe, expect, test } from '@jest/globals';
import { HELPER_PROTOS, type HelperArg, helperProtoOf } from '../../src/abi/helper-protos.js';
import { HELPERS, helperId } from '../../src/abi/helpers.js';

const proto = (name: string, variant = '') => helperProtoOf(helperId(name)!, variant)!;
const SIZES = new Set(['size', 'size_or_zero']);
const set = (arg: HelperArg): string[] =>
  Object.entries(arg)
    .filter(([, value]) => value === true)
    .map(([key]) => key)
    .sort();

describe('helper prototypes', () => {
  test('every helper has a common one', () => {
    for (const { id, name } of HELPERS) expect([name, helperProtoOf(id)?.name]).toEqual([name, name]);
    expect(helperProtoOf(0)).toBeUndefined();
    expect(helperProtoOf(212)).toBeUndefined();
    expect(helperProtoOf(1, 'sk')).toBeUndefined();
  });

  test('are in the order of their ids, each once', () => {
    const keys = HELPER_PROTOS.map(({ id, variant }) => [id, variant] as const);
    expect(keys.map(([id]) => id)).toEqual([...keys.map(([id]) => id)].sort((a, b) => a - b));
    expect(new Set(keys.map((key) => key.join('/'))).size).toBe(HELPER_PROTOS.length);
  });

  // What Linux itself asks of a prototype (`check_func_proto`).
  test('a size follows its memory, and memory has a size of one kind', () => {
    for (const { name, args } of HELPER_PROTOS) {
      expect(args.length).toBeLessThanOrEqual(5);
      args.forEach((arg, i) => {
        const sized = SIZES.has(args[i + 1]?.kind ?? '');
        if (SIZES.has(arg.kind)) expect([name, args[i - 1]?.kind]).toEqual([name, 'mem']);
        if (arg.kind === 'mem') expect([name, i, sized]).toEqual([name, i, arg.fixedSize === undefined]);
        else expect([name, arg.fixedSize, arg.aligned]).toEqual([name, undefined, false]);
        if (arg.struct !== undefined) expect(arg.kind).toBe('btf_id');
      });
      expect(args.filter((arg) => arg.release).length).toBeLessThanOrEqual(1);
      expect(args.filter((arg) => arg.uninit && arg.kind === 'mem').length).toBeLessThanOrEqual(1);
    }
  });

  test('what changes packets takes the context first', () => {
    for (const { name, args, changesPacket } of HELPER_PROTOS)
      if (changesPacket) expect([name, args[0]?.kind]).toEqual([name, 'ctx']);
  });

  test.each([
    ['map_lookup_elem', '', 'map map_key', 'map_value'],
    ['skb_load_bytes', '', 'ctx any mem size', 'int'],
    ['ringbuf_reserve', '', 'map alloc_size_or_zero any', 'mem'],
    ['sk_assign', '', 'ctx btf_id_sock_common any', 'int'],
    ['sk_assign', 'sk_lookup', 'ctx socket any', 'int'],
    ['kptr_xchg', '', 'kptr_xchg_dest btf_id', 'btf_id'],
    ['loop', '', 'any func stack any', 'int'],
    ['get_smp_processor_id', '', '', 'int'],
    ['ringbuf_submit', '', 'ringbuf_mem any', 'void'],
  ])('%s %s (%s): %s', (name, variant, kinds, ret) => {
    expect(
      proto(name, variant)
        .args.map(({ kind }) => kind)
        .join(' '),
    ).toBe(kinds);
    expect(proto(name, variant).ret.kind).toBe(ret);
  });

  test.each<[string, number, string[]]>([
    ['skb_load_bytes', 2, ['uninit', 'writes']],
    ['trace_printk', 0, ['readOnly']],
    ['snprintf', 0, ['nullable', 'writes']],
    ['csum_diff', 0, ['nullable', 'readOnly']],
    ['strtol', 3, ['aligned', 'uninit', 'writes']],
    ['kptr_xchg', 1, ['nullable', 'release']],
    ['sk_release', 0, ['release']],
    ['fib_lookup', 1, ['writes']],
  ])('%s, argument %i: %j', (name, i, flags) => {
    expect(set(proto(name).args[i]!)).toEqual(flags);
  });

  test('details', () => {
    expect(proto('strtol').args[3]!.fixedSize).toBe(8);
    expect(proto('check_mtu').args[2]!.fixedSize).toBe(4);
    expect(proto('tcp_raw_check_syncookie_ipv6').args.map((a) => a.fixedSize)).toEqual([40, 20]);
    expect(proto('ringbuf_reserve_dynptr').args[3]!.dynptr).toBe('ringbuf');
    expect(proto('dynptr_read').args[2]!.dynptr).toBeUndefined();
    expect(proto('task_storage_get').args[1]!.struct).toBe('task_struct');
    expect(proto('get_current_task_btf').ret).toEqual({
      kind: 'btf_id',
      nullable: false,
      readOnly: false,
      ringbuf: false,
      trusted: true,
      struct: 'task_struct',
    });
    expect(proto('ringbuf_reserve').ret.ringbuf).toBe(true);
    expect(proto('copy_from_user').mightSleep).toBe(true);
    expect(proto('get_stack', 'sleepable').mightSleep).toBe(true);
    expect([proto('get_func_ip').gplOnly, proto('get_func_ip', 'multi').gplOnly]).toEqual([true, false]);
    expect([proto('sk_lookup_tcp').pktAccess, proto('sk_lookup_tcp', 'sock_addr').pktAccess]).toEqual([
      true,
      false,
    ]);
    expect(proto('d_path').condition).toBe('d_path');
    expect(HELPER_PROTOS.filter((p) => p.allowFastcall).map((p) => p.name)).toEqual(['get_smp_processor_id']);
  });
});
