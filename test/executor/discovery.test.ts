import { describe, expect, test } from 'vitest';
import { digestOf, parseStrict } from '../../ledger/index.ts';
import { admit } from '../../src/executor/admission.ts';
import { TargetError, type Connector } from '../../src/executor/connector.ts';
import { discoveredPageSchema, LISTED_MAX, PAGE_BYTES_MAX, type Found } from '../../src/protocol/discovery.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import type { Refusal } from '../../src/protocol/signed.ts';
import { freshDiscoveryId, makeDiscovery, type DiscoveryEdits } from '../support/discoveries.ts';
import { forger, makeRead, someLog } from '../support/envelopes.ts';
import { EXECUTOR, START_MS, storyTrust } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const refused = ({ envelope }: { readonly envelope: unknown }, nowMs = START_MS + 1_000): Refusal | 'admitted' => {
  const admission = admit(envelope, { trust: storyTrust(), executorId: EXECUTOR, nowMs, connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
  return admission.ok ? 'admitted' : admission.code;
};

describe('a look at everything', () => {
  test('is admitted once it is recorded', () => {
    expect(refused(makeDiscovery())).toBe('admitted');
  });

  test.each<[string, Refusal, DiscoveryEdits]>([
    ['signed by a key that nobody trusts', 'unknown-sidecar', { signer: forger }],
    ['for another executor', 'wrong-audience', { ticket: (ticket) => ({ ...ticket, audience: 'executor:other' }) }],
    ['at a connector that this executor does not have', 'unknown-connector', { ticket: (ticket) => requeried(ticket, 'pg-other') }],
    ['of another discovery', 'wrong-step', { ticket: (ticket) => ({ ...ticket, discoveryId: freshDiscoveryId() }) }],
    ['of another log', 'wrong-step', { ticket: (ticket) => ({ ...ticket, discoveryId: freshDiscoveryId('0123456789abcdef') }) }],
    ['with another query than its digest says', 'plan-digest-mismatch', { ticket: (ticket) => ({ ...ticket, query: { ...ticket.query, after: 'elsewhere' } }) }],
    ['that comes with approvals of something else', 'malformed', { envelope: (envelope) => ({ ...envelope, order: envelope.ticket }) }],
    ['whose record is about a change', 'receipt-mismatch', { draft: (draft) => ({ ...draft, change: 'chg_0123456789abcdef_01KAVQ0000000000000000000A' }) }],
    ['whose record is another one', 'receipt-mismatch', { draft: (draft) => ({ ...draft, type: 'facts.loaded' }) }],
    ['whose record has another ticket', 'receipt-mismatch', { draft: (draft) => ({ ...draft, body: { ...draft.body, ticket: { ...(draft.body['ticket'] as object), payload: 'e30=' } } }) }],
    ['under the receipt of a read', 'receipt-mismatch', { envelope: (envelope) => ({ ...envelope, receipt: makeRead().envelope.receipt }) }],
  ])('%s is refused', (_what, code, edits) => {
    expect(refused(makeDiscovery(edits))).toBe(code);
  });

  test('outside its time is refused', () => {
    expect(refused(makeDiscovery(), START_MS + 400_000)).toBe('outside-window');
  });
});

function requeried<T extends ReturnType<typeof makeDiscovery>['ticket']>(ticket: T, connector: string): T {
  const query = { ...ticket.query, connector };
  return { ...ticket, query, queryDigest: digestOf(Buffer.from(JSON.stringify({ after: query.after, connector }))) };
}

const account = (n: number, held: readonly string[] = []): Found => ({
  kind: 'account', key: String(n), account: `login_${n}`, nativeId: String(n), canLogin: true, isOwn: false, endsAt: null, held: [...held], heldLeftOut: 0, marks: [], credentials: [], credentialsLeftOut: 0,
  sessions: null, lastUsedAt: null,
});
const telling = (discover: Connector['discover']): Bench => createBench({ wrap: (connector) => ({ ...connector, ...(discover === undefined ? {} : { discover }) }) });
const answered = async (bench: Bench): Promise<ReportMessage> => {
  await bench.clock.until(() => bench.messages.length > 0);
  return bench.messages[0]!;
};

describe('its answer', () => {
  test('is a signed report that names the page, salted, and what was asked', async () => {
    const bench = telling((query) => Promise.resolve({ target: 'app', entries: [account(1)], next: query.after }));
    const { envelope, ticket } = makeDiscovery({ after: '7' });
    expect(await (await bench.start()).step(envelope)).toEqual({ accepted: true });
    const message = await answered(bench);
    const [report] = bench.reports;
    expect(report).toMatchObject({ kind: 'discovered', discoveryId: ticket.discoveryId, stepId: ticket.stepId, outcome: 'done', page: digestOf(Buffer.from(message.objects[0]!)) });
    expect(discoveredPageSchema.parse(parseStrict(Buffer.from(message.objects[0]!)))).toMatchObject({ connector: 'pg-main', target: 'app', after: '7', next: '7', entries: [account(1)] });
    expect(bench.disk.files.get('lease-book')!.bytes.toString()).not.toContain('login_1');
  });

  test('comes again to the same ticket, without another look', async () => {
    let looks = 0;
    const bench = telling(() => {
      looks += 1;
      return Promise.resolve({ target: 'app', entries: [], next: null });
    });
    const { envelope } = makeDiscovery();
    const worker = await bench.start();
    await worker.step(envelope);
    await answered(bench);
    await worker.step(envelope);
    await bench.clock.until(() => bench.messages.length === 2);
    expect(looks).toBe(1);
    expect(bench.messages[1]).toEqual(bench.messages[0]);
  });

  test('is forgotten before its pages fill the memory: then the target is looked at again', async () => {
    let looks = 0;
    const bench = telling(() => {
      looks += 1;
      return Promise.resolve({ target: 'app', entries: [], next: null });
    });
    const worker = await bench.start();
    const log = someLog();
    const asked = Array.from({ length: 12 }, () => makeDiscovery({ log, fromSize: log.size }));
    for (const [n, { envelope }] of asked.entries()) {
      await worker.step(envelope);
      await bench.clock.until(() => bench.messages.length === n + 1);
    }
    const again = async (envelope: unknown, answers: number): Promise<number> => {
      await worker.step(envelope);
      await bench.clock.until(() => bench.messages.length === answers);
      return looks;
    };
    // The head has moved on: what is known is said again whatever its receipt, and what is not is proven anew.
    expect(await again(asked[11]!.envelope, 13)).toBe(12);
    expect(await worker.step(asked[0]!.envelope)).toMatchObject({ accepted: false, code: 'inconsistent-checkpoint' });
  });

  test('is cut to what one report holds, and the next page begins after the cut', async () => {
    const many = Array.from({ length: 40 }, (_, n) => account(n, Array.from({ length: LISTED_MAX }, (_unused, m) => `table:schema_${m}.${'x'.repeat(40)}:SELECT`)));
    const bench = telling(() => Promise.resolve({ target: 'app', entries: many, next: null }));
    await (await bench.start()).step(makeDiscovery().envelope);
    const { objects } = await answered(bench);
    const page = discoveredPageSchema.parse(parseStrict(Buffer.from(objects[0]!)));
    expect(page.entries.length).toBeGreaterThan(1);
    expect(page.entries.length).toBeLessThan(40);
    expect(page.next).toBe(page.entries.at(-1)!.key);
    expect(Buffer.byteLength(objects[0]!)).toBeLessThan(PAGE_BYTES_MAX + 1_000);
  });

  test('is a no where the target refuses, or tells what no report can hold, or the connector cannot tell', async () => {
    for (const discover of [
      () => Promise.reject(new TargetError('rejected', 'no privilege for that')),
      () => Promise.resolve({ target: 'app', entries: [{ ...account(1), account: 'a\u0007b' }], next: null }),
      undefined,
    ]) {
      const bench = telling(discover);
      await (await bench.start()).step(makeDiscovery().envelope);
      expect((await answered(bench)).objects).toEqual([]);
      expect(bench.reports[0]).toMatchObject({ kind: 'discovered', outcome: 'failed', code: 'target-rejected', page: null });
    }
  });

  test('waits for a target that cannot be reached, for as long as the ticket is good', async () => {
    let tries = 0;
    const bench = telling(() => {
      tries += 1;
      return tries < 3 ? Promise.reject(new TargetError('unreachable', 'down')) : Promise.resolve({ target: 'app', entries: [], next: null });
    });
    await (await bench.start()).step(makeDiscovery().envelope);
    await answered(bench);
    expect(bench.reports[0]).toMatchObject({ outcome: 'done' });
    const never = telling(() => Promise.reject(new TargetError('unreachable', 'down')));
    await (await never.start()).step(makeDiscovery().envelope);
    await answered(never);
    expect(never.reports[0]).toMatchObject({ outcome: 'refused', code: 'outside-window' });
  });
});
