/** Leases that run are decided on again when facts or policy change: by the shipped policy, compiled, on a real ledger that an auditor verifies. */
import { describe, expect, it, vi } from 'vitest';
import type { LedgerRecord } from '../../ledger/index.ts';
import { shownState } from '../../src/change/state.ts';
import { factsOf, type Facts } from '../../src/facts/facts.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { EngineFault, type Pdp } from '../../src/pdp/engine.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { Redecision } from '../../src/protocol/decision.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { askedOtherwise, PREVIEW, settled, tell, usualPdp, verdictOf } from '../support/replayed.ts';
import { answerOf, openTestSidecar, scriptedPdp, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

const REDECISION = { everyMs: 5, confirmAbove: { percent: 20, leases: 5 } };
const OWNER = 'person:ana';

type Value = Facts['value'];
/** Facts of now, with parts replaced. */
const knowing = (sidecar: TestSidecar, change: (value: Value) => Value): void => sidecar.load(factsOf(change(sidecar.facts.value), Date.now()));
/** Its one purpose is no longer the identity's. */
const withoutPurpose = (value: Value): Value => ({
  ...value, inventory: { ...value.inventory, nhis: value.inventory.nhis.map((nhi) => (nhi.id === PREVIEW.subject ? { ...nhi, purposes: ['deploy-orders'] } : nhi)) },
});
/** Policy has an objection that is for a person: the purpose lends for a minute at most. */
const withShortPurpose = (value: Value): Value => ({
  ...value, catalogue: { ...value.catalogue, purposes: value.catalogue.purposes.map((purpose) => (purpose.id === PREVIEW.purpose ? { ...purpose, maxLeaseSeconds: 60 } : purpose)) },
});
const touched = (value: Value): Value => ({
  ...value, inventory: { ...value.inventory, nhis: value.inventory.nhis.map((nhi) => (nhi.id === 'nhi:prod/ci-deployer' ? { ...nhi, description: `looked at ${Math.random()}` } : nhi)) },
});

async function lend(sidecar: TestSidecar, count = 1): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) ids.push((await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active')).id);
  return ids;
}

async function records({ log }: TestSidecar, ...types: string[]): Promise<LedgerRecord[]> {
  await log.sync();
  const found: LedgerRecord[] = [];
  for await (const { record } of log.entries(0)) if (types.includes(record.type)) found.push(record);
  return found;
}
const completed = (sidecar: TestSidecar): Promise<LedgerRecord[]> => records(sidecar, 'redecision.completed');
/** Resolves once so many times all leases have been decided on again. */
async function passed(sidecar: TestSidecar, times: number): Promise<LedgerRecord> {
  return vi.waitFor(async () => {
    const all = await completed(sidecar);
    expect(all).toHaveLength(times);
    return all.at(-1)!;
  }, { timeout: 10_000, interval: 10 });
}
const gone = (sidecar: TestSidecar, changeId: string): Promise<void> =>
  vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).toBe('revoked'), { timeout: 10_000, interval: 10 });

async function opened(run: (sidecar: TestSidecar) => Promise<void>, options: TestOptions): Promise<void> {
  const sidecar = await openTestSidecar({ redecision: REDECISION, ...options });
  try {
    await run(sidecar);
  } finally {
    await sidecar.close();
  }
}

