/**
 * Who grants exceptions and scopes under observe: an entry of the facts holds only where as many as are asked have signed it, each with her own SSH key or passkey. What
 * they sign is in the entry, so that whoever has the facts and a trust folder can check it. Where nobody is asked, an entry holds as it is.
 */
import { canonicalBytes } from '../../ledger/index.ts';
import type { AllowedSigners } from '../protocol/allowed-signers.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { AssertionError, assertionOf } from '../protocol/passkey-assertion.ts';
import { openByPasskey, passkeyEnvelope } from '../protocol/passkey-proof.ts';
import type { Passkeys } from '../protocol/passkeys.ts';
import { openBySsh, sshEnvelope, type SignedKind } from '../protocol/ssh-proof.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import type { ExceptionFloor } from '../protocol/trust.ts';
import { beneficiariesOf, estateOf, samePeople, type Estate } from './beneficiaries.ts';
import { dayStartMs } from './dated.ts';
import type { ExceptionsFile } from './exceptions.ts';
import type { FactsValue } from './facts.ts';
import { grantStatementSchema, type GrantSignature, type GrantStatement } from './grant-statement.ts';

/** `ssh-keygen -Y sign -n exception@countersign` */
export const EXCEPTION_NAMESPACE = 'exception@countersign';
const GRANT: SignedKind<GrantStatement> = { payloadType: 'application/vnd.countersign.exception+json', namespace: EXCEPTION_NAMESPACE, what: 'a grant of an exception', schema: grantStatementSchema };

export type GrantKind = GrantStatement['kind'];
export type GrantedEntry = ExceptionsFile['exceptions'][number] | NonNullable<ExceptionsFile['observe']>[number];

/** Whose word is asked and for which log, whose keys are known, and at which times (one is enough) these must have been good. */
export interface Asking {
  readonly floors: readonly ExceptionFloor[];
  readonly signers: AllowedSigners;
  readonly passkeys: Passkeys;
  /** null: none is known, and what is granted for one log alone does not count. */
  readonly logId: string | null;
  readonly atMs: readonly number[];
}

export const NOBODY_ASKED: Omit<Asking, 'atMs'> = { floors: [], signers: new Map(), passkeys: new Map(), logId: null };

/** What `approver` signs of the entry as it is, for one log alone or for each. It is as good for a shorter one. */
export function grantStatementOf(kind: GrantKind, { signatures: _signatures, ...entry }: GrantedEntry, approver: string, log?: string): GrantStatement {
  return grantStatementSchema.parse(log === undefined ? { v: 1, kind, approver, entry } : { v: 2, kind, log, approver, entry });
}

/** The people who have granted this entry. What does not prove anything counts for nothing. */
export function grantedBy(kind: GrantKind, entry: GrantedEntry, { signers, passkeys, logId, atMs }: Omit<Asking, 'floors'>): string[] {
  const { signatures = [], from, until } = entry;
  const by = signatures.filter((one) => one.from <= from && until <= one.until && (one.log === undefined || one.log === logId)).flatMap((one) => {
    const statement = grantStatementOf(kind, { ...entry, from: one.from, until: one.until }, one.approver, one.log);
    return atMs.some((when) => isSigned(statement, one, { signers, passkeys, atMs: when })) ? [one.approver] : [];
  });
  return [...new Set(by)];
}

function isSigned(statement: GrantStatement, { signature, passkey }: GrantSignature, known: { readonly signers: AllowedSigners; readonly passkeys: Passkeys; readonly atMs: number }): boolean {
  const bytes = canonicalBytes(statement);
  try {
    if (passkey !== undefined) openByPasskey(passkeyEnvelope(bytes, passkey.credentialId, assertionOf(passkey), GRANT.payloadType), GRANT, known);
    else openBySsh(sshEnvelope(bytes, Buffer.from(signature ?? '', 'base64'), GRANT.payloadType), GRANT, known);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof SshFormatError || error instanceof AssertionError) return false;
    throw error;
  }
}

/** What the entry still lacks of what the floors ask, in a phrase; null where nothing. Whom it is for does not count. */
export function grantShortfall(kind: GrantKind, entry: GrantedEntry, estate: Estate, { floors, ...known }: Asking): string | null {
  if (floors.length === 0) return null;
  const signed = grantedBy(kind, entry, known);
  const own = beneficiariesOf(entry, estate);
  for (const { quorum, approvers } of floors) {
    const counted = distinct(signed.filter((one) => approvers.includes(one) && !own.has(one)), estate);
    if (counted.length >= quorum) continue;
    const whose = signed.filter((one) => approvers.includes(one) && own.has(one));
    return `granted by ${counted.length === 0 ? 'nobody' : counted.sort().join(', ')} where ${quorum} of ${approvers.join(', ')} must${whose.length === 0 ? '' : `; ${whose.join(', ')} does not count, whom it is for`}`;
  }
  return null;
}

/** One id of each person. */
function distinct(ids: readonly string[], estate: Estate): string[] {
  return ids.filter((id, index) => !samePeople(ids.slice(0, index), estate).has(id));
}

/** An entry that is not in force for want of signatures. */
export interface HeldEntry {
  readonly kind: GrantKind;
  readonly id: string;
  readonly lacks: string;
}

/** The file with what is granted; and of what is not, that which is not over either. */
export function grantedOnly(file: ExceptionsFile, value: Pick<FactsValue, 'inventory' | 'directory'>, asking: Asking): { readonly file: ExceptionsFile; readonly held: readonly HeldEntry[] } {
  const estate = estateOf(value);
  const held: HeldEntry[] = [];
  const nowMs = Math.max(...asking.atMs);
  const granted = (kind: GrantKind) => (entry: GrantedEntry): boolean => {
    const lacks = grantShortfall(kind, entry, estate, asking);
    if (lacks !== null && nowMs < dayStartMs(entry.until)) held.push({ kind, id: entry.id, lacks });
    return lacks === null;
  };
  const exceptions = file.exceptions.filter(granted('exception'));
  const observe = file.observe?.filter(granted('observe'));
  return { file: { v: 1, exceptions, ...(observe === undefined ? {} : { observe }) }, held };
}
