/** Ledgers of any number of real decisions: each the shipped policy's own, to the question that its change and facts lead to. */
import { canonicalBytes, digestOf, generateSignerKey, nodeDisk, openLog, parseSigner, type Log } from '../../ledger/index.ts';
import { deriveQuery, derivePlan, deriveReadTicket } from '../../src/change/derive.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { factsOf, type Facts } from '../../src/facts/facts.ts';
import { Recent, type RecentChanges } from '../../src/change/recent.ts';
import { buildChangeInput } from '../../src/pdp/build-input.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { Bundle } from '../../src/pdp/bundle.ts';
import { signBundle } from '../../src/protocol/policy-bundle.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { inventoryQuestions } from '../../src/workbench/inventory.ts';
import { draftOf } from './drafts.ts';
import { estate } from './estate.ts';
import { EXECUTOR, keys, logId, ORIGIN, report, salt, sidecar, sign, START_MS, Telling, trustFiles } from './story.ts';

const CONNECTORS = ['pg-dev', 'pg-prod'];
const IDENTITIES = 200;
/** From one decision to the next. */
const BETWEEN_MS = 60_000;

export const policySigner = parseSigner(generateSignerKey('policy.example/signer', new Uint8Array(32).fill(41)).skey);

/** The trust folder under which the ledger is replayed, by file. */
export function decidedTrust(): ReturnType<typeof trustFiles> {
  const files = trustFiles({ executorConnectors: CONNECTORS });
  return { ...files, 'requirements.json': JSON.stringify({ ...(JSON.parse(files['requirements.json']) as object), policySigners: [policySigner.vkey] }) };
}

const salted = (kind: 'facts' | 'policyInput', value: unknown, n: number): Uint8Array => canonicalBytes({ v: 1, salt: salt(n % 256, n), kind, value });

/** A change asked for, read, planned, and decided by `pdp`: four records. */
async function decided(request: ChangeRequest, atMs: number, n: number, facts: Facts, factsDigest: string, pdp: Pdp, recent: RecentChanges): Promise<DraftWithObjects[]> {
  const telling = new Telling(atMs, [], n + 1);
  const account = facts.inventory.get(request.subject)!.accounts;
  const connector = Object.keys(account)[0]!;
  telling.do({ type: 'request', by: request.subject, request, requester: [request.subject], idempotency: null });
  const query = deriveQuery(telling.changeId, request, account[connector]!);
  telling.later(5).do({ type: 'authoriseRead', by: sidecar, ticket: sign.ticket(deriveReadTicket(telling.now, query, EXECUTOR, telling.atMs, 300)) });
  const before = { v: 1 as const, salt: salt(1, n + 1), connector, target: 'app', account: account[connector]!, exists: true, touched: {}, held: [] };
  report(telling.later(20), {
    kind: 'read', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: telling.now.read!.stepId, issue: 1,
    outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(before)),
  }, [before]);
  const plan = derivePlan(telling.now, query, before, { salt: salt(2, n + 1), window: null, consumers: [], parent: null })!;
  telling.later(5);
  const input = buildChangeInput({
    phase: 'request', nowMs: telling.atMs, state: telling.now, plan, step: null, before, account: plan.steps[0]!.account, facts: { ...facts, loadedAtMs: telling.atMs - 1_000 },
    connectors: CONNECTORS, locks: [], parent: null, extended: null, recent,
  });
  const asked = salted('policyInput', input, n + 1);
  telling.do({
    type: 'recordDecision', by: sidecar, phase: 'request', plan, decision: await pdp.decide(input), approvalSeconds: 3_600,
    provenance: { bundle: pdp.bundle, input: digestOf(asked), facts: [factsDigest] },
  });
  return telling.beats.map(({ changeId, event, atMs: at }) => draftOf(changeId, event, at, event.type === 'policy.decided' ? [asked] : []));
}

/** `count` decisions by `bundle`, as the ledger in `directory`/ledger; `edit` changes what is recorded of the nth. Resolves with the number of records. */
export async function writeDecisions(directory: string, count: number, bundle: Bundle, edit: (one: DraftWithObjects, n: number) => DraftWithObjects = (one) => one): Promise<number> {
  const pdp = inlinePdp(bundle);
  const facts = factsOf(estate(IDENTITIES, START_MS), START_MS);
  const requests = [...inventoryQuestions(facts)].map(({ request }) => request);
  const recent = new Recent();
  let nowMs = START_MS;
  const log: Log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => nowMs });
  const append = (drafts: readonly DraftWithObjects[]): void => {
    for (const { draft, objects } of drafts) {
      nowMs = Date.parse(draft.at);
      log.append([draft], { objects });
    }
  };
  const loaded = salted('facts', facts.value, 0);
  const { listing, wasm, data } = bundle.evidence;
  append([
    systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS),
    systemDraft('facts.loaded', { facts: digestOf(loaded) }, sidecar, START_MS, [loaded]),
    systemDraft('bundle.activated', { bundle: bundle.digest, listing, signature: signBundle(bundle.digest, 'test', policySigner) }, sidecar, START_MS, [data, wasm]),
  ]);
  for (let n = 0; n < count; n += 1) {
    const request = requests[n % requests.length]!;
    const change = { request, requester: [request.subject], requestedAtMs: START_MS + n * BETWEEN_MS };
    const firstSeq = log.size;
    const counts = recent.before(firstSeq, change.requestedAtMs, request.subject, change.requester);
    const drafts = (await decided(request, change.requestedAtMs, n, facts, digestOf(loaded), pdp, counts)).map((one) => edit(one, n));
    append(drafts);
    recent.asked(firstSeq, change);
    if (drafts.some(({ draft: { body } }) => (body['decision'] as { effect?: string } | undefined)?.effect === 'deny')) recent.remove(firstSeq, change);
    if (n % 256 === 255) await log.durable();
  }
  await log.sync();
  const { size } = log;
  await log.close();
  return size;
}
