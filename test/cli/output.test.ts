import { describe, expect, it } from 'vitest';
import { formatSpan, openOutput, plain, table } from '../../src/cli/output.ts';

function capture(isTTY: boolean, env: Record<string, string> = {}, json = false): { out: ReturnType<typeof openOutput>; text: () => string; talk: () => string } {
  let stdout = '';
  let stderr = '';
  const out = openOutput({ stdout: { isTTY, write: (text) => (stdout += text) }, stderr: { isTTY, write: (text) => (stderr += text) }, env, json });
  return { out, text: () => stdout, talk: () => stderr };
}

describe('text that somebody else wrote', () => {
  it.each([
    ['an ANSI colour', '\u001b[31mred', '\\u{1b}[31mred'],
    ['an OSC title', '\u001b]0;owned\u0007', '\\u{1b}]0;owned\\u{7}'],
    ['a C1 control sequence', '\u009b2J', '\\u{9b}2J'],
    ['a carriage return that would overwrite the line', 'denied\rapproved', 'denied\\u{d}approved'],
    ['a newline that would forge a second line', 'a\nb', 'a\\u{a}b'],
    ['a change of direction', 'abc\u202edef', 'abc\\u{202e}def'],
    ['an isolate', '\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['a zero-width space', 'per\u200bson', 'per\\u{200b}son'],
    ['NUL', 'a\0b', 'a\\u{0}b'],
    ['tag characters', '\u{e0041}', '\\u{e0041}'],
  ])('shows %s and does not obey it', (_what, text, shown) => {
    expect(plain(text)).toBe(shown);
  });

  it('leaves letters of every script, emoji and punctuation alone', () => {
    expect(plain('Ça va? 测试 – שלום 🙂')).toBe('Ça va? 测试 – שלום 🙂');
  });
});

describe('colour', () => {
  it('is there on a terminal', () => {
    expect(capture(true).out.good('ok')).toBe('\u001b[32mok\u001b[0m');
  });
  it.each([
    ['not a terminal', false, {}],
    ['NO_COLOR is set', true, { NO_COLOR: '1' }],
    ['the terminal is dumb', true, { TERM: 'dumb' }],
  ])('is not there when %s', (_why, isTTY, env) => {
    expect(capture(isTTY, env as Record<string, string>).out.good('ok')).toBe('ok');
  });
  it('stays when NO_COLOR is empty, as no-color.org says', () => {
    expect(capture(true, { NO_COLOR: '' }).out.good('ok')).not.toBe('ok');
  });
});

describe('a line', () => {
  it.each(['line', 'say'] as const)('obeys nothing but the styles of this program, whatever a command forgot (%s)', (how) => {
    const { out, text, talk } = capture(true);
    out[how](`${out.bad('denied')} \u001b[2J\u001b[8m\rapproved\u202e\u009b1A`);
    out[how]('two\n\tlines');
    expect(how === 'line' ? text() : talk()).toBe('\u001b[31mdenied\u001b[0m \\u{1b}[2J\\u{1b}[8m\\u{d}approved\\u{202e}\\u{9b}1A\ntwo\n\tlines\n');
  });
});

describe('data and talk', () => {
  it('with --json, stdout is the document alone', () => {
    const { out, text, talk } = capture(false, {}, true);
    out.line('a line');
    out.say('talk');
    out.document({ a: 1 });
    expect(JSON.parse(text())).toEqual({ a: 1 });
    expect(talk()).toBe('talk\n');
  });
  it('a document obeys nothing either, and says the same', () => {
    const { out, text } = capture(true, {}, true);
    const said = { a: 'denied\u009b2J\u007f\u202e\u200b\u{e0041}', b: ['\n\u001b[2J', 'é'] };
    out.document(said);
    expect(text()).toBe('{\n  "a": "denied\\u009b2J\\u007f\\u202e\\u200b\\udb40\\udc41",\n  "b": [\n    "\\n\\u001b[2J",\n    "é"\n  ]\n}\n');
    expect(JSON.parse(text())).toEqual(said);
  });
  it('without it, there is no document', () => {
    const { out, text } = capture(false);
    out.document({ a: 1 });
    out.line('a line');
    expect(text()).toBe('a line\n');
  });
  it('progress is for terminals, and is cleared before anything else is written', () => {
    const quiet = capture(false);
    quiet.out.progress('half');
    expect(quiet.talk()).toBe('');
    const { out, talk } = capture(true);
    out.progress('half');
    out.say('done');
    expect(talk()).toBe('half\r\u001b[Kdone\n');
  });
  it('progress stays on its line, however narrow the terminal is', () => {
    let talk = '';
    const stream = { isTTY: true, columns: 20, write: (text: string) => (talk += text) };
    openOutput({ stdout: stream, stderr: stream, env: {}, json: false }).progress('[####....] 256/265 records');
    expect(talk).toBe('[####....] 256/265 ');
  });
});

it('aligns columns and leaves no trailing space', () => {
  expect(table([['a', 'bb', ''], ['aaa', 'b', 'c']])).toEqual(['a    bb', 'aaa  b   c']);
});

it.each([
  [0, '0 s'], [400, '0 s'], [59_600, '1 min'], [3_661_000, '1 h 1 min'], [90_000_000, '1 d 1 h'], [86_405_000, '1 d'],
])('spells %d ms as %s', (ms, text) => {
  expect(formatSpan(ms)).toBe(text);
});
