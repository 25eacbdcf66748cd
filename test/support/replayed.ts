/** Real decisions of the shipped policy in a real ledger, which an auditor has replayed; and sidecars that lie about them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { canonicalBytes, digestOf, generateSignerKey, nodeDisk, openLog, parseSigner, parseStrict, readDirectory, type JsonObject, type Log, type Signer } from '../../ledger/index.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import type { Replayer } from '../../src/evidence/replay.ts';
import type { PackAsked } from '../../src/evidence/pack-format.ts';
import { planPack } from '../../src/evidence/pack-plan.ts';
import { verifyPack, type PackVerification } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { readBundle, type Bundle } from '../../src/pdp/bundle.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import { createReplayer } from '../../src/pdp/replayer.ts';
import type { Provenance } from '../../src/protocol/decision.ts';
import { signBundle } from '../../src/protocol/policy-bundle.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { floorSchema } from '../../src/protocol/trust.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, type TestOptions, type TestSidecar } from './sidecar.ts';

const keyOf = (seed: number): Signer => parseSigner(generateSignerKey('policy.example/signer', new Uint8Array(32).fill(seed)).skey);
export const policySigner = keyOf(41);
/** The same name, and another key. */
export const strangerSigner = keyOf(42);

export const shippedBundle = (): Promise<Bundle> => readBundle(join(import.meta.dirname, '../../policy/bundle'));

/** The bundle as it comes signed; `null`: by nobody. */
export function signedBy(signer: Signer | null, bundle: Bundle): Bundle {
  return { ...bundle, evidence: { ...bundle.evidence, signature: signer === null ? null : signBundle(bundle.digest, 'test', signer) } };
}

/** Low risk: policy allows it without anybody. */
export const PREVIEW: Extract<ChangeRequest, { kind: 'grant' }> = {
  kind: 'grant', subject: 'nhi:dev/report-preview', purpose: 'preview-reports', reason: 'a look', duration: 'PT15M',
  entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }],
};
/** No purpose of the identity needs that. */
export const EXCESS: Extract<ChangeRequest, { kind: 'grant' }> = { ...GRANT, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:UPDATE' }] };

export interface Told {
  /** The sidecar is closed; its directory is there until the test is over. */
  readonly sidecar: TestSidecar;
  /** Of the ledger. */
  readonly directory: string;
  /** The same log written again by whoever holds its key, with records and objects changed, others put in or left out. */
  rewritten(edit: (one: DraftWithObjects) => DraftWithObjects | readonly DraftWithObjects[]): Promise<Told>;
  /** It, opened to be written and read; closed when the test is over. */
  open(): Promise<Log>;
  verify(options?: { readonly signers?: readonly Signer[]; readonly replayer?: Replayer | null }): Promise<EvidenceVerification>;
  /** The same of a pack of all that it holds of that. */
  verifyPackOf(asked: PackAsked, options?: { readonly signers?: readonly Signer[]; readonly replayer?: Replayer | null }): Promise<PackVerification>;
}

/** @param pdp what the sidecar decides with */
export async function tell(pdp: Pdp, story: (sidecar: TestSidecar) => Promise<void> = usualStory, options: TestOptions = {}): Promise<Told> {
  const sidecar = await openTestSidecar({ ...options, pdp });
  try {
    await story(sidecar);
    await sidecar.log.sync();
  } finally {
    await sidecar.close('keep');
  }
  onTestFinished(() => rm(sidecar.directory, { recursive: true, force: true }));
  return toldIn(sidecar, sidecar.directory);
}

function toldIn(sidecar: TestSidecar, directory: string): Told {
  const open = (place: string): Promise<Log> => openLog({ origin: sidecar.log.origin, disk: nodeDisk(place), directory: 'ledger', journal: 'journal', signer: sidecar.logSigner, now: () => Date.now() });
  const trustIn = (signers: readonly Signer[]): Trust => {
    // What policy allows without an approval the floor does as well.
    const floors = [floorSchema.parse({ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null })];
    return { ...sidecar.trust, requirements: { ...sidecar.trust.requirements, floors, ...(signers.length === 0 ? {} : { policySigners: signers.map(({ vkey }) => vkey) }) } };
  };
  return {
    sidecar, directory,
    async open() {
      const log = await open(directory);
      onTestFinished(() => log.close());
      return log;
    },
    async rewritten(edit) {
      const place = await mkdtemp(join(tmpdir(), 'countersign-rewritten-'));
      onTestFinished(() => rm(place, { recursive: true, force: true }));
      const [from, to] = [await open(directory), await open(place)];
      for await (const { record: { v, change, type, at, actor, body, objects } } of from.entries(0)) {
        const payloads = await Promise.all(objects.map(async (digest) => (await from.object(digest))!));
        for (const { draft, objects: given } of [edit({ draft: { v, change, type, at, actor, body, objects }, objects: payloads })].flat()) to.append([draft], { objects: given });
      }
      await to.sync();
      await Promise.all([from.close(), to.close()]);
      return toldIn(sidecar, place);
    },
    verify({ signers = [policySigner], replayer = createReplayer() } = {}) {
      return verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust: trustIn(signers), wholeFolder: true, ...(replayer === null ? {} : { replayer }) });
    },
    async verifyPackOf(asked, { signers = [policySigner], replayer = createReplayer() } = {}) {
      const reading = await readDirectory(nodeDisk(directory), 'ledger');
      const pieces: Uint8Array[] = [];
      for await (const piece of writePack(reading, await planPack(reading, asked))) pieces.push(piece);
      return verifyPack({ pack: Buffer.concat(pieces), trust: trustIn(signers), wholeFolder: true, ...(replayer === null ? {} : { replayer }) });
    },
  };
}

