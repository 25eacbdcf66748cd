/** What a failure at the server means: whether it refused, could not be asked, or may have done it. */
import { TargetError } from '../../executor/connector.ts';

/** The server refused a statement and rolled it back. */
export class SqlError extends TargetError {
  /** @see https://www.postgresql.org/docs/18/errcodes-appendix.html */
  readonly sqlState: string;
  constructor(sqlState: string, message: string) {
    super('rejected', message);
    this.name = 'SqlError';
    this.sqlState = sqlState;
  }
}

/** Where the session stood when something failed: only a COMMIT that was sent can have had an effect. */
export type Phase = 'connecting' | 'open' | 'committing';

/**
 * The failure as a {@link TargetError}. The original is not kept as its cause: its fields quote what the server was sent,
 * and no error of this connector may hold a secret, a verifier or a password.
 */
export function describeFailure(error: unknown, phase: Phase, secrets: readonly string[]): TargetError {
  if (error instanceof TargetError) return error;
  const message = redact(error instanceof Error ? error.message : String(error), secrets);
  const sqlState = readString(error, 'code');
  const severity = readString(error, 'severity');
  if (severity !== null && sqlState !== null) {
    if (phase === 'connecting') {
      if (isPassing(sqlState)) return lost(phase, `${sqlState}: ${message}`);
      return new SqlError(sqlState, `login refused (${sqlState}): ${message}`);
    }
    // A FATAL error ends the session. During COMMIT it does not say on which side of the commit it fell.
    const fatal = severity === 'FATAL' || severity === 'PANIC';
    if (!fatal) return new SqlError(sqlState, `${sqlState}: ${message}`);
    return lost(phase, `${sqlState}: ${message}`);
  }
  return lost(phase, sqlState === null ? message : `${sqlState}: ${message}`);
}

/** A server that is starting, stopping, recovering or full says so in place of an answer: it will answer another time. Classes 08, 53 and 57P. */
function isPassing(sqlState: string): boolean {
  return /^(08|53|57P)/.test(sqlState);
}

function lost(phase: Phase, message: string): TargetError {
  switch (phase) {
    case 'connecting':
      return new TargetError('unreachable', `could not connect: ${message}`);
    case 'open':
      return new TargetError('unreachable', `connection lost before COMMIT, so nothing was changed: ${message}`);
    case 'committing':
      return new TargetError('ambiguous', `connection lost during COMMIT: ${message}`);
  }
}

/** Errors of `connect` with a wrong or expired password, a role that may not log in or is not there, or no CONNECT privilege. */
export function isLoginRefusal(error: unknown): boolean {
  return error instanceof SqlError && ['28P01', '28000', '42501'].includes(error.sqlState);
}

/** Another transaction changed the same catalog row: the server undid ours, and it may simply be run again. */
export function isCatalogRace(error: unknown): boolean {
  if (!(error instanceof SqlError)) return false;
  if (['40001', '40P01', '23505'].includes(error.sqlState)) return true;
  return error.sqlState === 'XX000' && /tuple concurrently (updated|deleted)/.test(error.message);
}

/** What we were about to change went away under us. */
export function isGoneMeanwhile(error: unknown): boolean {
  if (!(error instanceof SqlError)) return false;
  return error.sqlState === '42704' || (error.sqlState === 'XX000' && /cache lookup failed|could not find tuple/.test(error.message));
}

/** What `rest` gives, which comes after a COMMIT. @throws TargetError `ambiguous` where it fails: what `done` says has happened all the same */
export async function afterCommit<T>(done: string, rest: () => Promise<T>): Promise<T> {
  try {
    return await rest();
  } catch (error) {
    throw new TargetError('ambiguous', `${done}: ${error instanceof Error ? error.message : ''}`);
  }
}

function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret !== '') clean = clean.replaceAll(secret, '[redacted]');
  // A server's message is shown in terminals and kept in evidence.
  return clean.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/gu, ' ').slice(0, 300);
}

function readString(error: unknown, field: 'code' | 'severity'): string | null {
  if (typeof error !== 'object' || error === null || !(field in error)) return null;
  const value: unknown = Reflect.get(error, field);
  return typeof value === 'string' ? value : null;
}
