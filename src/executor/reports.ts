/** What a worker says, signed: reports, and the salted states that they name. */
import { canonicalText, digestOf, JsonError, type Signer } from '../../ledger/index.ts';
import type { Clock, RandomBytes } from '../engine/ports.ts';
import type { AnyReport } from '../protocol/discovery.ts';
import { signDsse } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { targetStateSchema } from '../protocol/plan.ts';
import { REPORT_TYPE, type Dsse } from '../protocol/signed.ts';
import { formatTime } from '../protocol/values.ts';
import { TargetError, type StateWithoutSalt } from './connector.ts';

/** A state as it is reported: RFC 8785 text, and the digest that names it. */
export interface SaltedState {
  readonly text: string;
  readonly digest: string;
}

/** The state with a salt of its own, so that its digest says nothing to who cannot see it. @throws TargetError `rejected` for a state that cannot be told */
export function saltState(state: StateWithoutSalt, random: RandomBytes): SaltedState {
  const salted = targetStateSchema.safeParse({ v: 1, salt: Buffer.from(random(16)).toString('base64url'), ...state });
  if (!salted.success) throw new TargetError('rejected', `the target told a state that cannot be reported: ${salted.error.issues[0]?.message ?? ''}`);
  try {
    return namedState(canonicalText(salted.data));
  } catch (cause) {
    if (cause instanceof JsonError) throw new TargetError('rejected', `the target told a state that cannot be reported: ${cause.message}`, { cause });
    throw cause;
  }
}

export function namedState(text: string): SaltedState {
  return { text, digest: digestOf(Buffer.from(text, 'utf8')) };
}

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
/** A report without what its writer adds. */
export type Said = Without<AnyReport, 'v' | 'executor' | 'at'>;

export interface Attachments {
  readonly states?: readonly (SaltedState | null)[];
  readonly ciphertext?: string | null;
  readonly order?: Dsse | null;
}

export type MakeReport = (said: Said, attachments?: Attachments) => ReportMessage;

/** Signs reports in the executor's name, or that of a caller's run, at the clock's time. */
export function reportMaker(executor: string, signer: Signer, clock: Pick<Clock, 'nowMs'>): MakeReport {
  return (said, { states = [], ciphertext = null, order = null } = {}) => {
    const report: AnyReport = { ...said, v: 1, executor, at: formatTime(clock.nowMs()) };
    const objects = new Set(states.filter((state) => state !== null).map(({ text }) => text));
    return { v: 1, report: signDsse(REPORT_TYPE, report, signer), objects: [...objects], ciphertext, order };
  };
}

/** Text of somebody else's, cut and cleaned to what a report may carry. Targets do not put secrets in errors; connectors see to it. */
export function plainDetail(message: string): string | null {
  // A cut may leave half of a surrogate pair.
  const clean = message.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ').trim().slice(0, 500).replace(/[\ud800-\udbff]$/, '');
  return clean === '' ? null : clean;
}
