/** Statements that set and lift locks: which are believed, and what stands after them, in whatever order they came. */
import { canonicalText, parseStrict, JsonError, sha256 } from '../../../ledger/index.ts';
import { newLockId } from '../../../src/engine/ids.ts';
import { emptyLocks, foldLock, LOCK_TYPE, lockOn, locksInForce, openLock, type LockStatement } from '../../../src/protocol/lock.ts';
import { signDsse } from '../../../src/protocol/dsse.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { REVOKE_ORDER_TYPE, type Dsse } from '../../../src/protocol/signed.ts';
import type { Trust } from '../../../src/protocol/trust-folder.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { forger } from '../envelopes.ts';
import { keys, logId, START_MS, trustFiles, type TrustEdit } from '../story.ts';
import type { TrustTexts } from './steps.ts';
import { base64, signBytes, signerOf, strayBits, type Message, type Vector } from './vector.ts';

export interface LockExpected {
  /** Of each statement: what it did, `known` where it was known before, or why it is not believed. */
  readonly heard: readonly string[];
  /** What stands after them, oldest heard first. */
  readonly inForce: readonly { readonly authority: string; readonly lockId: string }[];
  /** The lock that keeps anything from being given to `nhi` at `connector`; null where none does. */
  readonly locked: string | null;
}
export interface LockVector extends Vector {
  readonly content: { readonly title: string; readonly trust: TrustTexts; readonly statements: readonly Message[]; readonly nhi: string; readonly connector: string; readonly expect: LockExpected };
}

/** What the product makes of statements that come in this order. */
export function lockAnswer(statements: readonly Uint8Array[], trust: Trust, nhi: string, connector: string): LockExpected {
  const table = emptyLocks();
  const hear = (bytes: Uint8Array): string => {
    try {
      const lock = openLock(parseStrict(bytes), trust);
      return foldLock(table, lock) ? lock.statement.op : 'known';
    } catch (error) {
      if (error instanceof ProtocolError) return error.code;
      if (error instanceof JsonError) return 'malformed';
      throw error;
    }
  };
  const heard = statements.map(hear);
  return { heard, inForce: locksInForce(table).map(({ authority, statement: { lockId } }) => ({ authority, lockId })), locked: lockOn(table, nhi, connector)?.lockId ?? null };
}

export const NHI = 'nhi:prod/deployer';
const lockId = (n: number): string => newLockId(START_MS, (length) => sha256(Buffer.from(`lock ${n}`)).subarray(0, length));
const [ID, OTHER_ID] = [lockId(1), lockId(2)];

type Set = Extract<LockStatement, { op: 'set' }>;
const set: Set = { op: 'set', v: 1, log: logId, lockId: ID, by: 'person:olga', at: formatTime(START_MS), nhi: null, connector: 'pg-main', reason: 'something is wrong there' };
const lift: LockStatement = { op: 'lift', v: 1, log: logId, lockId: ID, by: 'person:olga', at: formatTime(START_MS), reason: null };
const byRevoker = { log: null, by: 'person:sam' } as const;
const signed = (statement: LockStatement, by = keys.ticket): Dsse => signDsse(LOCK_TYPE, statement, by);
/** A good one, of the story's sidecar. */
export const signedLock = (edit: Partial<Set> = {}): Dsse => signed({ ...set, ...edit });

function vector(path: string, title: string, statements: readonly unknown[], expect: LockExpected, trust: TrustEdit = {}): LockVector {
  return { path: `locks/${path}`, content: { title, trust: trustFiles(trust), statements: statements.map((json) => ({ json })), nhi: NHI, connector: 'pg-main', expect } };
}
const mine = { authority: logId, lockId: ID };
const revokers = { authority: 'revoker', lockId: ID };
const covers = (path: string, title: string, statement: Dsse, authority = logId): LockVector => vector(`believed-${path}`, title, [statement], { heard: ['set'], inForce: [{ authority, lockId: ID }], locked: ID });
const elsewhere = (path: string, title: string, statement: Dsse): LockVector => vector(`believed-${path}`, title, [statement], { heard: ['set'], inForce: [mine], locked: null });
const refused = (path: string, title: string, code: string, statement: unknown, trust: TrustEdit = {}): LockVector =>
  vector(`refused-${code}-${path}`, title, [statement], { heard: [code], inForce: [], locked: null }, trust);

