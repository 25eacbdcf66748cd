/** Policy bundles that people must let come into force: fetched and from a folder, through restarts, and held to the auditor's own floor. */
import { generateKeyPairSync } from 'node:crypto';
import { cpSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeDisk, type LedgerRecord } from '../../ledger/index.ts';
import { opaFilesOf, packFiles } from '../../src/cli/policy-pack.ts';
import { connect, type Client } from '../../src/client/index.ts';
import type { Config } from '../../src/config/schema.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { signFiles, type SigningKey } from '../../src/pdp/opa-signature.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';
import { problemOfCall } from '../support/proposals.ts';
import { openDesk } from '../support/world.ts';

const BUNDLE = join(import.meta.dirname, '../../policy/bundle');
const [ANA, WEI, SAM] = ['person:ana', 'person:wei', 'person:sam'] as const;
const TWO = { quorum: 2, approvers: [ANA, WEI] as string[], proofClass: 'session' as const };
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signing: SigningKey = { algorithm: 'ES256', key: pair.privateKey, scope: null, id: null };
const { digest } = await readBundle(BUNDLE);

async function archive(revision: string, limit?: number): Promise<Uint8Array> {
  const files = new Map(await opaFilesOf(BUNDLE, revision, signing));
  files.delete('.signatures.json');
  if (limit !== undefined) {
    const data = JSON.parse(Buffer.from(files.get('data.json')!).toString()) as { limits: object };
    files.set('data.json', Buffer.from(JSON.stringify({ ...data, limits: { ...data.limits, ofThisBundle: limit } })));
  }
  files.set('.signatures.json', signFiles(files, signing));
  return packFiles(files);
}

let installation: Installation;
let server: Server;
let offered: Uint8Array | null;
/** Of what is offered; null where the server says none. */
let etag: string | null;
const running: Sidecar[] = [];

