/** REPLAY: decisions of the shipped policy, made by a real engine, asked again; and what each lie about them is caught by. */
import { describe, expect, it } from 'vitest';
import { canonicalBytes, digestOf, nodeDisk, parseStrict, parseVerifier, readDirectory, type JsonObject, type JsonValue, type Signer } from '../../ledger/index.ts';
import { signPolicy } from '../../src/cli/policy-sign.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { Replayer } from '../../src/evidence/replay.ts';
import type { EvidenceVerification } from '../../src/evidence/verify.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { absentPdp, EngineFault, openPdp, type Pdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { ChangeInput, VerificationInput } from '../../src/pdp/policy-input.ts';
import { createReplayer } from '../../src/pdp/replayer.ts';
import type { Provenance } from '../../src/protocol/decision.ts';
import { signBundle } from '../../src/protocol/policy-bundle.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { Crafted } from '../pdp/crafted-wasm.ts';
import { copiedBundle, craftedBundle } from '../pdp/support.ts';
import { askedOtherwise, EXCESS, PREVIEW, policySigner, settled, shippedBundle, signedBy, strangerSigner, tell, usualPdp, verdictOf, type Told } from '../support/replayed.ts';
import { answerOf, GRANT, scriptedPdp, type TestSidecar } from '../support/sidecar.ts';

/** The facts object that it was decided on. */
async function factsOf(told: Told): Promise<Uint8Array> {
  const reading = await readDirectory(nodeDisk(told.directory), 'ledger');
  for await (const { record } of reading.entries(0, reading.head.size)) if (record.type === 'facts.loaded') return (await reading.object(record.objects[0]!))!;
  throw new Error('no facts');
}

/** All but REPLAY hold, so that it alone tells. */
function expectOnlyReplay(verification: EvidenceVerification, message: RegExp): void {
  for (const name of ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS', 'WORKFLOW']) expect(verdictOf(verification, name)).toMatchObject({ name, status: 'holds' });
  const replay = verdictOf(verification, 'REPLAY');
  expect(replay).toMatchObject({ status: 'fails' });
  expect(replay.message).toMatch(message);
  expect(replay.seq).toBe(verification.replay?.kept[0]?.seq);
}

const preview = async (sidecar: TestSidecar): Promise<void> => {
  await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active');
};
const request = async (sidecar: TestSidecar): Promise<void> => {
  await sidecar.change(PREVIEW.subject, PREVIEW);
};
const excess = async (sidecar: TestSidecar): Promise<void> => {
  const pending = await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'pending', 'denied');
  if (pending.state === 'denied') return;
  await sidecar.send('person:wei', 'POST', pending.links.approvals, { verdict: 'approve', planDigest: pending.planDigest });
  await settled(sidecar, GRANT.subject, pending, 'active');
};