describe('a lease that runs when facts change', () => {
  it('is taken back by policy, on the record of what policy said, and an auditor who asks again gets the same', async () => {
    let changeId = '';
    const told = await tell(await usualPdp(), async (sidecar) => {
      [changeId] = await lend(sidecar) as [string];
      knowing(sidecar, withoutPurpose);
      await gone(sidecar, changeId);
      const [redecided, ...more] = await records(sidecar, 'lease.redecided');
      expect(more).toEqual([]);
      expect(redecided!.body).toMatchObject({ redecision: { effect: 'revoke', reasons: [{ code: 'purpose-not-declared' }] }, held: null });
      const ordered = (await records(sidecar, 'step.authorised')).find(({ body }) => body['kind'] === 'revoke')!;
      expect(ordered).toMatchObject({ actor: `sidecar:${sidecar.log.logId}`, seq: redecided!.seq + 1, body: { redecision: (redecided!.body as { provenance: { input: string } }).provenance.input } });
      expect((await passed(sidecar, 1)).body).toMatchObject({ leases: 1, kept: 0, findings: 0, revokes: 1, held: false });
    }, { redecision: REDECISION });
    const verification = await told.verify();
    for (const name of ['INTEGRITY', 'COMPLETENESS', 'WORKFLOW', 'REPLAY']) expect(verdictOf(verification, name)).toMatchObject({ name, status: 'holds' });
    expect(verification.replay).toMatchObject({ decisions: 4, same: 4, unreplayed: [] });
    const pack = await told.verifyPackOf({ change: changeId });
    expect(pack.verdicts.filter(({ name }) => name === 'WORKFLOW' || name === 'REPLAY').map(({ status }) => status)).toEqual(['holds', 'holds']);

    // An order by the sidecar that rests on nothing, on an answer that was left out, on another, or on one that takes nothing back.
    const others: readonly ((draft: DraftWithObjects['draft']) => DraftWithObjects['draft'] | null)[] = [
      (draft) => (draft.body['kind'] === 'revoke' ? { ...draft, body: Object.fromEntries(Object.entries(draft.body).filter(([name]) => name !== 'redecision')) } : draft),
      (draft) => (draft.type === 'lease.redecided' ? null : draft),
      (draft) => (draft.body['kind'] === 'revoke' ? { ...draft, body: { ...draft.body, redecision: `sha256:${'0'.repeat(64)}` } } : draft),
      (draft) => (draft.type === 'lease.redecided' ? { ...draft, body: { ...draft.body, redecision: { ...(draft.body['redecision'] as object), effect: 'finding' } } } : draft),
      (draft) => (draft.type === 'lease.redecided' ? { ...draft, body: { ...draft.body, held: { revokes: 6, leases: 6 } } } : draft),
    ];
    for (const edit of others) {
      const forged = await told.rewritten(({ draft, objects }) => {
        const edited = edit(draft);
        return edited === null ? [] : { draft: edited, objects };
      });
      expect(verdictOf(await forged.verify({ replayer: null }), 'WORKFLOW')).toMatchObject({ status: 'fails', message: expect.stringContaining('no answer of policy’s on record says so') as string });
    }
    const lied = await told.rewritten(askedOtherwise('lease.redecided', (input: ChangeInput) => ({ ...input, change: { ...input.change, purpose: 'deploy-orders' } })));
    expect(verdictOf(await lied.verify(), 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringMatching(/another change\.purpose/) as string });
  });

  it('is kept without a word about it where policy has nothing against it', () => usualPdp().then((pdp) => opened(async (sidecar) => {
    const [changeId] = await lend(sidecar, 2) as [string];
    knowing(sidecar, touched);
    expect((await passed(sidecar, 1)).body).toMatchObject({ leases: 2, kept: 2, findings: 0, revokes: 0, held: false });
    expect(await records(sidecar, 'lease.redecided', 'finding.opened')).toEqual([]);
    expect(sidecar.engine.get(changeId)?.name).toBe('active');
  }, { pdp })));

  it('has a finding where policy says so: one, until policy keeps it again', () => usualPdp().then((pdp) => opened(async (sidecar) => {
    const [changeId] = await lend(sidecar) as [string];
    knowing(sidecar, withShortPurpose);
    expect((await passed(sidecar, 1)).body).toMatchObject({ findings: 1, revokes: 0 });
    expect(sidecar.engine.get(changeId)).toMatchObject({ name: 'active', revokes: [] });
    expect(sidecar.engine.get(changeId)?.findings.get('lease-denied')).toMatchObject({ owner: OWNER, message: expect.stringContaining('lease-too-long') as string });
    // It runs as it should: who waits for the access need not wait for what comes of that.
    expect(shownState(sidecar.engine.get(changeId)!)).toBe('active');
    knowing(sidecar, (value) => withShortPurpose(touched(value)));
    await passed(sidecar, 2);
    expect(await records(sidecar, 'lease.redecided')).toHaveLength(1);
    knowing(sidecar, (value) => value);
    await passed(sidecar, 3);
    expect(sidecar.engine.get(changeId)?.findings.size).toBe(0);
    expect((await records(sidecar, 'lease.redecided')).map(({ body }) => (body['redecision'] as unknown as Redecision).effect)).toEqual(['finding', 'keep']);
  }, { pdp })));
});

