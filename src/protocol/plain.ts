/** Text for people, wherever it is shown: nothing in it is obeyed, and a time is in the units that they use. */

/**
 * Text that somebody else wrote, for a terminal or a page: control characters (so ANSI and OSC sequences, carriage returns, newlines) and those that
 * turn the direction of writing are shown as `\u{…}`, and so are seen rather than obeyed.
 */
export function plain(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** `2 h 5 min`, `40 s`: the two largest units, for people who look at a clock. */
export function formatSpan(ms: number): string {
  const parts = unitsOf(Math.round(Math.abs(ms) / 1000));
  const first = parts.findIndex(([count]) => count > 0);
  return first === -1 ? '0 s' : spelt(parts.slice(first, first + 2));
}

/** `1 d 1 h 59 min 59 s`: every unit, for people who agree to it. What is not the same is not written the same. */
export function formatLength(seconds: number): string {
  return seconds === 0 ? '0 s' : spelt(unitsOf(seconds));
}

type Unit = readonly [count: number, name: string];
const unitsOf = (seconds: number): Unit[] => [[Math.floor(seconds / 86_400), 'd'], [Math.floor(seconds / 3600) % 24, 'h'], [Math.floor(seconds / 60) % 60, 'min'], [seconds % 60, 's']];
const spelt = (parts: readonly Unit[]): string => parts.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`).join(' ');