describe('decisions of the shipped policy', () => {
  it('come out the same, and REPLAY stands between TIME and NOT PROVEN', async () => {
    const verification = await (await tell(await usualPdp())).verify();
    expect(verdictOf(verification, 'REPLAY')).toEqual({ name: 'REPLAY', status: 'holds', message: '9 decisions came out the same' });
    expect(verification.verdicts.map(({ name }) => name).slice(-3)).toEqual(['TIME', 'REPLAY', 'NOT PROVEN']);
    expect(verification.replay).toMatchObject({ decisions: 9, same: 9, differing: 0, engineDenied: 0, unreplayed: [] });
    expect(verification.notProven.join('; ')).toMatch(/what policy was told of the time, .*connectors, .*calendars, locks, an extended lease and whether an offboarding was at work/);
  });

  it('are replayed across a restart, and the bundle is in evidence once', async () => {
    const first = await tell(await usualPdp());
    const again = await tell(await usualPdp(), preview, { after: first.sidecar });
    const verification = await again.verify();
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'holds', message: '12 decisions came out the same' });
    const log = await again.open();
    const activations = [];
    for await (const { record } of log.entries(0)) if (record.type === 'bundle.activated') activations.push(record);
    expect(activations).toHaveLength(1);
    expect(activations[0]).toMatchObject({ v: 2, body: { bundle: (await shippedBundle()).digest } });
    expect(activations[0]!.objects).toHaveLength(2);
  });

  it('of a part of an offboarding are replayed with what was said of the whole', async () => {
    const told = await tell(await usualPdp(), async (sidecar) => {
      const view = await settled(sidecar, 'person:wei', await sidecar.change('person:wei', { kind: 'offboard', subject: 'thirdParty:northwind-analytics', reason: 'the contract is over' }), 'pending');
      await sidecar.send('person:olga', 'POST', view.links.approvals, { verdict: 'approve', planDigest: view.planDigest });
      await settled(sidecar, 'person:wei', view, 'done');
    });
    expect(verdictOf(await told.verify(), 'REPLAY')).toMatchObject({ status: 'holds' });
  });

  it('of which the engine made a no are known for what they are', async () => {
    const withoutAccount = await tell(await usualPdp(), async (sidecar) => {
      await sidecar.change('nhi:prod/ci-deployer', { ...GRANT, entitlements: [{ ...GRANT.entitlements[0]!, connector: 'pg-none' }] });
    });
    expect(verdictOf(await withoutAccount.verify(), 'REPLAY')).toMatchObject({ status: 'holds' });
  });
});