beforeEach(async () => {
  installation = await makeInstallation();
  offered = null;
  etag = null;
  server = createServer((request, response) => {
    if (offered === null) response.writeHead(404);
    if (etag !== null) response.setHeader('etag', etag);
    if (etag !== null && request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.end(offered);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await installation.write('policy.pem', pair.publicKey.export({ type: 'spki', format: 'pem' }) as string);
});
afterEach(async () => {
  await stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await installation.remove();
});
async function stop(): Promise<void> {
  for (const sidecar of running.splice(0)) await sidecar.close();
}

async function begin(more: Partial<Config>): Promise<Sidecar> {
  const sidecar = await startSidecar({ ...(await installation.config()), ...more }, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  running.push(sidecar);
  await sidecar.reload();
  return sidecar;
}
/** Fetching, with the first look over. */
function fetching(policyActivation: Config['policyActivation'] | null = TWO, more: Partial<Config> = {}): Promise<Sidecar> {
  const keys = [{ file: join(installation.directory, 'policy.pem'), algorithm: 'ES256' as const }];
  return begin({ ...(policyActivation === null ? {} : { policyActivation }), policySource: { keys, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/b`, everySeconds: 3_600, timeoutSeconds: 10 }, ...more });
}
const as = (sidecar: Sidecar, principal: string): Client => connect({ socket: sidecar.socket!, token: TOKENS[principal]! });
const check = async (sidecar: Sidecar, name: string): Promise<{ ok: boolean; message: string }> => (await as(sidecar, ANA).ready()).checks.find((one) => one.check === name)!;
async function say(sidecar: Sidecar, by: string, verdict: 'approve' | 'reject' = 'approve'): Promise<string> {
  const { proposed } = await as(sidecar, by).proposedPolicy();
  return (await as(sidecar, by).decideProposedPolicy({ proposalId: proposed!.proposalId, bundle: proposed!.bundle, verdict, ...(verdict === 'reject' ? { reason: 'too loose' } : {}) })).outcome;
}
async function recorded(sidecar: Sidecar): Promise<string[]> {
  await sidecar.log.durable();
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) if (record.type.startsWith('bundle.') || record.type.startsWith('proposal.')) found.push(record);
  return found.map(({ type, v, actor, body }) => `${type} ${v} ${actor.startsWith('person') ? actor : (body['revision'] as string | undefined) ?? (body['bundle'] === null ? 'none' : 'a folder')}`);
}
/** What an auditor finds whose own floor is `floor`. */
async function violations(floor: object | null): Promise<readonly string[]> {
  await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, ...(floor === null ? {} : { policyActivation: floor }) }));
  const { workflow, verdicts } = await verifyEvidence({ disk: nodeDisk(join(installation.directory, 'data')), directory: 'ledger', trust: await loadTrustFolder(join(installation.directory, 'trust')), wholeFolder: true });
  const codes = workflow!.violations.map(({ code }) => code);
  expect(verdicts.find(({ name }) => name === 'WORKFLOW')?.status).toBe(codes.length === 0 ? 'holds' : 'fails');
  return codes;
}

it('what is fetched waits, and comes into force once the last of those who must have approved it; the record names them', async () => {
  offered = await archive('17');
  const sidecar = await fetching();
  expect(await check(sidecar, 'policySource')).toEqual({ check: 'policySource', required: false, ok: true, message: expect.stringMatching(/^no bundle is in force; revision 17 waits for approval as prp_\w{26}: approved by nobody where 2 of person:ana, person:wei must$/) as string });
  expect(await check(sidecar, 'policy')).toEqual({ check: 'policy', required: true, ok: false, message: expect.stringContaining('revision 17 waits for approval') as string });
  expect((await as(sidecar, 'nhi:prod/ci-deployer').request(GRANT, { waitSeconds: 20 })).state).toBe('denied');
  expect(await as(sidecar, SAM).proposedPolicy()).toMatchObject({ proposed: { bundle: digest, revision: '17', outcome: 'waiting', files: [{ before: null }, { before: null }] }, before: null, asked: [TWO] });

  expect(await say(sidecar, ANA)).toBe('waiting');
  expect(await say(sidecar, ANA)).toBe('waiting');
  await sidecar.reload();
  expect(await say(sidecar, WEI)).toBe('activated');
  expect(await check(sidecar, 'policySource')).toMatchObject({ ok: true, message: 'revision 17 is in force' });
  const change = await as(sidecar, 'nhi:prod/ci-deployer').request({ ...GRANT, reason: 'again' }, { waitSeconds: 20 });
  expect(change.state).toBe('pending');

  offered = await archive('18', 1);
  await sidecar.reload();
  expect(await check(sidecar, 'policySource')).toEqual({ check: 'policySource', required: false, ok: true, message: expect.stringMatching(/^revision 17 is in force; revision 18 waits for approval/) as string });
  const { proposed, before } = await as(sidecar, ANA).proposedPolicy();
  expect(before).toEqual({ bundle: digest, revision: '17' });
  expect(proposed!.files.map((file) => [file.path, file.before === file.digest])).toEqual([['data.json', false], ['policy.wasm', true]]);
  expect(await recorded(sidecar)).toEqual(['bundle.activated 2 none', 'bundle.proposed 1 17', 'proposal.approved 1 person:ana', 'proposal.approved 1 person:wei', 'bundle.activated 4 17', 'bundle.proposed 1 18']);
  await stop();
  expect(await violations(TWO)).toEqual([]);
  expect(await violations({ ...TWO, approvers: [SAM, WEI] })).toEqual(['activation-unapproved']);
  expect(await violations(null)).toEqual([]);
});

it('one that is rejected is on record and is not proposed again; the one before stays, and a later one may follow', async () => {
  offered = await archive('17');
  const sidecar = await fetching();
  await say(sidecar, ANA);
  await say(sidecar, WEI);
  offered = await archive('18', 1);
  await sidecar.reload();
  expect(await say(sidecar, ANA)).toBe('waiting');
  expect(await say(sidecar, WEI, 'reject')).toBe('rejected');
  await sidecar.reload();
  const before = await recorded(sidecar);
  expect(before.at(-1)).toBe('proposal.rejected 1 person:wei');
  expect(await check(sidecar, 'policySource')).toMatchObject({ message: 'revision 17 is in force; revision 18 was rejected by person:wei' });
  expect(await problemOfCall(say(sidecar, ANA))).toBe('rejected');
  offered = await archive('18', 2);
  await sidecar.reload();
  expect(await check(sidecar, 'policySource')).toMatchObject({ message: 'revision 17 is in force; revision 18 is another bundle than 18 was, which was rejected' });
  expect(await recorded(sidecar)).toEqual(before);
  offered = await archive('19', 2);
  await sidecar.reload();
  await say(sidecar, ANA);
  expect(await say(sidecar, WEI)).toBe('activated');
  await stop();
  expect(await violations(TWO)).toEqual([]);
});

it('one that people have let while the disk would not take it comes into force once it does', async () => {
  offered = await archive('17');
  etag = '"17"';
  const sidecar = await fetching();
  await say(sidecar, ANA);
  await installation.write('data/policy', 'a file where a folder is due');
  await say(sidecar, WEI);
  expect(await check(sidecar, 'policySource')).toEqual({ check: 'policySource', required: false, ok: false, message: 'no bundle is in force; it could not be kept or recorded' });
  await rm(join(installation.directory, 'data/policy'));
  await sidecar.reload();
  expect(await check(sidecar, 'policySource')).toMatchObject({ ok: true, message: 'revision 17 is in force' });
  expect((await recorded(sidecar)).at(-1)).toBe('bundle.activated 4 17');
  await stop();
  expect(await violations(TWO)).toEqual([]);
});

it('who is not asked decides nothing, nor anybody on another bundle than is proposed', async () => {
  offered = await archive('17');
  const sidecar = await fetching();
  const { proposalId } = (await as(sidecar, ANA).proposedPolicy()).proposed!;
  const decide = (by: string, edit: object): Promise<unknown> => problemOfCall(as(sidecar, by).decideProposedPolicy({ proposalId, bundle: digest, verdict: 'approve', ...edit }));
  const before = await recorded(sidecar);
  expect(await decide(SAM, {})).toBe('not-an-approver');
  expect(await decide('nhi:prod/ci-deployer', {})).toBe('nhi-cannot-approve');
  expect(await decide(ANA, { bundle: `sha256:${'0'.repeat(64)}` })).toBe('held-changed');
  expect(await decide(ANA, { proposalId: `prp_${'0'.repeat(26)}` })).toBe('no-such-proposal');
  expect(await decide(ANA, { verdict: 'reject' })).toBe('invalid-request');
  expect(await recorded(sidecar)).toEqual(before);
});

it('what was approved is still so after a restart, and what waited still waits', async () => {
  offered = await archive('17');
  await say(await fetching(), ANA);
  await stop();
  let sidecar = await fetching();
  expect(await recorded(sidecar)).toEqual(['bundle.activated 2 none', 'bundle.proposed 1 17', 'proposal.approved 1 person:ana']);
  expect(await say(sidecar, WEI)).toBe('activated');
  await stop();
  sidecar = await fetching();
  expect(await check(sidecar, 'policySource')).toMatchObject({ message: 'revision 17 is in force' });
  expect((await recorded(sidecar)).length).toBe(5);
});

it('a bundle that was kept and that nobody has let is not in force at a start, and waits; what was given is taken back all the same', async () => {
  offered = await archive('17');
  let sidecar = await fetching(null);
  const change = await as(sidecar, 'nhi:prod/ci-deployer').request(GRANT, { waitSeconds: 20 });
  await as(sidecar, WEI).approve(change.id, change.planDigest!);
  await as(sidecar, 'nhi:prod/ci-deployer').wait(change.id, { until: ({ state }) => state === 'active' });
  await stop();
  sidecar = await fetching();
  expect((await as(sidecar, ANA).ready()).ready).toBe(false);
  expect((await recorded(sidecar)).at(-2)).toMatch(/^bundle\.proposed/);
  expect((await as(sidecar, WEI).revoke(change.id, 'enough')).recorded).toBe(true);
  expect((await as(sidecar, 'nhi:prod/ci-deployer').wait(change.id, { until: ({ state }) => state === 'revoked' })).state).toBe('revoked');
  await say(sidecar, WEI);
  expect(await say(sidecar, ANA)).toBe('activated');
});

it('the bundle of a folder waits as well; the floor of the sidecar’s own trust folder is asked beside its configuration', async () => {
  const folder = join(installation.directory, 'policy');
  cpSync(BUNDLE, folder, { recursive: true });
  await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, policyActivation: { quorum: 1, approvers: [SAM] } }));
  const policyActivation = { ...TWO, quorum: 1 };
  let sidecar = await begin({ policy: folder, policyActivation });
  expect(await check(sidecar, 'policy')).toEqual({ check: 'policy', required: true, ok: false, message: expect.stringContaining(`${digest} waits for approval`) as string });
  expect(await say(sidecar, ANA)).toBe('waiting');
  expect(await say(sidecar, SAM)).toBe('activated');
  expect((await as(sidecar, ANA).ready()).ready).toBe(true);
  await stop();
  sidecar = await begin({ policy: folder, policyActivation });
  expect((await as(sidecar, ANA).ready()).ready).toBe(true);
  expect(await recorded(sidecar)).toEqual(['bundle.proposed 1 a folder', 'bundle.activated 2 none', 'proposal.approved 1 person:ana', 'proposal.approved 1 person:sam', 'bundle.activated 4 a folder']);
  await stop();

  await rm(join(folder, 'policy.wasm'));
  sidecar = await begin({ policy: folder, policyActivation });
  expect((await as(sidecar, ANA).ready()).ready).toBe(false);
  await stop();
  cpSync(BUNDLE, folder, { recursive: true });
  sidecar = await begin({ policy: folder, policyActivation });
  expect((await as(sidecar, ANA).ready()).ready).toBe(true);
  await stop();
  expect(await violations({ quorum: 2, approvers: [ANA, SAM] })).toEqual([]);
});

it('the command line shows what waits, and decides on exactly the bundle that is named', async () => {
  offered = await archive('17');
  const sidecar = await fetching();
  const desk = openDesk();
  const run = (by: string, ...args: string[]): ReturnType<typeof desk.run> => desk.with({ env: { COUNTERSIGN_TOKEN: TOKENS[by]!, COUNTERSIGN_SOCKET: sidecar.socket! } }).run('policy', ...args);
  const shown = await run(SAM, 'proposed');
  expect(shown.exit).toBe(5);
  expect(shown.stdout).toMatch(new RegExp(`^prp_\\w{26} is waiting\nbundle ${digest}, revision 17, proposed \\S+, signed by nobody\n`));
  expect(shown.stdout).toContain('asked: 2 of person:ana, person:wei (session)');
  expect((await run(ANA, 'approve', `sha256:${'0'.repeat(64)}`)).exit).toBe(1);
  expect((await run(ANA, 'approve', digest)).stdout).toBe(`approved ${digest}\nit waits for others\n`);
  expect((await run(WEI, 'approve', digest)).stdout).toBe(`approved ${digest}\nit has come into force\n`);
  expect((await run(SAM, 'proposed')).exit).toBe(0);
  desk.remove();
});

it('two ids of one person are one approval: the bundle waits for somebody else', async () => {
  const { facts } = await installation.config();
  const linked = (await readFile(facts.directory, 'utf8')).replace('name: Wei Lin, active: true, linked: []', 'name: Wei Lin, active: true, linked: [person:ana]');
  expect(linked).toContain('linked: [person:ana]');
  await installation.write('directory.yaml', linked);
  offered = await archive('17');
  const sidecar = await fetching({ ...TWO, approvers: [ANA, WEI, SAM] }, { facts: { ...facts, directory: join(installation.directory, 'directory.yaml') } });
  expect(await say(sidecar, ANA)).toBe('waiting');
  expect(await problemOfCall(say(sidecar, WEI))).toBe('already-decided');
  expect(await say(sidecar, ANA)).toBe('waiting');
  expect((await recorded(sidecar)).filter((one) => one.startsWith('proposal.approved'))).toHaveLength(1);
  // Saying no is nobody's second word.
  expect(await say(sidecar, WEI, 'reject')).toBe('rejected');
});
