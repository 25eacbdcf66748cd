/** A story that another log goes on with: told under the old one, adopted by the product's own code, told on, and edited at will in between. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  directorySource, generateSignerKey, logIdOf, nodeDisk, openLog, parseSigner, parseVerifier, type KnownHead, type Log, type Signer,
} from '../../ledger/index.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { foldChanges } from '../../src/engine/fold.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import { parseTrust, type Trust } from '../../src/protocol/trust-folder.ts';
import { adoptLedger, type Adopted, type AdoptOptions } from '../../src/sidecar/adopt.ts';
import { keys, ORIGIN, salt, Telling, trustFiles, writeStory, type Beat, type TrustEdit as FilesEdit } from './story.ts';
import { draftOf } from './drafts.ts';

export const NEW_ORIGIN = 'story.example/second';
export const newLogId = logIdOf(NEW_ORIGIN);
export const newSidecar = `sidecar:${newLogId}`;
export const newLogKey = parseSigner(generateSignerKey(NEW_ORIGIN, new Uint8Array(32).fill(11)).skey);
export const oldVerifier = parseVerifier(keys.log.vkey);

/** What an executor has seen that no copy holds. */
export const AHEAD: KnownHead = { by: 'a lease book', size: 9_000, root: new Uint8Array(32).fill(7) };

export interface TrustEdit {
  readonly logs?: readonly Signer[];
  readonly ticketsOf?: readonly string[];
  /** What else the folder says. */
  readonly files?: FilesEdit;
}

export function bothTrusted({ logs = [keys.log, newLogKey], ticketsOf = [ORIGIN, NEW_ORIGIN], files: edit = {} }: TrustEdit = {}): Trust {
  const files = trustFiles(edit);
  return parseTrust({
    policy: `${logs.map(({ vkey }) => `log ${vkey}`).join('\n')}\nquorum none\n`,
    rest: { sidecars: JSON.stringify(ticketsOf.map((origin) => ({ origin, key: keys.ticket.vkey }))), executors: files['executors.json'], requirements: files['requirements.json'], signers: edit.signers ?? null },
  });
}

export interface Place {
  readonly directory: string;
  /** Of the adopted changes, as the new log begins. */
  states(): Promise<ReadonlyMap<string, ChangeState>>;
  readonly adopted: Adopted;
  /** Adds a start of the sidecar and these beats to the new log. */
  tell(beats: readonly Beat[], extra?: readonly DraftWithObjects[]): Promise<void>;
  /** Writes the new log again, with its records changed. */
  rewrite(edit: (drafts: DraftWithObjects[]) => readonly DraftWithObjects[]): Promise<void>;
  /** @param old the directory with the old ledger, where it is to be asked */
  verify(trust?: Trust, asOfMs?: number, old?: string): Promise<EvidenceVerification>;
  /** The directory that holds the new log as it was written last. */
  at(): string;
  /** That log, to be closed. */
  open(): Promise<Log>;
  /** The directory that holds the old ledger. */
  readonly old: string;
  remove(): void;
}

/** @param atMs when the new log begins */
export async function adoptStory(beats: readonly Beat[], atMs: number, options: Partial<AdoptOptions> & { readonly first?: readonly DraftWithObjects[]; /** Digests that the last record of the old log has erased. */ readonly erased?: readonly string[] } = {}): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'cs-adopted-'));
  const { first = [], erased = [], ...rest } = options;
  const { commitment, object } = disclose('basis', 'request 17', salt(9));
  await writeStory(join(directory, 'old'), beats, erased.length === 0 ? [] : [systemDraft('erasure', { erased: [...erased], basis: commitment }, 'person:vera', atMs - 1, [object])], first);
  if (erased.length > 0) {
    const log = await openLog({ origin: ORIGIN, disk: nodeDisk(join(directory, 'old')), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => atMs });
    await log.erase(erased);
    await log.close();
  }
  const data = join(directory, 'new');
  const source = (await directorySource(nodeDisk(join(directory, 'old')), 'ledger', 'the backup'))!;
  const adopted = await adoptLedger({
    origin: NEW_ORIGIN, data, signer: newLogKey, ticketSigner: keys.ticket, old: oldVerifier, sources: [source], known: [AHEAD], keyLost: false, nowMs: () => atMs, ...rest,
  });
  let at = data;
  const open = (place: string): Promise<Log> => openLog({ origin: NEW_ORIGIN, disk: nodeDisk(place), directory: 'ledger', journal: 'journal', signer: newLogKey, now: () => atMs });
  const write = async (place: string, drafts: readonly DraftWithObjects[]): Promise<void> => {
    const log = await open(place);
    for (const { draft, objects } of drafts) log.append([draft], { objects });
    await log.sync();
    await log.close();
  };
  return {
    directory: data, adopted,
    async states() {
      const log = await open(at);
      const states = new Map(await foldChanges(log));
      await log.close();
      return states;
    },
    async tell(told, extra = []) {
      const opened = systemDraft('ledger.opened', { origin: NEW_ORIGIN, epoch: 1, version: '0.1.0' }, newSidecar, atMs);
      await write(at, [opened, ...told.map(({ changeId, event, atMs: then }) => draftOf(changeId, event, then)), ...extra]);
    },
    async rewrite(edit) {
      const log = await open(at);
      const drafts: DraftWithObjects[] = [];
      for await (const { record } of log.entries(0)) {
        const { v, change, type, at: when, actor, body, objects } = record;
        const payloads = await Promise.all(objects.map(async (digest) => (await log.object(digest))!));
        drafts.push({ draft: { v, change, type, at: when, actor, body, objects }, objects: payloads });
      }
      await log.close();
      at = `${at}.again`;
      await write(at, edit(drafts));
    },
    at: () => at,
    open: () => open(at),
    old: join(directory, 'old'),
    verify: (trust = bothTrusted(), asOfMs, old) => verifyEvidence({
      disk: nodeDisk(at), directory: 'ledger', trust, wholeFolder: true, ...(asOfMs === undefined ? {} : { asOfMs }), ...(old === undefined ? {} : { old: { disk: nodeDisk(old), directory: 'ledger' } }),
    }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Goes on telling an adopted change from the state that the new log gives it. */
export function retold(state: ChangeState, atMs: number): Telling {
  const telling = new Telling(atMs);
  return Object.assign(telling, { changeId: state.changeId, state });
}