describe('a sidecar that lies', () => {
  const lying = async (lie: (real: Pdp) => Partial<Pdp>): Promise<Pdp> => {
    const real = await usualPdp();
    return { ...real, ...lie(real) };
  };

  it('that records a yes where policy says no is caught, by REPLAY and by nothing else', async () => {
    const pdp = await lying((real) => ({
      decide: async (input) => {
        const answer = await real.decide(input);
        return answer.effect === 'deny' ? { ...answer, effect: 'needsApproval', obligations: { ...answer.obligations, approvers: 'person:wei' } } : answer;
      },
    }));
    expectOnlyReplay(await (await tell(pdp, excess)).verify(), /^record \d+: policy says deny where needsApproval is recorded, in chg_\w+, and 1 more$/);
  });

  it('that tells policy of fewer changes than there were is caught by the records', { timeout: 60_000 }, async () => {
    const told = await tell(await usualPdp());
    const ofExcess = (body: JsonObject): boolean => JSON.stringify(body['decision']).includes('exceeds-purpose') && body['planDigest'] !== null;
    for (const [recent, message] of [
      [{ subject: { hour: 0, day: 0 } }, /^record \d+: policy was told of 0 as recent\.subject\.hour, where the records have 1, in chg_/],
      [{ requester: { hour: 1, day: 0 } }, /policy was told of 0 as recent\.requester\.day, where the records have 1/],
      [{ newCredentials: { day: 1 } }, /policy was told of 1 as recent\.newCredentials\.day, where the records have 0/],
    ] as const) {
      const lied = await told.rewritten(askedOtherwise('policy.decided', (input: ChangeInput) => ({ ...input, recent: { ...input.recent, ...recent } }), ofExcess));
      expectOnlyReplay(await lied.verify(), message);
    }
  });

  it('that asks fewer people than policy does is caught', async () => {
    const pdp = await lying((real) => ({
      decide: async (input) => {
        const answer = await real.decide(input);
        return answer.effect === 'needsApproval' ? { ...answer, obligations: { ...answer.obligations, approvers: 'person:wei', maxLeaseSeconds: null } } : answer;
      },
    }));
    expectOnlyReplay(await (await tell(pdp)).verify(), /policy says needsApproval with other reasons or obligations than are recorded/);
  });

  it('that says a state is as decided where policy says it is not is caught', async () => {
    const pdp = await lying((real) => ({ verify: async (input) => ({ ...(await real.verify(input)), reasons: [{ code: 'as-decided', message: 'just so', rule: 'access.verify' }] }) }));
    expectOnlyReplay(await (await tell(pdp, preview)).verify(), /policy says allow of the state where allow is recorded/);
  });

  // The answer is policy's own, to a question that the records do not lead to.
  it.each<[string, (input: ChangeInput) => ChangeInput, RegExp]>([
    ['another requester', (input) => ({ ...input, change: { ...input.change, requester: ['nhi:prod/ci-deployer'] } }), /another change\.requester than/],
    ['another purpose', (input) => ({ ...input, change: { ...input.change, purpose: 'nothing' } }), /another change\.purpose than/],
    ['a smaller wish', (input) => ({ ...input, change: { ...input.change, entitlements: [] } }), /another change\.entitlements than/],
    ['a shorter lease', (input) => ({ ...input, change: { ...input.change, leaseSeconds: 1 } }), /another change\.leaseSeconds than/],
    ['another plan', (input) => ({ ...input, change: { ...input.change, planDigest: `sha256:${'0'.repeat(64)}` } }), /another change\.planDigest than/],
    ['no owner', (input) => ({ ...input, facts: { ...input.facts, nhi: null } }), /another facts\.nhi than/],
    ['a catalogue of its own', (input) => ({ ...input, facts: { ...input.facts, catalogue: { v: 1, entitlements: [], purposes: [] } } }), /another facts\.catalogue than/],
    ['people of its own', (input) => ({ ...input, facts: { ...input.facts, directory: { v: 1, people: [], teams: [] } } }), /another facts\.directory than/],
    ['an exception of its own', (input) => ({ ...input, facts: { ...input.facts, exceptions: [{ id: 'mine', rule: 'exceeds-purpose', subject: PREVIEW.subject, owner: 'person:wei', fromMs: 0, untilMs: 1 }] } }), /another facts\.exceptions than/],
    ['nothing held', (input) => ({ ...input, held: ['role:admin'] }), /another held than/],
    ['the other phase', (input) => ({ ...input, phase: input.phase === 'request' ? 'dispatch' : 'request' }), /another phase than/],
  ])('about %s in the question is caught', async (_what, twist, message) => {
    const told = await tell(await usualPdp(), preview);
    const lied = await told.rewritten(askedOtherwise('policy.decided', twist, ({ planDigest }) => planDigest !== null));
    expectOnlyReplay(await lied.verify(), message);
  });

  it.each<[string, (input: VerificationInput) => VerificationInput, RegExp]>([
    ['another state after', (input) => ({ ...input, after: { ...input.after, held: [] } }), /another after\.held than/],
    ['fewer privileges', (input) => ({ ...input, privileges: [] }), /another privileges than/],
  ])('about %s in what was verified is caught', async (_what, twist, message) => {
    const told = await tell(await usualPdp(), preview);
    expectOnlyReplay(await (await told.rewritten(askedOtherwise('entitlement.verified', twist))).verify(), message);
  });

  it.each(['request', 'dispatch'] as const)('that tells policy of an offboarding which there is not is caught (at the %s)', async (phase) => {
    const asPart = (input: ChangeInput): ChangeInput => ({ ...input, change: { ...input.change, parent: { changeId: `chg_${'0'.repeat(16)}_01M8KGMJEJJ2NEESG54X0BC8WM`, requester: [...input.change.requester] } } });
    const told = await tell(await usualPdp(), preview);
    const lied = await told.rewritten(askedOtherwise('policy.decided', asPart, (body) => body['phase'] === phase && body['planDigest'] !== null));
    expectOnlyReplay(await lied.verify(), /another change\.parent than/);
  });

  it('that asks what no sidecar asks, for its size, is caught before it is read', async () => {
    const told = await tell(await usualPdp(), preview);
    const large = (input: ChangeInput): ChangeInput => ({ ...input, held: Array.from({ length: 5_000 }, (_, n) => `role:${n}`.padEnd(256, 'x')) });
    expectOnlyReplay(await (await told.rewritten(askedOtherwise('policy.decided', large))).verify(), /its input is larger than a sidecar takes/);
  });

  it.each<[string, unknown]>([['nothing', null], ['a list', []]])('whose facts are %s is caught', async (_what, value) => {
    const told = await tell(await usualPdp(), preview);
    const was = await factsOf(told);
    const bytes = canonicalBytes({ ...(parseStrict(was) as JsonObject), value: value as JsonValue });
    const [from, to] = [digestOf(was), digestOf(bytes)];
    const lied = await told.rewritten(({ draft, objects }) => ({
      draft: JSON.parse(JSON.stringify(draft).replaceAll(from, to)) as typeof draft, objects: draft.type === 'facts.loaded' ? [bytes] : objects,
    }));
    expectOnlyReplay(await lied.verify(), /its facts are no object of that kind/);
  });

  it.each<[string, 'holds' | 'fails', number]>([['a moment', 'holds', 15_000], ['an hour', 'fails', 3_600_000]])('that decides on facts %s after others were loaded: REPLAY %s', async (_what, status, afterMs) => {
    const told = await tell(await usualPdp(), preview);
    const real = await factsOf(told);
    const other = canonicalBytes({ ...(parseStrict(real) as JsonObject), salt: 'A'.repeat(22) });
    const lied = await told.rewritten(({ draft, objects }) => {
      const at = formatTime(Date.parse(draft.at) - afterMs);
      const loaded = (bytes: Uint8Array): DraftWithObjects => systemDraft('facts.loaded', { facts: digestOf(bytes) }, draft.actor, Date.parse(at), [bytes]);
      if (draft.type === 'ledger.opened') return [{ draft: { ...draft, at }, objects }, loaded(real), loaded(other)];
      return draft.type === 'facts.loaded' ? [] : { draft, objects };
    });
    const verification = await lied.verify();
    if (status === 'fails') expectOnlyReplay(verification, /decided on facts that were not in force any more/);
    else expect(verdictOf(verification, 'REPLAY').status).toBe('holds');
  });

  it('that decides by another bundle than is in force is caught', async () => {
    const told = await tell(await usualPdp(), preview);
    const other = `sha256:${'e'.repeat(64)}`;
    const lied = await told.rewritten(({ draft, objects }) => {
      if (draft.type !== 'policy.decided') return { draft, objects };
      return { draft: { ...draft, body: { ...draft.body, provenance: { ...(draft.body['provenance'] as JsonObject), bundle: other } } }, objects };
    });
    const verification = await lied.verify();
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringMatching(/decided by another bundle than was in force/) as string });
    expect(new Set(verification.workflow?.violations.map(({ code }) => code))).toEqual(new Set(['bundle-mismatch']));
  });

  it('that keeps other files than its bundle names is caught, and they are not run', async () => {
    const told = await tell(await usualPdp(), preview);
    const lied = await told.rewritten(({ draft, objects }) => {
      if (draft.type !== 'bundle.activated') return { draft, objects };
      const wasm = Buffer.from('another');
      const listing = draft.body['listing'] as { files: { path: string; digest: string }[] };
      const files = listing.files.map((file) => (file.path === 'policy.wasm' ? { ...file, digest: digestOf(wasm) } : file));
      return { draft: { ...draft, body: { ...draft.body, listing: { ...listing, files } }, objects: [draft.objects[0]!, digestOf(wasm)] }, objects: [objects[0]!, wasm] };
    });
    expectOnlyReplay(await lied.verify({ replayer: mustNotRun }), /does not have the digest that the record names/);
  });
});