/** What policy was asked in the first record of that type that `where` takes, changed: a new object, and a record that names it. */
export function askedOtherwise(type: string, twist: (input: never) => object, where: (body: JsonObject) => boolean = () => true): (one: DraftWithObjects) => DraftWithObjects {
  let done = false;
  return ({ draft, objects }) => {
    if (done || draft.type !== type || !where(draft.body)) return { draft, objects };
    done = true;
    const provenance = draft.body['provenance'] as unknown as Provenance;
    const at = draft.objects.indexOf(provenance.input);
    const { value, ...rest } = parseStrict(objects[at]!) as JsonObject;
    const bytes = canonicalBytes({ ...rest, value: twist(value as never) });
    const input = digestOf(bytes);
    return {
      draft: { ...draft, body: { ...draft.body, provenance: { ...provenance, input } }, objects: draft.objects.map((one, i) => (i === at ? input : one)) },
      objects: objects.map((one, i) => (i === at ? bytes : one)),
    };
  };
}

export async function settled(sidecar: TestSidecar, by: string, view: ChangeView, ...states: readonly ChangeView['state'][]): Promise<ChangeView> {
  let now = view;
  while (!states.includes(now.state)) {
    const answered = await sidecar.send(by, 'GET', `${view.links.self}?wait=PT10S&since=${now.length}`);
    const next = answered.body as ChangeView;
    if (next.length === now.length) throw new Error(`${view.id} stays ${now.state}: ${answered.text}`);
    now = next;
  }
  return now;
}

/** One that is allowed, one that Wei approves, both taken back; one that policy denies, and one of somebody who may not ask. */
export async function usualStory(sidecar: TestSidecar): Promise<void> {
  const preview = await sidecar.change(PREVIEW.subject, PREVIEW);
  await settled(sidecar, PREVIEW.subject, preview, 'active');
  const pending = await sidecar.change(GRANT.subject, GRANT);
  await settled(sidecar, GRANT.subject, pending, 'pending');
  await sidecar.send('person:wei', 'POST', pending.links.approvals, { verdict: 'approve', planDigest: (await settled(sidecar, GRANT.subject, pending, 'pending')).planDigest });
  await settled(sidecar, GRANT.subject, pending, 'active');
  await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'denied');
  await sidecar.change('person:mallory', GRANT);
  await sidecar.send('person:wei', 'POST', `${pending.links.self}/revoke`, { comment: 'done' });
  await settled(sidecar, GRANT.subject, pending, 'revoked');
}

export async function usualPdp(signer: Signer | null = policySigner): Promise<Pdp> {
  return inlinePdp(signedBy(signer, await shippedBundle()));
}

export function verdictOf({ verdicts }: EvidenceVerification, name: string): EvidenceVerification['verdicts'][number] {
  return verdicts.find((verdict) => verdict.name === name)!;
}
