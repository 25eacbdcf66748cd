/** What is told of evidence, by `report`, `who` and `evidence ocsf`, once it was verified in the same way as by `verify`. */
import { REQUIRED_BY_DEFAULT, type Checkpoint } from '../../ledger/index.ts';
import type { Onlooker } from '../evidence/onlooker.ts';
import { exitOf } from '../evidence/verification-document.ts';
import type { EvidenceVerification } from '../evidence/verify.ts';
import type { PackVerification } from '../evidence/pack-verify.ts';
import type { LoadedTrust } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';
import { openCollection, type CollectOptions, type Collection } from '../reports/collect.ts';
import type { Facts } from '../reports/facts.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';
import { evidenceAt, openTrust, verifyNamed, type NamedEvidence, type VerifyPathFlags } from './verify-path.ts';
import type { Session } from './world.ts';

export interface Verified {
  readonly verification: EvidenceVerification | PackVerification;
  readonly trust: LoadedTrust;
  readonly named: NamedEvidence;
  readonly exit: 0 | 1 | 3;
  /** `--as-of`, or when the last record was made. */
  readonly asOfMs: number;
}
export interface VerifiedFacts extends Verified {
  readonly facts: Facts;
}

export type FactsFlags = Pick<VerifyPathFlags, 'asOf' | 'archive' | 'threads' | 'replay' | 'acceptObserved'> & { readonly trust: string };

/** What must not fail, so that there is anything to tell of. */
const GROUND = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
/** What must also be established. */
const ESTABLISHED = ['INTEGRITY', 'SIGNATURE'];

/** @throws CliError `not-verified` where what the records say is not known to be what the log has signed; `no-trust` without a whole trust folder */
export async function verifiedFacts(session: Session, given: string, flags: FactsFlags, collect: Omit<CollectOptions, 'isWhole'>): Promise<VerifiedFacts> {
  let collection: Collection | null = null;
  const verified = await verifiedBefore(session, given, flags, (isPack) => (collection = openCollection({ ...collect, isWhole: !isPack })));
  return { ...verified, facts: (collection as Collection | null)!.facts() };
}

/** What `onlooker` was told of is what the log has signed. @throws CliError as {@link verifiedFacts} does: then nothing of that is to be believed */
export async function verifiedBefore(session: Session, given: string, flags: FactsFlags, onlooker: (isPack: boolean, claimed: Checkpoint) => Onlooker): Promise<Verified> {
  const named = evidenceAt(session, given, flags);
  const opened = await openTrust(session, flags.trust);
  if (opened.trust === null || !opened.wholeFolder) throw new CliError(EXIT.notEstablished, 'no-trust', { cause: `${flags.trust} says nothing of tickets, executors and floors: who approved and did what is not to be told without`, effect: 'Nothing was verified.', next: 'name the whole trust folder' });
  const verification = await verifyNamed(session, named, opened, flags, { onlooker: (claimed) => onlooker(named.isPack, claimed) });
  const broken = verification.verdicts.find(({ name, status }) => (GROUND.includes(name) && status === 'fails') || (ESTABLISHED.includes(name) && status !== 'holds'));
  if (broken !== undefined || verification.workflow === null || verification.lastAt === null) {
    const cause = broken === undefined ? 'no record was verified' : `${broken.name} ${broken.status === 'fails' ? 'fails' : 'is not established'}: ${plain(broken.message)}`;
    throw new CliError(broken?.status === 'fails' ? EXIT.failed : EXIT.notEstablished, 'not-verified', { cause, effect: 'Nothing is told of it.', next: 'countersign verify   says all that is wrong with it' });
  }
  return { verification, trust: opened.trust, named, exit: exitOf(verification, REQUIRED_BY_DEFAULT), asOfMs: parseTime(flags.asOf ?? verification.lastAt) };
}
