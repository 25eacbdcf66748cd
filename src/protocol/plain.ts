/** Text for people, wherever it is shown: nothing in it is obeyed, and a time is in the units that they use. */

/**
 * Characters that are obeyed or not seen: controls, ends of lines, what turns the direction of writing, and what Unicode has programs leave out where they
 * do not know it (`Default_Ignorable_Code_Point`). Not the two that say whether a sign is drawn as text or as a picture, right behind such a sign or in a
 * keycap: anywhere else they make two names that look the same.
 */
const OF_NO_LOOK = String.raw`[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff9-\ufffb]`;
const OF_A_SIGN = String.raw`(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f\u20e3`;
export const HIDDEN = new RegExp(String.raw`(?!${OF_A_SIGN})${OF_NO_LOOK}`, 'gu');
/** A run of what is hidden and needed by no writing: scripts and emoji are joined by U+200C and U+200D. */
const NEEDLESS = new RegExp(String.raw`(?:(?![\u200c\u200d]|${OF_A_SIGN})${OF_NO_LOOK})+`, 'gu');

/** Text that somebody else wrote, for a terminal or a page: what is {@link HIDDEN} is shown as `\u{…}`, and so is seen rather than obeyed. */
export function plain(text: string): string {
  return text.replaceAll(HIDDEN, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** One blank behind another, and the one that is as wide as two. U+2800 has no dots and is none to Unicode. */
const FURTHER_BLANK = /(?<=[\p{Zs}\u2800])[\p{Zs}\u2800]|\u3000/gu;

/**
 * The same, where lines of ours have columns: of blanks in a row each after the first is shown as well. Where a narrow terminal goes on in the next row,
 * what somebody wrote stands there under none of our columns, and two blanks are between what they wrote and what we say of it.
 */
export function spaced(text: string): string {
  return plain(text).replaceAll(FURTHER_BLANK, (blank) => `\\u{${blank.codePointAt(0)!.toString(16)}}`);
}

/** The same JSON document, in which what is {@link HIDDEN} is written by its number; but for what ends its own lines. */
export function inertJson(json: string): string {
  return json.replaceAll(HIDDEN, (character) => (character === '\n' ? character : Array.from({ length: character.length }, (_none, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')));
}

/** The first character that is hidden, and that no writing needs, as `U+200B`; null where there is none. */
export function hiddenIn(text: string): string | null {
  const found = text.match(NEEDLESS)?.[0].codePointAt(0);
  return found === undefined ? null : `U+${found.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The same text without what {@link hiddenIn} finds: a space stands for each run of it. */
export function withoutHidden(text: string): string {
  return text.replaceAll(NEEDLESS, ' ');
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