/** Fails the test when it is asked to run anything. */
const mustNotRun: Replayer = { open: () => Promise.reject(new Error('an untrusted bundle was opened')) };

describe('what cannot be replayed is not said to hold', () => {
  const notEstablished = (verification: EvidenceVerification, message: RegExp): void => {
    expect(verdictOf(verification, 'WORKFLOW').status).toBe('holds');
    expect(verdictOf(verification, 'REPLAY').status).toBe('notEstablished');
    expect(verdictOf(verification, 'REPLAY').message).toMatch(message);
  };

  it('a bundle that nobody signed is not run', async () => {
    notEstablished(await (await tell(await usualPdp(null), preview)).verify({ replayer: mustNotRun }), /^0 of 3 decisions came out the same; 3: by a bundle that no policy signer/);
  });

  it('nor one that somebody else signed, whatever the key calls itself', async () => {
    notEstablished(await (await tell(await usualPdp(strangerSigner), preview)).verify({ replayer: mustNotRun }), /3: by a bundle that no policy signer/);
  });

  it('nor one with a signature over another bundle', async () => {
    const bundle = await shippedBundle();
    const signature = signBundle(`sha256:${'a'.repeat(64)}`, null, policySigner);
    const pdp = inlinePdp({ ...bundle, evidence: { ...bundle.evidence, signature } });
    notEstablished(await (await tell(pdp, preview)).verify({ replayer: mustNotRun }), /3: by a bundle that no policy signer/);
  });

  it('without a signer in the trust folder, or where it is not asked, nothing is run', async () => {
    const told = await tell(await usualPdp(), preview);
    notEstablished(await told.verify({ signers: [], replayer: mustNotRun }), /^the trust folder names no policy signer/);
    notEstablished(await told.verify({ replayer: null }), /^not asked$/);
  });

  it('a bundle that was not kept, as by version 1 of the record', async () => {
    const told = await tell(await usualPdp(), preview);
    const old = await told.rewritten(({ draft, objects }) => (draft.type === 'bundle.activated' ? { draft: { ...draft, v: 1, body: { bundle: draft.body['bundle']! }, objects: [] }, objects: [] } : { draft, objects }));
    notEstablished(await old.verify({ replayer: mustNotRun }), /3: by a bundle that is not in the evidence/);
  });

  it('an engine that gave no answer decided nothing of policy’s', async () => {
    const told = await tell({ ...(await usualPdp()), decide: () => Promise.reject(new EngineFault('timed-out', 'too slow')) }, request);
    notEstablished(await told.verify(), /0 of 1 decisions came out the same; 1 were the engine's own, which gave nothing/);
    const none = await tell(absentPdp(), request);
    notEstablished(await none.verify(), /the engine's own/);
  });

  it.each<['input' | 'facts' | 'state' | 'plan', string, (body: JsonObject) => boolean, RegExp]>([
    ['input', 'entitlement.verified', () => true, /^2 of 3 decisions came out the same; 1: input erased under seq \d+$/],
    ['facts', 'facts.loaded', () => true, /^0 of 3 .*; 3: facts erased under seq \d+$/],
    ['state', 'state.read', () => true, /^0 of 3 .*; 3: state erased under seq \d+$/],
    ['plan', 'policy.decided', ({ planDigest }) => planDigest !== null, /^0 of 3 .*; 3: plan erased under seq \d+$/],
  ])('an erased %s is told with the record that it was erased under', async (what, type, where, message) => {
    const told = await tell(await usualPdp(), preview);
    const log = await told.open();
    let digest = '';
    for await (const { record } of log.entries(0)) {
      if (digest !== '' || record.type !== type || !where(record.body)) continue;
      const provenance = record.body['provenance'] as unknown as Provenance | undefined;
      digest = what === 'input' ? provenance!.input : what === 'plan' ? (record.body['planDigest'] as string) : record.objects[0]!;
    }
    const { records } = log.append([{ v: 1, change: null, type: 'erasure', at: new Date().toISOString(), actor: 'person:olga', body: { erased: [digest], basis: 'asked to' }, objects: [] }]);
    await log.sync();
    await log.erase([digest]);
    await log.close();
    const verification = await told.verify();
    const { status, message: said } = verdictOf(verification, 'REPLAY');
    expect([status, said]).toEqual(['notEstablished', expect.stringMatching(message)]);
    expect(said).toContain(`seq ${records[0]!.seq}`);
  });
});

describe('a signed policy that does not behave', () => {
  /** Decided by one answer, and replayed by a module that does something else under the name and signature of the bundle. */
  const decidedBy = async (crafted: Crafted): Promise<Told> => {
    const bundle = await readBundle(await craftedBundle(crafted));
    const { evidence } = signedBy(policySigner, bundle);
    return tell({ ...scriptedPdp(() => answerOf('allow')), bundle: bundle.digest, evidence }, preview);
  };

  it('and does not end is killed at its deadline, three times at most, and verification goes on', async () => {
    const told = await decidedBy({ trick: 'loop' });
    const begun = performance.now();
    const verification = await told.verify({ replayer: createReplayer({ deadlineMs: 200 }) });
    expect(performance.now() - begun).toBeLessThan(15_000);
    expect(verdictOf(verification, 'WORKFLOW').status).toBe('holds');
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'notEstablished', message: '0 of 3 decisions came out the same; 3: policy did not answer in time' });
  });

  it('is asked no more once it was killed three times', async () => {
    const told = await tell({ ...scriptedPdp(() => answerOf('allow')), ...(await loopingEvidence()) }, async (sidecar) => {
      for (let n = 0; n < 8; n += 1) await preview(sidecar);
    });
    let asked = 0;
    const real = createReplayer({ deadlineMs: 100 });
    const counting: Replayer = {
      async open(bundle) {
        const policy = (await real.open(bundle))!;
        return {
          ask: async (...question) => {
            asked += 1;
            return policy.ask(...question);
          },
          close: () => policy.close(),
        };
      },
    };
    const verification = await told.verify({ replayer: counting });
    expect(verification.replay).toMatchObject({ decisions: 24, same: 0, unreplayed: [{ why: 'stopped', count: 24 }] });
    expect(asked).toBeLessThan(24);
  });

  it.each<[string, Crafted, RegExp]>([
    ['traps', { trick: 'trap' }, /policy gives no answer \(policy-threw\) where one is recorded/],
    ['throws a string', { trick: 'abort' }, /\(policy-threw\)/],
    ['calls what nobody provides', { trick: 'call-builtin' }, /\(unknown-builtin\)/],
    ['is undefined', { result: '[]' }, /\(undefined-result\)/],
    ['says something that is no decision', { result: '[{"result":{"effect":"allow"}}]' }, /\(malformed-result\)/],
  ])('and %s did not give the recorded answer', async (_what, crafted, message) => {
    expectOnlyReplay(await (await decidedBy(crafted)).verify(), message);
  });

  it('and cannot be opened is not run', async () => {
    const verification = await (await decidedBy({ abortsOnLoad: true })).verify();
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'notEstablished', message: '0 of 3 decisions came out the same; 3: by a bundle that cannot be run' });
  });

  const loopingEvidence = async (): Promise<Pick<Pdp, 'bundle' | 'evidence'>> => {
    const bundle = await readBundle(await craftedBundle({ trick: 'loop' }));
    return { bundle: bundle.digest, evidence: signedBy(policySigner, bundle).evidence };
  };
});

describe('a sidecar whose trust folder names policy signers', () => {
  it.each<[string, 'runs' | 'refuses', Signer | null]>([['signed by one of them', 'runs', policySigner], ['signed by nobody', 'refuses', null], ['signed by another', 'refuses', strangerSigner]])('%s: it %s a bundle', async (_what, outcome, signer) => {
    const directory = await copiedBundle();
    if (signer !== null) await signPolicy(directory, signer);
    const opening = openPdp({ directory, signers: [parseVerifier(policySigner.vkey)] });
    if (outcome === 'refuses') return expect(opening).rejects.toMatchObject({ code: 'bundle-unsigned' });
    await (await opening).close();
  });
});
