/**
 * `allowed_signers`: whose SSH keys approve, in the file format that `ssh-keygen -Y verify` reads. One line is one key of one person:
 *
 *     person:ana namespaces="approval@countersign" ssh-ed25519 AAAAC3Nza… ana's laptop
 *     person:wei valid-before="20270101Z" sk-ssh-ed25519@openssh.com AAAAGnNr…
 *
 * Stricter than OpenSSH: principals are people by their ids, without patterns; a key belongs to one person; times are UTC, with `Z`.
 *
 * @see ssh-keygen(1), ALLOWED SIGNERS
 */
import { parseBase64 } from '../../ledger/index.ts';
import { parseSshKey, type SshKey } from './ssh-key.ts';
import { SshFormatError } from './ssh-wire.ts';
import { personIdSchema } from './values.ts';

export interface AllowedSigner {
  readonly person: string;
  readonly key: SshKey;
  /** Epoch ms, from when and until when (not included) what it signs counts. */
  readonly validFromMs: number;
  readonly validUntilMs: number;
  /** null: any. */
  readonly namespaces: readonly string[] | null;
}

/** By the fingerprint of the key. */
export type AllowedSigners = ReadonlyMap<string, AllowedSigner>;

const SIGNERS_MAX = 4_096;

/** A line that cannot be believed. Nothing was loaded. */
export class AllowedSignersError extends Error {
  /** From 1. */
  readonly line: number;
  constructor(line: number, message: string, options?: ErrorOptions) {
    super(`line ${line}: ${message}`, options);
    this.name = 'AllowedSignersError';
    this.line = line;
  }
}

/** @throws AllowedSignersError for the first line that says nothing, says it twice, or says what is not taken here */
export function parseAllowedSigners(text: string): AllowedSigners {
  const signers = new Map<string, AllowedSigner>();
  text.split('\n').forEach((whole, i) => {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) return;
    const refuse = (message: string): never => {
      throw new AllowedSignersError(i + 1, message);
    };
    const signer = parseLine(line, refuse);
    if (signers.has(signer.key.fingerprint)) refuse('a key that is listed already: what it signed would have two owners');
    if (signers.size === SIGNERS_MAX) refuse(`more than ${SIGNERS_MAX} keys`);
    signers.set(signer.key.fingerprint, signer);
  });
  return signers;
}

/** Whether the signer's keys sign under that namespace. @see ssh_config(5), PATTERNS */
export function signsUnder({ namespaces }: AllowedSigner, namespace: string): boolean {
  if (namespaces === null) return true;
  const matches = (pattern: string): boolean => new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`).test(namespace);
  return namespaces.some((pattern) => !pattern.startsWith('!') && matches(pattern)) && !namespaces.some((pattern) => pattern.startsWith('!') && matches(pattern.slice(1)));
}

type Refuse = (message: string) => never;

/** An option: a name, and what is in quotation marks after it. */
const OPTION = /^([A-Za-z-]+)(?:="([^"]*)")?(?:,|$)/;

function parseLine(line: string, refuse: Refuse): AllowedSigner {
  const [principal = '', ...rest] = wordsOf(line);
  const isOptions = rest[0] !== undefined && OPTION.test(rest[0]) && !/^(?:ssh-|sk-|ecdsa-)/.test(rest[0]);
  const [type, base64] = isOptions ? rest.slice(1) : rest;
  if (!personIdSchema.safeParse(principal).success) return refuse(`${JSON.stringify(principal.slice(0, 80))} is not the id of one person, such as person:ana`);
  if (type === undefined || base64 === undefined) return refuse('a person, a key type and a key, in this order, are due');
  return { person: principal, key: keyOf(type, base64, refuse), ...optionsOf(isOptions ? rest[0]! : '', refuse) };
}

/** Words apart by blanks, but for those in quotation marks. */
function wordsOf(line: string): string[] {
  return line.match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
}

function keyOf(type: string, base64: string, refuse: Refuse): SshKey {
  const blob = parseBase64(base64);
  if (blob === null) return refuse('the key is not base64');
  try {
    const key = parseSshKey(blob);
    return key.type === type ? key : refuse(`the key is of type ${key.type}, not ${type.slice(0, 64)}`);
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error;
    return refuse(`the key: ${error.message}`);
  }
}

function optionsOf(text: string, refuse: Refuse): Omit<AllowedSigner, 'person' | 'key'> {
  const given = new Map<string, string>();
  for (let left = text; left !== '';) {
    const [whole, name = '', value] = OPTION.exec(left) ?? [];
    if (whole === undefined) return refuse(`cannot read the options from ${JSON.stringify(left.slice(0, 40))} on`);
    const known = name.toLowerCase();
    if (known === 'cert-authority') return refuse('certificates are not taken: list the keys themselves');
    if (!['namespaces', 'valid-after', 'valid-before'].includes(known) || value === undefined) return refuse(`cannot make anything of the option ${name}`);
    if (given.has(known)) return refuse(`${known} is there twice`);
    given.set(known, value);
    left = left.slice(whole.length);
  }
  const time = (name: string, otherwise: number): number => (given.has(name) ? timeOf(given.get(name)!) ?? refuse(`${name}: a time is YYYYMMDDZ or YYYYMMDDHHMM[SS]Z, in UTC`) : otherwise);
  const [validFromMs, validUntilMs] = [time('valid-after', -Infinity), time('valid-before', Infinity)];
  if (validFromMs >= validUntilMs) return refuse('valid at no time');
  const namespaces = given.get('namespaces')?.split(',') ?? null;
  return { validFromMs, validUntilMs, namespaces };
}

function timeOf(text: string): number | null {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z$/.exec(text);
  if (parts === null) return null;
  const [, year, month, day, hour = '00', minute = '00', second = '00'] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`);
  // The 31st of a month that has 30 days is taken for the 1st of the next by nobody.
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(8, 10) !== day ? null : ms;
}
