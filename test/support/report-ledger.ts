/** A ledger with something in it for every report: what went as it should, what was late, unreviewed, unenforced or found outside, and hostile words. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { GLASS, SAM, samsKey, toldUntilBroken, toldUntilGiven } from './break-glass.ts';
import { reconciliation } from './discoveries.ts';
import { extendAgain, runningLease } from './extension-story.ts';
import { ledgerOf, linesOf, storyBundle, type StoryLedger } from './packs.ts';
import { testSshKey } from './ssh.ts';
import { called, stagedRotation, toldUntilStep } from './step-stories.ts';
import {
  ANA, decision, GRANT, ORIGIN, PROVISION, sidecar, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, trustFiles, type Beat,
} from './story.ts';
import { HOSTILE } from './verifier-cases.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CONTROLS = [{ framework: 'SOC 2', id: 'CC6.3', rule: 'access.least_privilege.deny' }, { framework: 'Our own rules', id: 'R-1', rule: 'access.ours' }];

/** What the account holds and uses, as the decision weighed it. */
export const WEIGHED = {
  requested: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }], held: ['role:deploy', 'role:admin', 'table:public.orders:SELECT'], used: ['role:deploy'],
  excess: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }], counterOffer: null,
} satisfies Decision['entitlements'];

function weighed(effect: Decision['effect']): Decision {
  return { ...decision(effect, effect === 'needsApproval' ? ANA : null), entitlements: WEIGHED, controls: CONTROLS };
}

export interface ReportStory {
  readonly lines: readonly DraftWithObjects[];
  readonly provision: Telling;
  readonly grant: Telling;
  readonly late: Telling;
  readonly glass: Telling;
  readonly lease: Telling;
  readonly hostile: Telling;
}

export function reportStory(): ReportStory {
  const provision = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
  toldUntilEnded(provision, provision.now.lease!.order);
  const grant = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 2_000_000)));
  toldUntilEnded(grant, toldUntilOrdered(grant.later(1_000), 'person:olga'), 200);
  const asked: ChangeRequest = { ...(GRANT as Extract<ChangeRequest, { kind: 'grant' }>), entitlements: [HOSTILE.privilege, HOSTILE.target].map((privilege) => ({ connector: 'pg-main', target: 'app', privilege })) };
  const hostile = toldUntilDecided(asked, START_MS + 4_000_000, 'deny', new Telling(START_MS + 4_000_000, [], 1), { ...weighed('deny'), entitlements: { ...WEIGHED, held: [HOSTILE.target, '@SUM(A1)', '-2+3'], used: [] } });
  // Five seconds after its end: late, and within what WORKFLOW lets pass.
  const late = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 9_000_000, 'needsApproval', new Telling(START_MS + 9_000_000, [], 2), weighed('needsApproval')), weighed('needsApproval')));
  toldUntilEnded(late, late.now.lease!.order, 5_000);
  const glass = toldUntilActive(toldUntilGiven(toldUntilBroken(START_MS + 4 * HOUR_MS)));
  toldUntilEnded(glass, glass.now.lease!.order).later(60_000).do({ type: 'reviewBreakGlass', by: 'person:ana', verdict: 'justified', comment: 'the exports ran again', rotation: 'notNeeded', demanded: 'session' });
  const rotated = toldUntilStep(toldUntilStep(stagedRotation({}, START_MS + 6 * HOUR_MS)));
  const scripted = called({ unread: true }, START_MS + 8 * HOUR_MS);
  const beats: Beat[] = [];
  const lease = runningLease(START_MS + 3 * DAY_MS, beats);
  extendAgain({ ledger: beats, lease });
  const opened = (epoch: number, ms: number): DraftWithObjects => systemDraft('ledger.opened', { origin: ORIGIN, epoch, version: '0.1.0' }, sidecar, START_MS + ms);
  return {
    provision, grant, late, glass, lease, hostile,
    lines: [
      storyBundle(), ...linesOf(provision.beats), ...linesOf(grant.beats), ...linesOf(hostile.beats), ...reconciliation().drafts, ...linesOf(late.beats), opened(2, 13_000_000),
      systemDraft('ledger.recovered', { bytesCut: 512, size: 60 }, sidecar, START_MS + 13_000_100), ...linesOf(glass.beats), ...linesOf(rotated.beats), ...linesOf(scripted.beats),
      systemDraft('redecision.failed', { facts: digestOf(Buffer.from('facts')), bundle: null, code: 'no-policy', leases: 4, unanswered: 2, owner: 'person:sam' }, sidecar, START_MS + 9 * HOUR_MS), ...linesOf(beats),
    ],
  };
}

export async function writeReportLedger(): Promise<StoryLedger & { readonly story: ReportStory }> {
  const story = reportStory();
  const ledger = await ledgerOf(story.lines);
  writeReportTrust(join(ledger.directory, 'trust'));
  writeReportTrust(join(ledger.directory, 'strict'), 2);
  return { ...ledger, story };
}

/** One person approves, Sam may break the glass, and Ana has a key: her sessions could be more. @param quorum of the floor: with two, what Ana approved alone is at fault */
export function writeReportTrust(folder: string, quorum = 1): void {
  mkdirSync(folder);
  for (const [file, text] of Object.entries(trustFiles({ quorum, breakGlass: [GLASS] }))) writeFileSync(join(folder, file), text);
  writeFileSync(join(folder, 'allowed_signers'), `${SAM} ${samsKey.publicLine}\nperson:ana ${testSshKey().publicLine}\n`);
}