/** Policy that says this of every lease, from when it is told to. */
function saying(say: () => Redecision | Promise<Redecision>): Pdp {
  return { ...scriptedPdp(() => answerOf('allow')), redecide: async () => say() };
}
const REASON = answerOf('deny').reasons;
const revoking: Redecision = { effect: 'revoke', reasons: REASON, controls: [] };
const keeping: Redecision = { effect: 'keep', reasons: REASON, controls: [] };

describe('a lease whose extension was refused', () => {
  it('runs to its earlier end under an order that no epoch voids, and policy takes it back before that', async () => {
    let said = keeping;
    let running: TestSidecar | null = null;
    const pdp: Pdp = {
      ...scriptedPdp(() => answerOf('allow')), redecide: async () => said,
      async verify({ kind }) {
        // An executor that holds the order until it is due, as the scripted one does not.
        if (kind === 'extend') running!.executor.acting = false;
        return { effect: kind === 'extend' ? 'deny' : 'allow', reasons: answerOf('allow').reasons, controls: [] };
      },
    };
    const told = await tell(pdp, async (sidecar) => {
      running = sidecar;
      const [id] = await lend(sidecar) as [string];
      const extension = (await sidecar.send(PREVIEW.subject, 'POST', `/v1/changes/${id}/extend?wait=PT10S`, { duration: 'PT1H', reason: 'longer' })).body as ChangeView;
      await vi.waitFor(() => expect(sidecar.engine.get(extension.id)?.name).toBe('failed'), { timeout: 10_000, interval: 10 });
      await vi.waitFor(() => expect(sidecar.executor.orders).toHaveLength(1), { timeout: 10_000, interval: 10 });
      expect(sidecar.engine.get(id)).toMatchObject({ name: 'revoking', ended: null, revokes: [{ content: { cause: 'compensation' } }] });
      said = revoking;
      knowing(sidecar, touched);
      expect((await passed(sidecar, 1)).body).toMatchObject({ leases: 1, revokes: 1 });
      expect(sidecar.engine.get(id)?.revokes.map(({ content }) => content.cause)).toEqual(['compensation', 'early']);
      sidecar.executor.acting = true;
      sidecar.executor.connect();
      await gone(sidecar, id);
      // What is ordered back by now is not asked about again.
      expect(sidecar.engine.heldRevokes()?.leases).toBe(0);
    }, { redecision: REDECISION });
    expect(verdictOf(await told.verify({ replayer: null }), 'WORKFLOW')).toMatchObject({ status: 'holds' });
  });
});

describe('where policy gives no answer', () => {
  it('about one lease, no other is taken back, there is one finding for all, and it is over once policy answers', async () => {
    let faulty = false;
    let asked = 0;
    const pdp = saying(() => {
      if (!faulty) return keeping;
      if ((asked += 1) % 3 === 2) throw new EngineFault('timed-out', 'as the test says');
      return revoking;
    });
    await opened(async (sidecar) => {
      await lend(sidecar, 3);
      faulty = true;
      knowing(sidecar, touched);
      const [failed] = await vi.waitFor(async () => {
        const found = await records(sidecar, 'redecision.failed');
        expect(found).toHaveLength(1);
        return found;
      }, { timeout: 10_000, interval: 10 });
      expect(failed!.body).toMatchObject({ code: 'timed-out', leases: 3, unanswered: 1, owner: expect.stringMatching(/^person:/) as string });
      expect(sidecar.engine.heldRevokes()).toMatchObject({ changes: [], failed: { code: 'timed-out', unanswered: 1 } });
      // Facts change again while it still gives none: still one.
      knowing(sidecar, touched);
      await vi.waitFor(() => expect(asked).toBe(6), { timeout: 10_000, interval: 10 });
      expect(await records(sidecar, 'lease.redecided', 'finding.opened')).toEqual([]);
      expect(sidecar.executor.orders).toEqual([]);
      faulty = false;
      knowing(sidecar, touched);
      await passed(sidecar, 1);
      expect(await records(sidecar, 'redecision.failed')).toHaveLength(1);
      expect(sidecar.engine.heldRevokes()?.failed).toBeNull();
    }, { pdp });
  });

  it('nothing is said to be missing any more once a bundle is in force that has no such question', async () => {
    let evidence: Pdp['evidence'];
    const usual = await usualPdp();
    const pdp: Pdp = {
      ...saying(() => Promise.reject(new EngineFault('timed-out', 'as the test says'))),
      get evidence() {
        return evidence;
      },
    };
    await opened(async (sidecar) => {
      await lend(sidecar);
      knowing(sidecar, touched);
      await vi.waitFor(() => expect(sidecar.engine.heldRevokes()?.failed).toMatchObject({ code: 'timed-out' }), { timeout: 10_000, interval: 10 });
      evidence = { ...usual.evidence!, listing: { ...usual.evidence!.listing, entrypoints: ['access/decide'] } };
      await vi.waitFor(() => expect(sidecar.engine.heldRevokes()?.failed).toBeNull(), { timeout: 10_000, interval: 10 });
    }, { pdp });
  });
});

