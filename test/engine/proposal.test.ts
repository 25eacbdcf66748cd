/** What is proposed because of what was found: the change and what it is for are on record together, wherever a process ends. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk, openLog, type AppendFile, type Disk, type LedgerRecord } from '../../ledger/index.ts';
import { factsOf } from '../../src/facts/facts.ts';
import type { FoundAccount } from '../../src/protocol/discovery.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import { answerOf, openTestSidecar, ORIGIN, scriptedPdp, type TestSidecar } from '../support/sidecar.ts';

const PROPOSED = { propose: 'disable' as const, reasons: answerOf('allow').reasons, controls: [] };
const FOUND: FoundAccount = {
  kind: 'account', key: 'ci_deployer', account: 'ci_deployer', nativeId: 'ci_deployer', canLogin: true, isOwn: false, endsAt: null, held: ['role:app_owner'], heldLeftOut: 0, marks: [], credentials: [],
  credentialsLeftOut: 0, sessions: 0, lastUsedAt: null,
};
const proposing = (reasons: typeof PROPOSED.reasons = PROPOSED.reasons): Pdp => ({ ...scriptedPdp(() => answerOf('allow')), reconcile: () => Promise.resolve({ ...PROPOSED, reasons }) });

let sidecar: TestSidecar;
let kept = '';
afterEach(async () => {
  await sidecar.close().catch(() => undefined);
  if (kept !== '') await rm(kept, { recursive: true, force: true });
  kept = '';
});

/** A disk that takes nothing more once it has synced what was appended with `text` in it. */
function endsAfter(text: string): (disk: Disk) => Disk {
  let [seen, ended] = [false, false];
  const wrap = (file: AppendFile): AppendFile => ({
    get size() {
      return file.size;
    },
    async append(bytes) {
      if (ended) throw new Error('the process has ended');
      seen ||= Buffer.from(bytes).includes(text);
      await file.append(bytes);
    },
    async sync() {
      await file.sync();
      ended ||= seen;
    },
    truncate: (size) => file.truncate(size), close: () => file.close(), check: () => file.check(),
  });
  return (disk) => ({ ...disk, openAppend: async (path) => wrap(await disk.openAppend(path)) });
}

/** The types of what was made by reconciling, as whoever opens the ledger next finds them. */
async function found(): Promise<string[]> {
  kept = await mkdtemp(join(tmpdir(), 'countersign-proposal-'));
  await cp(join(sidecar.directory, 'journal'), join(kept, 'journal'), { recursive: true, filter: (path) => !path.includes('lock') });
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(kept), directory: 'ledger', journal: 'journal', signer: sidecar.logSigner, now: () => Date.now(), acceptCopy: true });
  const types: string[] = [];
  for await (const { record: { type } } of log.entries(0)) if (type === 'change.requested' || type === 'reconcile.proposed') types.push(type);
  await log.close();
  return types;
}

describe('a proposal', () => {
  it('is a change and what it is for, or neither, where the process ends in between', async () => {
    // So large an input that two appends would never be one group.
    const filler = Array.from({ length: 60_000 }, (_, n) => ({ connector: 'pg-dev', target: 'app', privilege: `role:${'filler'.repeat(20)}${n}`, rank: 1, environment: 'dev' as const }));
    sidecar = await openTestSidecar({
      pdp: proposing(), disk: endsAfter('"type":"change.requested"'), facts: (facts) => ({ ...facts, catalogue: { ...facts.catalogue, entitlements: [...facts.catalogue.entitlements, ...filler] } }),
    });
    sidecar.executor.found = [FOUND];
    await sidecar.engine.reconcile('pg-main').catch(() => undefined);
    expect(await found()).toEqual(['change.requested', 'reconcile.proposed']);
  });

  it('that cannot be recorded asks for nothing', async () => {
    sidecar = await openTestSidecar({ pdp: proposing(Array.from({ length: 64 }, () => ({ ...PROPOSED.reasons[0]!, message: '€'.repeat(500) }))) });
    sidecar.executor.found = [FOUND];
    await sidecar.engine.reconcile('pg-main');
    expect(sidecar.logged).toContainEqual(expect.objectContaining({ level: 'warn', fields: expect.objectContaining({ code: 'result-too-large' }) as unknown }));
    await sidecar.log.sync();
    expect([...sidecar.engine.all()]).toEqual([]);
    expect(await found()).toEqual([]);
  });

  it('is made for what has a name in which something is not seen', async () => {
    const account = 'ci_\u200bdeployer';
    sidecar = await openTestSidecar({
      pdp: { ...proposing(), reconcile: () => Promise.resolve({ ...PROPOSED, propose: 'revoke' }) },
      facts: (facts) => ({ ...facts, inventory: new Map([...facts.inventory].map(([id, one]) => [id, id === 'nhi:prod/ci-deployer' ? { ...one, accounts: { 'pg-main': account } } : one])) }),
    });
    sidecar.executor.found = [{ ...FOUND, key: account, account, nativeId: account }];
    await sidecar.engine.reconcile('pg-main');
    expect([...sidecar.engine.all()].map(({ request }) => request)).toEqual([expect.objectContaining({ kind: 'revoke', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:app_owner' }] })]);
  });

  it('names the facts that policy was asked with, where others are loaded while it thinks', async () => {
    const pdp: Pdp = {
      ...proposing(),
      reconcile: () => {
        const { value } = sidecar.facts;
        sidecar.load(factsOf({ ...value, directory: { ...value.directory, people: value.directory.people.slice(1) } }, Date.now()));
        return Promise.resolve(PROPOSED);
      },
    };
    sidecar = await openTestSidecar({ pdp });
    sidecar.executor.found = [FOUND];
    await sidecar.engine.reconcile('pg-main');
    await sidecar.log.sync();
    const records: LedgerRecord[] = [];
    for await (const { record } of sidecar.log.entries(0)) records.push(record);
    const { provenance } = records.find(({ type }) => type === 'reconcile.proposed')!.body as { provenance: { facts: [string] } };
    const { value } = JSON.parse(Buffer.from((await sidecar.log.object(provenance.facts[0]))!).toString('utf8')) as { value: unknown };
    expect(value).toEqual(sidecar.facts.value);
  });

  it('is made once for each time that something is found', async () => {
    sidecar = await openTestSidecar({ pdp: proposing() });
    sidecar.executor.found = [FOUND];
    const { open: [first] } = await sidecar.engine.reconcile('pg-main');
    expect(sidecar.engine.get(first!.proposed!)?.request).toMatchObject({ kind: 'disable', subject: 'nhi:prod/ci-deployer' });
    await sidecar.engine.reconcile('pg-main');
    expect(await found()).toEqual(['change.requested', 'reconcile.proposed']);
  });
});
