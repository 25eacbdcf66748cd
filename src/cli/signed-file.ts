/** Signed statements in a file, one a line: what is carried to an executor by hand. Whether to believe them is for who reads them to check. */
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { dsseSchema, type Dsse } from '../protocol/signed.ts';
import { CliError, EXIT } from './exit.ts';
import { readText, writeNew } from './files.ts';

/** As long as one could be that a person still carries: a line each for every lease of an identity. */
const STATEMENTS_MAX = 1_024;

/** @throws CliError `exists` or `unwritable` */
export function writeSigned(path: string, statements: readonly Dsse[]): void {
  writeNew(path, statements.map((one) => `${JSON.stringify(one)}\n`).join(''), 0o600);
}

/** @throws CliError `no-such-file`, `unreadable`, or `malformed` naming the line: then none of it is used */
export function readSigned(path: string): Dsse[] {
  const text = readText(path, 'the signed file');
  const malformed = (cause: string): CliError => new CliError(EXIT.usage, 'malformed', { cause: `${path}: ${cause}`, effect: 'Nothing was done.', next: 'take the file as it was written by  countersign revoke --now --write FILE' });
  const lines = text.split('\n').map((line, index) => ({ line: line.trim(), number: index + 1 })).filter(({ line }) => line !== '');
  if (lines.length === 0) throw malformed('holds nothing');
  if (lines.length > STATEMENTS_MAX) throw malformed(`has more than ${STATEMENTS_MAX} lines`);
  // One envelope that a person, or an editor, has laid out over several lines is the same envelope.
  const whole = envelopeOf(text);
  if (whole !== null) return [whole];
  return lines.map(({ line, number }) => {
    const envelope = envelopeOf(line);
    if (envelope === null) throw malformed(`line ${number} is not a signed statement`);
    return envelope;
  });
}

function envelopeOf(text: string): Dsse | null {
  try {
    return dsseSchema.safeParse(parseStrict(Buffer.from(text.trim(), 'utf8'), { maxBytes: 1_048_576 })).data ?? null;
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}
