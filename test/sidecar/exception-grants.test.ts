/** Exceptions that people grant, under a running sidecar: what they have not signed lets nothing through, and the rest of the file does. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { connect, type Client } from '../../src/client/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { ExceptionsFile } from '../../src/facts/exceptions.ts';
import { factsOf, type Facts } from '../../src/facts/load.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { grantedFacts } from '../../src/sidecar/granted-facts.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { exampleFacts } from '../pdp/support.ts';
import { signedBy } from '../support/granted.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { EXCESS } from '../support/replayed.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';
import { testSshKey } from '../support/ssh.ts';

type Exception = ExceptionsFile['exceptions'][number];

const [OLGA, SAM] = ['person:olga', 'person:sam'] as const;
const [olga, sam] = [testSshKey(), testSshKey()];
const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const day = (offset: number): string => new Date(NOW_MS + offset * DAY_MS).toISOString().slice(0, 10);
const KEY_ENDS = `${new Date(NOW_MS + 3_600_000).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
const plain: Exception = { id: 'deploy-excess', rule: 'exceeds-purpose', subject: GRANT.subject, reason: 'until the deploy is cut in two', owner: 'person:ana', from: day(-1), until: day(30) };
const other: Exception = { ...plain, id: 'another', rule: 'lease-too-long' };
const granted = signedBy('exception', plain, { [OLGA]: olga, [SAM]: sam });

describe('a sidecar whose configuration asks one, and whose trust folder another', () => {
  let installation: Installation;
  let sidecar: Sidecar;
  let aheadMs = 0;
  beforeEach(async () => {
    aheadMs = 0;
    installation = await makeInstallation();
    cpSync(join(import.meta.dirname, '../../examples/facts'), join(installation.directory, 'facts'), { recursive: true });
    await installation.write('trust/allowed_signers', `${OLGA} valid-before="${KEY_ENDS}" ${olga.publicLine}\n${SAM} ${sam.publicLine}\n`);
    await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, exceptionGrants: { quorum: 1, approvers: [OLGA] } }));
    write([plain, other]);
    const facts = (kind: string): string => join(installation.directory, 'facts', `${kind}.yaml`);
    const config = { ...(await installation.config()), facts: { inventory: facts('inventory'), catalogue: facts('catalogue'), directory: facts('directory'), exceptions: facts('exceptions') }, exceptionGrants: { quorum: 1, approvers: [SAM] as string[] } };
    sidecar = await startSidecar(config, { clock: { ...systemClock, nowMs: () => Date.now() + aheadMs }, transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  });
  afterEach(async () => {
    await sidecar.close();
    await installation.remove();
  });

  const write = (exceptions: readonly Exception[]): void => writeFileSync(join(installation.directory, 'facts', 'exceptions.yaml'), JSON.stringify({ v: 1, exceptions }));
  const as = (principal: string): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });
  const check = async (): Promise<object | undefined> => (await as(SAM).ready()).checks.find((one) => one.check === 'exceptionGrants');
  const asked = async (key: string): Promise<{ readonly state: string; readonly exceptions: unknown }> => {
    const { state, decision } = await as(GRANT.subject).wait((await as(GRANT.subject).request(EXCESS, { idempotencyKey: key })).id, { until: ({ state }) => state !== 'requested' });
    return { state, exceptions: decision?.exceptions?.map(({ id }) => id) };
  };

  it('lets nothing through by an entry that both have not signed, says which those are, and takes them once they are signed', async () => {
    const both = 'another, granted by nobody where 1 of person:sam must';
    expect(await check()).toEqual({ check: 'exceptionGrants', ok: false, required: false, message: `not in force: deploy-excess, granted by nobody where 1 of person:sam must; ${both}` });
    expect(await asked('one')).toEqual({ state: 'denied', exceptions: undefined });
    write([signedBy('exception', plain, { [SAM]: sam }), other]);
    await sidecar.reload();
    expect(await check()).toMatchObject({ ok: false, message: `not in force: deploy-excess, granted by nobody where 1 of person:olga must; ${both}` });
    expect(await asked('two')).toEqual({ state: 'denied', exceptions: undefined });
    write([granted, other]);
    await sidecar.reload();
    expect(await check()).toMatchObject({ ok: false, message: `not in force: ${both}` });
    expect(await asked('three')).toEqual({ state: 'pending', exceptions: ['deploy-excess'] });
    write([granted]);
    await sidecar.reload();
    expect(await check()).toMatchObject({ ok: true, message: 'no exception waits for people to grant it' });
    await sidecar.log.durable();
    const trust = await loadTrustFolder(join(installation.directory, 'trust'));
    const verification = await verifyEvidence({ disk: nodeDisk(join(installation.directory, 'data')), directory: 'ledger', trust, wholeFolder: true });
    expect(verification.workflow!.violations).toEqual([]);
  });

  it('counts a key by the time of the records, which a clock that was set back takes back none of', async () => {
    write([granted]);
    await sidecar.reload();
    expect(await asked('one')).toEqual({ state: 'pending', exceptions: ['deploy-excess'] });
    aheadMs = 7_200_000;
    expect(await asked('two')).toEqual({ state: 'denied', exceptions: undefined });
    aheadMs = 0;
    expect(await asked('three')).toEqual({ state: 'denied', exceptions: undefined });
  });
});

describe('the facts that are in force', async () => {
  const { value } = await exampleFacts();
  const facts = factsOf({ ...value, exceptions: { v: 1, exceptions: [granted, other] } }, 0);
  const floor = { quorum: 2, approvers: [OLGA, SAM] };
  const open = (asked: Parameters<typeof grantedFacts>[1], { signers = `${OLGA} ${olga.publicLine}\n${SAM} ${sam.publicLine}\n`, of = facts } = {}) => {
    const world = { nowMs: NOW_MS, warned: [] as string[], facts: of };
    const logger = { info: () => undefined, warn: (_fields: object, message: string) => void world.warned.push(message), error: () => undefined };
    const opened = grantedFacts(() => world.facts, asked, { signers: parseAllowedSigners(signers), passkeys: new Map(), logId: null }, () => world.nowMs, logger);
    return { ...opened, world, ids: () => opened.current().exceptions?.exceptions.map(({ id }) => id) };
  };

  it('are the files’ own where nobody is asked, or all of them is granted', () => {
    const nobody = open([undefined, undefined]);
    expect([nobody.current(), nobody.held()]).toEqual([facts, null]);
    const whole = factsOf({ ...value, exceptions: { v: 1, exceptions: [granted] } }, 0);
    const all = open([floor], { of: whole });
    expect(all.current()).toBe(whole);
    expect(all.held()).toEqual([]);
    const none = factsOf(value, 0);
    expect(open([floor], { of: none }).current()).toBe(none);
  });

  it('are the very same until they change, which the log says once; and what goes on record is what is in force', () => {
    const opened = open([floor]);
    const current: Facts = opened.current();
    expect(opened.ids()).toEqual(['deploy-excess']);
    expect(opened.current()).toBe(current);
    expect(current.value.exceptions).toEqual({ v: 1, exceptions: [granted] });
    expect(current.digests.exceptions).not.toBe(facts.digests.exceptions);
    expect(opened.world.warned).toEqual(['facts: another is not in force: granted by nobody where 2 of person:olga, person:sam must']);
    opened.world.facts = factsOf({ ...value, exceptions: { v: 1, exceptions: [other] } }, 0);
    expect(opened.ids()).toEqual([]);
  });

  it('lose what was granted when a key ends, and have it from when one begins', () => {
    const stamp = (atMs: number): string => `${new Date(atMs).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
    const endsMs = Math.ceil(NOW_MS / 1000) * 1000 + 60_000;
    const opened = open([floor], { signers: `${OLGA} valid-after="${stamp(endsMs - 30_000)}",valid-before="${stamp(endsMs)}" ${olga.publicLine}\n${SAM} ${sam.publicLine}\n` });
    const at = (ms: number): readonly string[] | undefined => {
      opened.world.nowMs = ms;
      return opened.ids();
    };
    expect([at(endsMs - 30_001), at(endsMs - 30_000), at(endsMs - 1), at(endsMs), at(endsMs - 1)]).toEqual([[], ['deploy-excess'], ['deploy-excess'], [], ['deploy-excess']]);
  });

  it('are asked after from the floor’s time on', () => {
    const opened = open([{ ...floor, from: new Date(NOW_MS + 1_000).toISOString() }]);
    expect(opened.ids()).toEqual(['deploy-excess', 'another']);
    opened.world.nowMs += 1_000;
    expect(opened.ids()).toEqual(['deploy-excess']);
  });
});
