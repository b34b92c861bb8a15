/** The log against a plain string that is cut back in the same places, and what is kept of a long one. */
import { describe, expect, test } from '@jest/globals';
import { LOG_INSNS, LOG_STATES, VerifierLog } from '../../src/verifier/log.js';

const line = (i: number): string => `${i}: (b7) r${i % 11} = ${i}\n`;

describe('VerifierLog', () => {
  test.each([
    ['within what was written last', 900, 300],
    ['into what lies behind it', 5000, 700],
    ['to a place between two blocks', 2048, 1024],
    ['to the very start', 3000, 0],
  ])('cut back %s', (_what, written, kept) => {
    const log = new VerifierLog(LOG_INSNS, false);
    let text = '';
    let position = 0;
    for (let i = 0; i < written; i++) {
      if (i === kept) position = log.position;
      log.write(line(i));
      if (i < kept) text += line(i);
    }
    log.reset(position);
    log.write('more\n');
    expect(log.text()).toBe(`${text}more\n`);
  });

  test('cut back to the middle of a piece', () => {
    const log = new VerifierLog(LOG_INSNS, false);
    log.write('one, two');
    log.write('three');
    log.reset(3);
    expect(log.position).toBe(3);
    expect(log.text()).toBe('one');
  });

  test('the end of a long log is kept, in whole lines', () => {
    const log = new VerifierLog(LOG_INSNS, false, 50_000);
    const all = Array.from({ length: 10_000 }, (_, i) => line(i));
    for (const text of all) log.write(text);
    const text = log.text();
    expect(log.position).toBe(all.join('').length);
    expect(text.length).toBeGreaterThan(49_900);
    expect(text.length).toBeLessThan(100_000);
    expect(all.join('').endsWith(`\n${text}`)).toBe(true);
  });

  test('cut back to what is not kept any more', () => {
    const log = new VerifierLog(LOG_INSNS, false, 1000);
    for (let i = 0; i < 10_000; i++) log.write(line(i));
    log.reset(100);
    expect(log.position).toBe(100);
    log.write('lost the beginning\nthe rest\n');
    expect(log.text()).toBe('the rest\n');
  });

  test.each([
    ['nothing is kept at level 0', 0, false, { verbose: false, chatty: false, text: '' }],
    ['level 1', LOG_STATES, false, { verbose: true, chatty: false, text: 'why\n' }],
    ['level 1, quiet', LOG_STATES, true, { verbose: false, chatty: false, text: 'why\n' }],
    ['level 2', LOG_INSNS, false, { verbose: true, chatty: true, text: 'why\n' }],
  ])('%s', (_what, level, quiet, expected) => {
    const log = new VerifierLog(level, quiet);
    log.write('why\n');
    expect({ verbose: log.verbose, chatty: log.chatty, text: log.text() }).toEqual(expected);
  });
});
