/** Names of accounts that have meant something else to somebody: to a shell, an SQL parser, a URL, a format, a terminal. */
export const NAMES: readonly string[] = [
  'Robert"); DROP TABLE accounts;--', "o'brien", 'a;b', '--comment', '$(id)', '`id`', '-leading', 'with space', 'two\nlines', 'tab\there', 'nul\0', '%s', '%00', '%2e%2e', '../up', 'a/b',
  'a#b', 'a:b.c', 'a?b=c&d', 'a,b', '*', 'back\\slash', '{{7*7}}', '__proto__', 'Grüße', '名前', '🔑key', '\ud800', '', ' ', 'x'.repeat(63), 'é'.repeat(60), 'y'.repeat(5_000),
];