describe('where policy would take back more at once than is configured', () => {
  it('nothing is taken back until a person confirms who may revoke all of it, and who has seen just that', async () => {
    let answer = keeping;
    await opened(async (sidecar) => {
      const ids = await lend(sidecar, 6);
      answer = revoking;
      knowing(sidecar, touched);
      expect((await passed(sidecar, 1)).body).toMatchObject({ leases: 6, revokes: 6, held: true });
      expect(sidecar.executor.orders).toEqual([]);
      const held = sidecar.engine.heldRevokes()!;
      expect(held.changes.map(({ changeId }) => changeId).sort()).toEqual([...ids].sort());
      expect(sidecar.engine.get(ids[0]!)?.findings.get('lease-revoke-held')).toMatchObject({ owner: OWNER, message: expect.stringContaining('6 of 6 leases') as string });
      // One that a person revoked is no part of what was shown any more.
      await sidecar.engine.revoke(OWNER, ids[0]!, null);
      await gone(sidecar, ids[0]!);
      expect(await sidecar.engine.confirmHeld(OWNER, held.digest, null)).toMatchObject({ ok: false, code: 'held-changed' });
      const now = sidecar.engine.heldRevokes()!;
      expect(await sidecar.engine.confirmHeld('person:mallory', now.digest, null)).toMatchObject({ ok: false, code: 'not-allowed' });
      expect(await sidecar.engine.confirmHeld(PREVIEW.subject, now.digest, null)).toMatchObject({ ok: false, code: 'not-allowed' });
      expect(sidecar.executor.orders).toHaveLength(1);
      expect(await sidecar.engine.confirmHeld(OWNER, now.digest, 'the partner has left')).toMatchObject({ ok: true, value: { length: 5 } });
      for (const id of ids) await gone(sidecar, id);
    }, { pdp: saying(() => answer) });
  });

  it('they stay counted when facts change again, so that none slips through in a later, smaller number', async () => {
    let revoked = new Set<string>();
    const pdp: Pdp = { ...scriptedPdp(() => answerOf('allow')), redecide: async ({ change }) => (revoked.has(change.changeId) ? revoking : keeping) };
    await opened(async (sidecar) => {
      const ids = await lend(sidecar, 8);
      revoked = new Set(ids.slice(0, 7));
      knowing(sidecar, touched);
      await passed(sidecar, 1);
      knowing(sidecar, touched);
      expect((await passed(sidecar, 2)).body).toMatchObject({ revokes: 7, held: true });
      expect(sidecar.executor.orders).toEqual([]);
      expect(await records(sidecar, 'lease.redecided')).toHaveLength(7);
      // As few as go without asking: these go, and the others are kept.
      revoked = new Set(ids.slice(0, 5));
      knowing(sidecar, touched);
      for (const id of revoked) await gone(sidecar, id);
      await passed(sidecar, 3);
      expect([...sidecar.engine.open()].map(({ findings }) => findings.size)).toEqual([0, 0, 0]);
    }, { pdp });
  });

  it('and those that begin to run one after another are counted together', async () => {
    let running: TestSidecar | null = null;
    let isLate = false;
    const pdp: Pdp = {
      ...scriptedPdp(({ phase }) => {
        if (phase === 'dispatch' && isLate) running!.executor.acting = false;
        return answerOf('allow');
      }),
      redecide: async () => revoking,
    };
    await opened(async (sidecar) => {
      running = sidecar;
      const [first] = await lend(sidecar) as [string];
      isLate = true;
      const { id: second } = (await sidecar.send(PREVIEW.subject, 'POST', '/v1/changes', PREVIEW)).body as ChangeView;
      await vi.waitFor(() => expect(sidecar.engine.get(second)?.name).toBe('authorised'), { timeout: 10_000, interval: 10 });
      knowing(sidecar, touched);
      await vi.waitFor(() => expect(sidecar.engine.get(first)?.revokes).toHaveLength(1), { timeout: 10_000, interval: 10 });
      sidecar.executor.acting = true;
      sidecar.executor.connect();
      await vi.waitFor(() => expect(sidecar.engine.heldRevokes()?.changes.map(({ changeId }) => changeId)).toEqual([second]), { timeout: 10_000, interval: 10 });
    }, { pdp, redecision: { everyMs: 5, confirmAbove: { percent: 20, leases: 1 } } });
  });
});