export function lockVectors(): LockVector[] {
  const good = signed(set);
  const lifted = signed(lift);
  const revoked = signed({ ...set, ...byRevoker }, keys.revoker);
  const liftedByRevoker = signed({ ...lift, ...byRevoker }, keys.revoker);
  const { signatures: [signature] } = good;
  return [
    covers('of-the-connector', 'a lock of everybody at the connector', good),
    covers('of-the-identity', 'a lock of the identity, everywhere', signed({ ...set, nhi: NHI, connector: null })),
    covers('of-both', 'a lock of the identity at the connector', signed({ ...set, nhi: NHI })),
    covers('by-revoker', 'a lock that a revoker of the floor set in her own name', revoked, 'revoker'),
    elsewhere('another-identity', 'a lock of another identity', signed({ ...set, nhi: 'nhi:prod/other', connector: null })),
    elsewhere('another-connector', 'a lock of another connector', signed({ ...set, connector: 'pg-other' })),
    elsewhere('identity-elsewhere', 'a lock of the identity at another connector', signed({ ...set, nhi: NHI, connector: 'pg-other' })),
    vector('order-set-lift', 'a lock, then its lift', [good, lifted], { heard: ['set', 'lift'], inForce: [], locked: null }),
    vector('order-lift-set', 'the lift, then its lock: it never stands', [lifted, good], { heard: ['lift', 'set'], inForce: [], locked: null }),
    vector('order-set-lift-set', 'a lock, its lift, and the lock again: the lift is final', [good, lifted, good], { heard: ['set', 'lift', 'known'], inForce: [], locked: null }),
    vector('order-set-twice', 'a lock twice', [good, good], { heard: ['set', 'known'], inForce: [mine], locked: ID }),
    vector('order-smaller-scope', 'a lock, and another of its name with another scope: the first stands', [good, signed({ ...set, connector: 'pg-other' })], { heard: ['set', 'known'], inForce: [mine], locked: ID }),
    vector('order-two-locks', 'two locks, one of which is lifted', [good, signed({ ...set, lockId: OTHER_ID }), lifted], { heard: ['set', 'set', 'lift'], inForce: [{ authority: logId, lockId: OTHER_ID }], locked: OTHER_ID }),
    vector('order-revoker-lifts', 'a revoker lifts the lock of a log', [good, liftedByRevoker], { heard: ['set', 'lift'], inForce: [], locked: null }),
    vector('order-revoker-lifts-first', 'a revoker’s lift comes before the lock of a log', [liftedByRevoker, good], { heard: ['lift', 'set'], inForce: [], locked: null }),
    vector('order-sidecar-lifts-revokers', 'a sidecar lifts a lock that a revoker set: it stands', [revoked, lifted], { heard: ['set', 'lift'], inForce: [revokers], locked: ID }),
    vector('order-one-id-two-authorities', 'one id, set by a sidecar and by a revoker, and lifted by the sidecar: the revoker’s stands', [good, revoked, lifted], { heard: ['set', 'set', 'lift'], inForce: [revokers], locked: ID }),
    refused('unknown-log', 'a lock of a log that is not trusted', 'unknown-sidecar', signed({ ...set, log: '0'.repeat(16) })),
    refused('no-sidecar', 'a lock of a log whose sidecar is not trusted', 'unknown-sidecar', good, { noSidecar: true }),
    refused('no-revoker', 'a lock of no log, signed by a sidecar', 'unknown-sidecar', signed({ ...set, log: null })),
    refused('unknown-key', 'a lock signed by nobody known', 'bad-signature', signed(set, signerOf('elsewhere.example/log', 98))),
    refused('known-name', 'a lock signed by another key of a known name', 'bad-signature', signed(set, forger)),
    refused('log-key', 'a lock signed with the key of the log', 'bad-signature', signed(set, keys.log)),
    refused('revoker-for-a-log', 'a revoker’s lock in the name of a log', 'bad-signature', signed(set, keys.revoker)),
    refused('in-anothers-name', 'a revoker’s lock in the name of another', 'bad-signature', signed({ ...set, log: null, by: 'person:wei' }, keys.revoker)),
    refused('altered', 'a lock altered after it was signed', 'bad-signature', { ...good, payload: signed({ ...set, connector: 'pg-other' }).payload }),
    refused('signed-as-order', 'a lock that was signed as an order', 'bad-signature', { ...signBytes(REVOKE_ORDER_TYPE, canonicalText(set), keys.ticket), payloadType: LOCK_TYPE }),
    refused('stray-bits', 'a signature with bits that carry nothing', 'bad-signature', { ...good, signatures: [{ ...signature!, sig: strayBits(signature!.sig) }] }),
    refused('of-nothing', 'a lock of nobody nowhere', 'malformed', signed({ ...set, connector: null })),
    refused('lift-with-scope', 'a lift with a scope', 'malformed', signed({ ...lift, nhi: null } as never)),
    refused('no-reason', 'a lock without a reason', 'malformed', signed({ ...set, reason: null } as never)),
    refused('field-too-many', 'a lock with a field that no lock has', 'malformed', signed({ ...set, also: 1 } as never)),
    refused('by-a-sidecar', 'a lock that nobody set', 'malformed', signed({ ...set, by: `sidecar:${logId}` })),
    refused('spaced', 'a lock that is signed with a space in it', 'malformed', signBytes(LOCK_TYPE, canonicalText(set).replace(':', ': '), keys.ticket)),
    refused('no-envelope', 'a lock without an envelope', 'malformed', set),
    { ...refused('not-json', 'no JSON', 'malformed', null), content: { ...refused('not-json', 'no JSON', 'malformed', null).content, statements: [{ base64: base64('lock everything') }] } },
  ];
}
