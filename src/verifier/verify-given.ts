/** `countersign verify` for files that somebody has chosen in a browser: the same verdicts from the same source, and everything that is shown of them. */
import { JsonError } from '../../ledger/json.ts';
import { LedgerError } from '../../ledger/errors.ts';
import type { Verdict } from '../../ledger/verdict.ts';
import { verifyPack, type PackVerification } from '../evidence/pack-verify.ts';
import type { PopulationRow } from '../evidence/population.ts';
import { conclusionOf, documentOf, exitOf, requiredUnder } from '../evidence/verification-document.ts';
import { verifyEvidence, type EvidenceVerification } from '../evidence/verify.ts';
import type { Violation } from '../evidence/violation.ts';
import { inertJson } from '../protocol/plain.ts';
import { TrustError } from '../protocol/trust-folder.ts';
import { parseTime, timeSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';
import { fileDisk, packBytes, type GivenFile } from './file-disk.ts';
import { MissingFile, readGivenTrust, type GivenTrust, type TrustShown } from './given-trust.ts';

/** What was chosen. Can be sent to a worker. */
export interface Given {
  readonly ledger: readonly GivenFile[];
  /** An evidence pack, where no ledger was chosen. */
  readonly pack: GivenFile | null;
  /** A folder's files, or a lone `trust.policy` under its name; none for no trust. */
  readonly trust: readonly GivenFile[];
  readonly pinned: Blob | null;
  /** As typed; empty for none. */
  readonly minSize: string;
  readonly asOf: string;
}

/** What is shown. Can be sent from a worker. */
export type Answer = Verified | Trouble;

export interface Verified {
  readonly kind: 'verified';
  readonly exit: 0 | 1 | 3;
  readonly conclusion: string;
  readonly required: readonly string[];
  readonly verdicts: readonly Verdict[];
  readonly notProven: readonly string[];
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  readonly head: { readonly origin: string; readonly size: number; readonly root: string; readonly key: string | null } | null;
  readonly objects: EvidenceVerification['objects'];
  readonly firstAt: string | null;
  readonly lastAt: string | null;
  readonly population: readonly PopulationRow[] | null;
  /** Of a ledger, and of what is no pack, null. */
  readonly pack: PackVerification['pack'];
  readonly trust: TrustShown | null;
  /** What `countersign verify --json` prints. */
  readonly json: string;
  readonly verifier: string;
}

/** Nothing was verified. `exit` as the CLI ends: 2 wrongly asked, 3 nothing to verify or to believe, 4 a file could not be read. */
export interface Trouble {
  readonly kind: 'trouble';
  readonly exit: 2 | 3 | 4;
  readonly cause: string;
}

const trouble = (exit: Trouble['exit'], cause: string): Trouble => ({ kind: 'trouble', exit, cause });

/** What holds of what was chosen. Never throws: whatever is wrong is an answer. */
export async function verifyGiven(given: Given, progress: (done: number, size: number) => void = () => undefined): Promise<Answer> {
  try {
    return await verifyChecked(given, progress);
  } catch (error) {
    if (error instanceof TrustError || error instanceof MissingFile) return trouble(3, `the trust cannot be used: ${error.message}`);
    if (error instanceof LedgerError || error instanceof JsonError) return trouble(3, `the pinned checkpoint is itself no good: ${error.message}`);
    return trouble(4, `a file could not be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function verifyChecked(given: Given, progress: (done: number, size: number) => void): Promise<Answer> {
  if (given.minSize !== '' && !/^(0|[1-9][0-9]{0,14})$/.test(given.minSize)) return trouble(2, 'the least number of records is not a number');
  if (given.asOf !== '' && !timeSchema.safeParse(given.asOf).success) return trouble(2, 'the time to judge lateness by is not one such as 2026-11-23T19:05:00.000Z');
  const directory = given.pack?.path ?? ledgerFolder(given.ledger);
  if (directory === null) return trouble(3, 'there is no ledger in what was chosen: neither checkpoint, tile/ nor objects/');
  const trusted = given.trust.length === 0 ? null : await readGivenTrust(given.trust);
  const asked = {
    trust: trusted?.trust ?? null, wholeFolder: trusted?.wholeFolder ?? false, listChanges: true, progress,
    pinned: given.pinned === null ? null : await given.pinned.slice(0, 1_000_001).text(),
    ...(given.minSize === '' ? {} : { minSize: Number(given.minSize) }), ...(given.asOf === '' ? {} : { asOfMs: parseTime(given.asOf) }),
  };
  const verification = given.pack === null ? await verifyEvidence({ disk: fileDisk(given.ledger), directory, ...asked }) : await verifyPack({ pack: packBytes(given.pack), ...asked });
  return shown(verification, directory, trusted);
}

function shown(verification: EvidenceVerification | PackVerification, directory: string, trusted: GivenTrust | null): Verified {
  const { verdicts, notProven, head, objects, firstAt, lastAt, workflow, population } = verification;
  const required = requiredUnder(trusted !== null, trusted?.wholeFolder ?? false);
  const exit = exitOf(verification, required);
  return {
    kind: 'verified', exit, conclusion: conclusionOf(verification, required, exit), required, verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN'), notProven,
    violations: workflow?.violations ?? [], violationCount: workflow?.violationCount ?? 0,
    head: head === null ? null : { origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('hex'), key: head.keyName },
    objects, firstAt, lastAt, population, pack: 'pack' in verification ? verification.pack : null, trust: trusted?.shown ?? null,
    json: `${inertJson(JSON.stringify(documentOf({ verification, required, directory, exit, trust: trusted?.trust.digest ?? null, attestation: null }), null, 2))}\n`, verifier: `countersign ${VERSION}`,
  };
}

/** The ledger folder itself, whether it or its parent was chosen; null where there is none. */
function ledgerFolder(files: readonly GivenFile[]): string | null {
  const root = files[0]?.path.split('/')[0] ?? '';
  const isLedger = (folder: string): boolean =>
    files.some(({ path }) => path === `${folder}/checkpoint` || path.startsWith(`${folder}/checkpoint/`) || path.startsWith(`${folder}/tile/`) || path.startsWith(`${folder}/objects/`));
  return [root, `${root}/ledger`, `${root}/data/ledger`].find(isLedger) ?? null;
}