describe('a start', () => {
  it('decides again where facts have changed while nobody was there, and not where they have not', async () => {
    const asked: string[] = [];
    const pdp: Pdp = { ...scriptedPdp(() => answerOf('allow')), redecide: async ({ change }) => (asked.push(change.changeId), keeping) };
    const moved = (facts: Facts): Facts => factsOf(withShortPurpose(facts.value), Date.now());
    const first = await openTestSidecar({ pdp, redecision: REDECISION });
    const [early] = await lend(first) as [string];
    knowing(first, withShortPurpose);
    await passed(first, 1);
    expect(asked).toEqual([early]);
    await first.close('keep');
    const second = await openTestSidecar({ pdp, redecision: REDECISION, after: first, facts: moved });
    const late = await lend(second);
    expect(asked).toEqual([early]);
    await second.close('keep');
    const third = await openTestSidecar({ pdp, redecision: REDECISION, after: first, facts: moved });
    // What came after the last time that all were asked may have been decided on before; of it nothing is on record, since all is as it was.
    await vi.waitFor(() => expect(asked).toEqual([early, ...late]), { timeout: 10_000, interval: 10 });
    await third.close('keep');
    const fourth = await openTestSidecar({ pdp, redecision: REDECISION, after: first });
    await passed(fourth, 2);
    expect(asked.slice(2)).toEqual([early, ...late]);
    await fourth.close();
  });

  it('and what was under way when facts changed is decided on once it runs', async () => {
    const asked: string[] = [];
    let running: TestSidecar | null = null;
    const pdp: Pdp = {
      ...scriptedPdp(({ phase }) => {
        if (phase === 'dispatch') running!.executor.acting = false;
        return answerOf('allow');
      }),
      redecide: async ({ change }) => (asked.push(change.changeId), revoking),
    };
    await opened(async (sidecar) => {
      running = sidecar;
      const requested = (await sidecar.send(PREVIEW.subject, 'POST', '/v1/changes', PREVIEW)).body as ChangeView;
      const { id } = await settled(sidecar, PREVIEW.subject, requested, 'authorised');
      knowing(sidecar, touched);
      sidecar.executor.acting = true;
      sidecar.executor.connect();
      await gone(sidecar, id);
      expect(asked).toEqual([id]);
    }, { pdp });
  });

  it('nor is a lease authorised by what policy said of facts that are not in force any more', async () => {
    const asked: string[] = [];
    let began = (): void => undefined;
    const asking = new Promise<void>((resolve) => (began = resolve));
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const pdp: Pdp = {
      ...scriptedPdp(() => answerOf('allow')),
      async decide({ phase, facts }) {
        if (phase !== 'dispatch') return answerOf('allow');
        asked.push(facts.nhi!.purposes.join());
        began();
        await answered;
        return answerOf('allow');
      },
    };
    await opened(async (sidecar) => {
      const { id } = (await sidecar.send(PREVIEW.subject, 'POST', '/v1/changes', PREVIEW)).body as ChangeView;
      await asking;
      knowing(sidecar, withoutPurpose);
      answer();
      await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe('active'), { timeout: 10_000, interval: 10 });
      expect(asked).toHaveLength(2);
      expect(asked[1]).toBe('deploy-orders');
    }, { pdp });
  });
});
