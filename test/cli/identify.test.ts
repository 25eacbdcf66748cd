import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { fingerprintOf } from '../../src/protocol/fingerprint.ts';
import { EXECUTOR, GRANT, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, writeStory, type Telling } from '../support/story.ts';
import { acted, ROTATE, toldUntilActed, toldUntilAuthorised, toldUntilClaimed, toldUntilPlanned, toldUntilVerified } from '../support/step-stories.ts';
import { openDesk, type Desk } from '../support/world.ts';

const SECRET = 'correct horse battery staple';
const KEY = Buffer.alloc(32, 9);
let desk: Desk;
let changeId: string;
const stdin = (text: string): Desk => desk.with({ cwd: join(desk.directory, 'i'), readStdin: () => Promise.resolve(Buffer.from(text)) });

/** A rotation in place: the new secret stands. */
function standing(fingerprint: string): Telling {
  const telling = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(ROTATE, START_MS + 2_000_000, { overlap: 'none' })));
  return toldUntilVerified(toldUntilActed(telling, { seal: { ...acted(telling).content.seal!, fingerprint } }));
}

beforeAll(async () => {
  desk = openDesk();
  const folder = join(desk.directory, 'i');
  for (const name of ['keys', 'facts']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'keys', 'fingerprint.key'), `${KEY.toString('base64')}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'facts', 'inventory.yaml'), `v: 1\nnhis: [{id: '${PROVISION.subject}', owner: 'person:ana'}]\n`);
  writeFileSync(join(folder, 'countersign.yaml'), `data: .\nfacts: {inventory: facts/inventory.yaml}\nexecutors: [{id: '${EXECUTOR}', socket: s, connectors: [pg-main]}]\n`);
  const fingerprint = fingerprintOf(KEY, SECRET);
  const provision = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)), fingerprint);
  changeId = provision.changeId;
  const other = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 1_000_000)));
  await writeStory(folder, [...provision.beats, ...other.beats, ...standing(fingerprintOf(KEY, 'standing')).beats]);
});
afterAll(() => desk.remove());

describe('identify', () => {
  it.each([SECRET, `${SECRET}\n`, `${SECRET}\r\n`])('names whose secret is on standard input, and never the secret', async (text) => {
    const { exit, stdout, stderr } = await stdin(text).run('identify', '--json');
    expect(exit, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ fingerprint: fingerprintOf(KEY, SECRET), credentials: [{ changeId, subject: PROVISION.subject, owner: 'person:ana', account: 'billing_export_1', endedBy: null, opens: [{ changeId }] }] });
    expect(stdout + stderr).not.toContain(SECRET);
  });

  it('knows a credential in a document of more, as it was delivered', async () => {
    const document = JSON.stringify({ username: 'v-report-1', password: SECRET, port: 5432 });
    const { exit, stdout } = await stdin(document).run('identify', '--json');
    expect([exit, (JSON.parse(stdout) as { fingerprint: string }).fingerprint]).toEqual([0, fingerprintOf(KEY, SECRET)]);
    const only = await stdin(document).run('identify', '--only-fingerprint');
    expect(only.stdout.trim().split('\n')).toEqual([document, 'v-report-1', SECRET].map((one) => fingerprintOf(KEY, one)));
    expect((await stdin('').run('identify', '--fingerprint', only.stdout)).exit).toBe(0);
    expect((await stdin('{"username": "v-report-1"}').run('identify')).exit).toBe(1);
  });

  it('takes a fingerprint in its place', async () => {
    const { stdout } = await stdin(SECRET).run('identify', '--only-fingerprint');
    expect(stdout).toBe(`${fingerprintOf(KEY, SECRET)}\n`);
    expect((await stdin('').run('identify', '--fingerprint', stdout.trim())).exit).toBe(0);
  });

  it.each<[string, string, string[], number, string]>([
    ['nothing', '', [], 2, 'usage'],
    ['a secret that nobody has', 'hunter2 hunter2', [], 1, 'not-found'],
    ['a secret with white space about it', ` ${SECRET}`, [], 1, 'not-found'],
    ['far too much', 'x'.repeat(70_000), [], 2, 'usage'],
    ['a fingerprint that is none', '', ['--fingerprint', 'abc'], 2, 'usage'],
    ['no ledger', SECRET, ['--ledger', 'nowhere'], 4, 'no-ledger'],
    ['a key that is not there', SECRET, ['--fingerprint-key', 'nowhere'], 4, 'no-such-file'],
    ['a key that is none', SECRET, ['--fingerprint-key', 'countersign.yaml'], 4, 'too-open'],
  ])('%s is answered as such', async (_what, text, args, exit, code) => {
    const ran = await stdin(text).run('identify', ...args);
    expect([ran.exit, ran.stderr], ran.stderr).toEqual([exit, expect.stringContaining(`(${code})`)]);
    if (text !== '') expect(ran.stdout + ran.stderr).not.toContain(text.trim());
  });

  it('takes no secret as an argument', async () => {
    expect((await stdin('').run('identify', SECRET)).exit).toBe(2);
  });
});

describe('revoke --credential', () => {
  it('signs the order of what it opens', async () => {
    const revoker = join(desk.directory, 'revoker.key');
    writeFileSync(revoker, `${generateSignerKey('person:sam', new Uint8Array(32).fill(5)).skey}\n`, { mode: 0o600 });
    const { exit, stdout, stderr } = await stdin(SECRET).run('revoke', '--credential', '--now', '--write', '../order.dsse', '--key', revoker);
    expect([exit, stdout], stderr).toEqual([0, `${changeId} ordered back from ${EXECUTOR}, in ${join(desk.directory, 'order.dsse')}\n`]);
    expect(stderr).toContain(PROVISION.subject);
    expect(stdout + stderr).not.toContain(SECRET);
  });

  it('says what to do about what no order ends, and that it is not done', async () => {
    const { exit, stderr } = await stdin('standing').run('revoke', '--credential');
    expect(exit).toBe(5);
    expect(stderr).toMatch(/NOT taken back: orders at pg-main \/ app stands[^]*countersign lock set --nhi nhi:prod\/orders-api[^]*--kind rotate[^]*--kind disable/);
  });

  it('says so to programs as well', async () => {
    const { exit, stdout } = await stdin('standing').run('revoke', '--credential', '--json');
    expect([exit, JSON.parse(stdout)]).toMatchObject([5, { revokes: [], standing: [{ connector: 'pg-main', target: 'app', account: 'orders' }] }]);
  });

  it.each([['--change', 'chg_x'], ['--nhi', 'nhi:a/b'], ['--order', 'file']])('is not given with %s', async (...args) => {
    expect((await stdin(SECRET).run('revoke', '--credential', '--now', ...args)).exit).toBe(2);
  });
});
