/**
 * What was verified, as a statement that others' tools read: in-toto Statement v1 with a Simple Verification Result, in a DSSE envelope under the
 * auditor's own key.
 *
 * @see https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://in-toto.io/attestation/svr/v0.2
 */
import type { Signer, Verification } from '../../ledger/index.ts';
import { signDsse } from '../protocol/dsse.ts';
import type { Dsse } from '../protocol/signed.ts';
import { formatTime } from '../protocol/values.ts';

export const IN_TOTO_TYPE = 'application/vnd.in-toto+json';
export const SVR_TYPE = 'https://in-toto.io/attestation/svr/v0.2';
/** Who verified: this code, whatever its build; `version` beside it says which. */
export const VERIFIER_ID = 'https://countersign.dev/verifier/v1';

export interface AttestOptions {
  readonly verification: Verification;
  /** Digest of the trust that it was verified under. */
  readonly trust: string;
  readonly version: string;
  readonly atMs: number;
}

/** A property for each verdict that holds; none for what was not looked at. */
export function propertiesOf({ verdicts }: Verification): string[] {
  return verdicts.filter(({ status }) => status === 'holds').map(({ name }) => `COUNTERSIGN_${name}`);
}

/** The statement about a ledger that has a head. Its subject is named by its origin, and is the tree of so many records with that root. */
export function statementOf({ verification, trust, version, atMs }: AttestOptions): object {
  const { head } = verification;
  if (head === null) throw new RangeError('there is no head to attest');
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: head.origin, digest: { sha256: Buffer.from(head.root).toString('hex') }, annotations: { size: head.size, key: head.keyName } }],
    predicateType: SVR_TYPE,
    predicate: {
      verifier: { id: VERIFIER_ID, version: { countersign: version }, policies: [{ name: 'trust', digest: { sha256: trust.slice('sha256:'.length) } }] },
      timeCreated: formatTime(atMs),
      properties: propertiesOf(verification),
    },
  };
}

export function attest(options: AttestOptions, signer: Signer): Dsse {
  return signDsse(IN_TOTO_TYPE, statementOf(options), signer);
}
