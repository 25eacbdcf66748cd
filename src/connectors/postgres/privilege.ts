/**
 * The words this connector has for privileges: parsed strictly, with one spelling each.
 *
 *     role:<name>                                  membership
 *     table:<schema>.<table>:<SELECT|INSERT|UPDATE|DELETE|TRUNCATE|REFERENCES|TRIGGER>
 *     schema:<schema>:<USAGE|CREATE>
 *     database:<CONNECT|CREATE|TEMPORARY>          of the connector's own database
 *     sequence:<schema>.<name>:<USAGE|SELECT|UPDATE>
 *
 * Names are literal: no folding to lower case, no quoting, no patterns.
 */
import { TargetError } from '../../executor/connector.ts';

const WORDS = {
  table: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'],
  schema: ['USAGE', 'CREATE'],
  database: ['CONNECT', 'CREATE', 'TEMPORARY'],
  sequence: ['USAGE', 'SELECT', 'UPDATE'],
} as const;

export type Privilege =
  | { readonly kind: 'role'; readonly role: string }
  | { readonly kind: 'database'; readonly word: string }
  | { readonly kind: 'schema'; readonly schema: string; readonly word: string }
  | { readonly kind: 'table' | 'sequence'; readonly schema: string; readonly name: string; readonly word: string };

/** NAMEDATALEN - 1: the server would cut a longer name short without an error, and act on another object. */
const NAME_BYTES_MAX = 63;

/** The privilege that `text` names. @throws TargetError `rejected`: the text is not in the vocabulary; nothing was sent. */
export function parsePrivilege(text: string): Privilege {
  const colon = text.indexOf(':');
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (kind === 'role') return { kind, role: checkRoleName(rest) };
  if (kind === 'database') return { kind, word: checkWord('database', rest, text) };
  // The last colon: a name may hold others.
  const last = rest.lastIndexOf(':');
  if (last === -1) throw unknown(text);
  const name = rest.slice(0, last);
  const word = rest.slice(last + 1);
  if (kind === 'schema') return { kind, schema: checkName(name), word: checkWord('schema', word, text) };
  if (kind !== 'table' && kind !== 'sequence') throw unknown(text);
  const parts = name.split('.');
  // `a.b.c` could be read in two ways, so a name with a dot in it cannot be said here.
  if (parts.length !== 2) throw new TargetError('rejected', `expected ${kind}:<schema>.<name>:<privilege>: ${quoted(text)}`);
  return { kind, schema: checkName(parts[0]!), name: checkName(parts[1]!), word: checkWord(kind, word, text) };
}

/** The one spelling of a privilege. Of names that cannot be asked for, dots and control characters show as `\u{…}`. */
export function formatPrivilege(privilege: Privilege): string {
  switch (privilege.kind) {
    case 'role':
      return `role:${printable(privilege.role)}`;
    case 'database':
      return `database:${privilege.word}`;
    case 'schema':
      return `schema:${printable(privilege.schema)}:${privilege.word}`;
    case 'table':
    case 'sequence':
      return `${privilege.kind}:${undotted(privilege.schema)}.${undotted(privilege.name)}:${privilege.word}`;
  }
}

/** `name`, if a server can have a role of exactly that name. @throws TargetError `rejected` */
export function checkRoleName(name: string): string {
  // Quoting does not help: PostgreSQL's grammar takes even "public" for everybody, and "none" for nobody.
  if (name === 'public' || name === 'none') throw new TargetError('rejected', `${quoted(name)} is a reserved role name`);
  return checkName(name);
}

/** `name`, if a plan can say it as it is. @throws TargetError `rejected` */
export function checkTellable(name: string): string {
  if (printable(name) !== name) throw new TargetError('rejected', `a name with characters that no plan may have: ${quoted(name)}`);
  return checkRoleName(name);
}

function checkName(name: string): string {
  // Control characters are what is refused.
  if (name === '' || /[\u0000-\u001f\u007f-\u009f]/.test(name)) throw new TargetError('rejected', `not a name: ${quoted(name)}`);
  if (/\p{Surrogate}/u.test(name) || Buffer.byteLength(name, 'utf8') > NAME_BYTES_MAX) {
    throw new TargetError('rejected', `a name has at most ${String(NAME_BYTES_MAX)} bytes of UTF-8: ${quoted(name)}`);
  }
  return name;
}

function checkWord(kind: keyof typeof WORDS, word: string, text: string): string {
  if (!(WORDS[kind] as readonly string[]).includes(word)) throw unknown(text);
  return word;
}

function unknown(text: string): TargetError {
  return new TargetError('rejected', `not a privilege of this connector: ${quoted(text)}`);
}

/** Shown in errors, which people read in terminals. */
export function quoted(text: string): string {
  return `"${printable(text.slice(0, 100))}"`;
}

/** The name with control and direction characters shown as `\u{…}`. */
export function printable(name: string): string {
  // Control and direction characters are what is replaced.
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu, escapeCharacter);
}

function undotted(name: string): string {
  return printable(name).replaceAll('.', escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
