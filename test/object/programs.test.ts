/**
 * The project's own compiled programs, relocated for the embedded target: what must hold of any program
 * that clang compiled, whatever it does. (`test/oracle` compares them with libbpf, byte by byte.)
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Insn } from '../../src/isa/insn.js';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { openObject, relocateObject } from '../../src/object/index.js';

const FOLDER = 'programs';
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.o'));

/** `[slot, target slot]` of every call of a subprogram and every function pointer. */
function references(insns: readonly Insn[]): [number, number][] {
  return insns.flatMap((insn, i): [number, number][] => {
    const call = insn.code === 0x85 && insn.src === 1;
    const pointer = insn.code === 0x18 && insn.src === 4;
    return call || pointer ? [[i, i + insn.imm + 1]] : [];
  });
}

test('there are at least eight', () => {
  expect(files.length).toBeGreaterThanOrEqual(8);
});

describe.each(files)('%s', (file) => {
  const object = openObject(readFileSync(join(FOLDER, file)), { file });
  const loadable = relocateObject(object, { targetBtf: loadTargetBtf({ from: 'embedded' }) });

  test('nothing is wrong with it', () => {
    expect(object.problems).toEqual([]);
    expect(loadable.failed).toBeUndefined();
    expect(loadable.license).toContain('GPL');
    expect(loadable.programs.length).toBeGreaterThan(0);
  });

  test('its section names follow libbpf', () => {
    expect(object.programs.map(({ convention }) => convention)).toEqual(object.programs.map(() => 'libbpf'));
  });

  test('calls lead to subprograms, maps exist', () => {
    for (const { insns, subProgs } of loadable.programs) {
      const starts = new Set(subProgs.map(({ insnOff }) => insnOff));
      for (const [, target] of references(insns)) expect(starts).toContain(target);
      const maps = insns
        .filter(({ code, src }) => code === 0x18 && (src === 1 || src === 2))
        .map(({ imm }) => imm);
      for (const map of maps) expect(loadable.maps[map]).toBeDefined();
    }
  });

  test('function and line information follow the code', () => {
    for (const program of loadable.programs) {
      const { insns, subProgs, funcInfo, lineInfo } = program;
      expect(funcInfo.map(({ insnOff }) => insnOff)).toEqual(subProgs.map(({ insnOff }) => insnOff));
      expect(funcInfo.map(({ typeId }) => loadable.btf!.nameOf(typeId))).toEqual(
        subProgs.map(({ name }) => name),
      );
      const offsets = lineInfo.map(({ insnOff }) => insnOff);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      expect(offsets[0]).toBe(0);
      expect(offsets[offsets.length - 1]).toBeLessThan(insns.length);
      expect(lineInfo.some(({ text }) => text !== '')).toBe(true);
    }
  });
});
