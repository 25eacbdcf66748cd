/** `countersign restore --new-log` on real files: what it takes over, what it turns away, and that it changes nothing then. */
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatBase64, generateSignerKey, logIdOf, nodeDisk, openLog, readCheckpoint } from '../../ledger/index.ts';
import { newLogKey, NEW_ORIGIN } from '../support/adopted-story.ts';
import { makeInstallation, type Installation } from '../support/installation.ts';
import { GRANT, keys, ORIGIN, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, trustFiles, writeStory } from '../support/story.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let installation: Installation;
let desk: Desk;
const at = (...names: string[]): string => join(installation.directory, ...names);
const restore = (...more: string[]): Promise<Ran> => desk.run('restore', '--config', installation.configPath, ...more);
const adopt = (...more: string[]): Promise<Ran> => restore('--new-log', keys.log.vkey, ...more);
const skey = (name: string, fill: number): string => `${generateSignerKey(name, new Uint8Array(32).fill(fill)).skey}\n`;

/** A lease book that has seen this head of the old log. */
function bookOf(size: number, root: string): string {
  const line = (entries: object[]): string => {
    const json = JSON.stringify(entries);
    return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
  };
  writeFileSync(at('lease-book'), line([{ t: 'opened', v: 1, executor: 'executor:main' }]) + line([{ t: 'head', log: logIdOf(ORIGIN), size, root }]));
  return at('lease-book');
}
const NOWHERE = formatBase64(new Uint8Array(32).fill(9));
const ahead = (): string[] => ['--lease-book', bookOf(9_000, NOWHERE)];
const headOf = (ledger: string): ReturnType<typeof readCheckpoint> => readCheckpoint(readFileSync(at(ledger, 'checkpoint'), 'utf8'));
const trusting = (origins: readonly string[]): Promise<void> =>
  installation.write('trust/sidecars.json', JSON.stringify(origins.map((origin) => ({ origin, key: keys.ticket.vkey }))));

beforeEach(async () => {
  installation = await makeInstallation();
  desk = openDesk();
  const files = trustFiles();
  await installation.write('trust/trust.policy', `log ${keys.log.vkey}\nlog ${newLogKey.vkey}\nquorum none\n`);
  await trusting([ORIGIN, NEW_ORIGIN]);
  await installation.write('trust/executors.json', files['executors.json']);
  await installation.write('trust/requirements.json', files['requirements.json']);
  await installation.write('log.key', skey(NEW_ORIGIN, 11));
  await installation.write('ticket.key', skey(`${ORIGIN}/ticket`, 2));
  const config = readFileSync(installation.configPath, 'utf8').replace(/^origin: .*$/m, `origin: ${NEW_ORIGIN}`);
  writeFileSync(installation.configPath, config);
  const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
  const pending = toldUntilDecided(GRANT, START_MS + 300_000);
  await writeStory(at('old'), [...active.beats, ...pending.beats]);
  cpSync(at('old/ledger'), at('backup'), { recursive: true });
});
afterEach(async () => {
  desk.remove();
  await installation.remove();
});

describe('with a copy that is behind', () => {
  it('begins a new log that adopts what was open, and that verifies under both keys', async () => {
    writeFileSync(at('old.vkey'), `${keys.log.vkey}\n`);
    mkdirSync(at('data/.adopt/new'), { recursive: true });
    const ran = await restore('--new-log', at('old.vkey'), '--from', at('backup'), ...ahead());
    expect(ran, ran.stderr).toMatchObject({ exit: 0 });
    const { size, root } = headOf('backup');
    expect(ran.stdout).toBe([
      `${NEW_ORIGIN} goes on for ${ORIGIN}, from its ${size} records in ${at('backup')}; root ${formatBase64(root)}`, 'adopted 2 changes with 18 records, and 0 locks',
      `lost ${9_000 - size} records that ${at('lease-book')} has seen`, '',
    ].join('\n'));
    const verified = await desk.run('verify', at('data/ledger'), '--trust', at('trust'), '--as-of', '2026-11-23T19:10:00.000Z');
    expect(verified, verified.stdout).toMatchObject({ exit: 0 });
    expect(verified.stdout).toContain('that every change which was open after');
    const judged = ['verify', at('data/ledger'), '--trust', at('trust'), '--as-of', '2026-11-23T19:10:00.000Z', '--old-ledger'];
    const whole = await desk.run(...judged, at('old'));
    expect(whole, whole.stdout).toMatchObject({ exit: 0, stdout: expect.not.stringContaining('that every change which was open after') as string });
    expect(await desk.run(...judged, at('data/ledger'))).toMatchObject({ exit: 3, stdout: expect.stringContaining(`the old ledger: COMPLETENESS: the pinned checkpoint is of ${ORIGIN}`) as string });
    expect(await desk.run(...judged, at('nowhere'))).toMatchObject({ exit: 4 });
    expect(readdirSync(at('data')).sort()).toEqual(['journal', 'ledger']);

    const again = await adopt('--from', at('backup'), ...ahead());
    expect(again).toMatchObject({ exit: 2, stderr: `error (already-there): there is a ledger of ${NEW_ORIGIN} already: it is neither replaced nor added to\nNothing was changed.\nnext: name another place as data, or move what is there away\n` });
  });

  it('begins anew where it was cut off, with the journal in its place and nothing else', async () => {
    cpSync(at('old'), at('data'), { recursive: true });
    expect(await adopt(...ahead())).toMatchObject({ exit: 0 });
    const aside = readdirSync(at('data')).find((name) => name.startsWith('ledger.before-new-log-'))!;
    rmSync(at('data/ledger'), { recursive: true });
    const ran = await adopt('--json', '--from', at('data', aside), ...ahead());
    expect(JSON.parse(ran.stdout), ran.stderr).toMatchObject({ changes: 2, records: 18 });
  });

  it('says so in JSON', async () => {
    const { size, root } = headOf('backup');
    const ran = await adopt('--json', '--from', at('backup'), ...ahead());
    expect(JSON.parse(ran.stdout)).toEqual({
      origin: NEW_ORIGIN, adopted: { origin: ORIGIN, size, root: formatBase64(root), source: at('backup'), ahead: [{ by: at('lease-book'), size: 9_000 }] },
      changes: 2, records: 18, locks: 0, kept: [],
    });
  });

  it('adopts from what is in the place itself, and keeps that', async () => {
    cpSync(at('old'), at('data'), { recursive: true });
    const ran = await adopt('--json', ...ahead());
    expect(ran, ran.stderr).toMatchObject({ exit: 0 });
    const { adopted, kept } = JSON.parse(ran.stdout) as { adopted: { source: string }; kept: string[] };
    expect(adopted.source).toBe('the ledger here');
    expect(kept.map((path) => path.replace(/\d+$/, ''))).toEqual([at('data/journal.before-new-log-'), at('data/ledger.before-new-log-')]);
    expect(headOf('data/ledger').origin).toBe(NEW_ORIGIN);
  });

  it('passes over a copy that is damaged, and knows that it had more', async () => {
    cpSync(at('backup'), at('longer'), { recursive: true });
    rmSync(at('backup'), { recursive: true });
    await writeStory(at('shorter'), toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats);
    truncateSync(at('longer/objects/0'), 100);
    const alone = await adopt('--from', at('longer'), ...ahead());
    expect(alone).toMatchObject({ exit: 4, stderr: expect.stringContaining('error (') as string });
    expect(existsSync(at('data/ledger'))).toBe(false);
    // Another history: that of the shorter copy is not the beginning of the longer one.
    const ran = await adopt('--json', '--from', at('longer'), at('shorter/ledger'));
    expect(ran, ran.stderr).toMatchObject({ exit: 0 });
    const said = JSON.parse(ran.stdout) as { adopted: { source: string; ahead: unknown[] } };
    expect(said.adopted).toMatchObject({ source: at('shorter/ledger'), ahead: [{ by: at('longer'), size: headOf('longer').size }] });
  });
});

describe('turns away, and changes nothing,', () => {
  const refused = async (ran: Ran, exit: number, text: string): Promise<void> => {
    expect(ran, ran.stdout).toMatchObject({ exit, stderr: expect.stringContaining(text) as string });
    expect(ran.stderr).toContain('Nothing was changed.');
    expect(existsSync(at('data/ledger'))).toBe(false);
  };

  it('a log that can be restored, unless its key is lost', async () => {
    const { size } = headOf('backup');
    await refused(await adopt('--from', at('backup')), 2, `error (whole): ${at('backup')} has all ${size} records of ${ORIGIN} that anybody is known to have seen`);
    expect(await adopt('--key-lost', '--from', at('backup'))).toMatchObject({ exit: 0, stdout: expect.not.stringContaining('lost ') as string });
  });

  it('the old origin, and the old key', async () => {
    await installation.write('log.key', skey(NEW_ORIGIN, 1));
    await refused(await adopt('--from', at('backup'), ...ahead()), 2, 'error (same-log): ');
    await installation.write('log.key', skey(ORIGIN, 12));
    await refused(await adopt('--from', at('backup'), ...ahead()), 2, `error (bad-key): ${at('log.key')} is the key of ${ORIGIN}, not of ${NEW_ORIGIN}`);
  });

  it('a history that is not the one that was seen, or was signed', async () => {
    await refused(await adopt('--from', at('backup'), '--lease-book', bookOf(3, NOWHERE)), 1, 'error (forked): two histories of one log: the first 3 records');
    const other = generateSignerKey(ORIGIN, new Uint8Array(32).fill(13)).vkey;
    await refused(await restore('--new-log', other, '--from', at('backup'), ...ahead()), 4, `error (untrusted): ${at('backup')}: signed by none of the known keys`);
  });

  it('no copy at all, or no copy where one was named', async () => {
    await refused(await adopt(...ahead()), 4, 'error (not-found): there is no copy of the old log to adopt from');
    await refused(await adopt('--from', at('trust'), ...ahead()), 4, 'holds no checkpoint');
  });

  it('a ticket key that is not listed under both logs', async () => {
    await trusting([NEW_ORIGIN]);
    await refused(await adopt('--from', at('backup'), ...ahead()), 2, `error (untrusted-sidecar): ${at('trust')}/sidecars.json does not list the ticket key under ${ORIGIN}`);
    await trusting([ORIGIN]);
    await refused(await adopt('--from', at('backup'), ...ahead()), 2, `does not list the ticket key under ${NEW_ORIGIN}`);
    appendFileSync(at('trust/trust.policy'), 'nonsense\n');
    await refused(await adopt('--from', at('backup'), ...ahead()), 3, 'error (no-trust): ');
  });

  it('what is no key, and a flag out of place', async () => {
    await refused(await restore('--new-log', 'nonsense', '--from', at('backup')), 2, '--new-log takes the verifier key of the old log, or a file that holds it');
    await refused(await restore('--key-lost', '--from', at('backup')), 2, '--key-lost is for --new-log only');
    await installation.write('ticket.key', 'PRIVATE+KEY+hush\n');
    const ran = await adopt('--from', at('backup'), ...ahead());
    await refused(ran, 4, 'holds no signed-note key');
    expect(ran.stderr).not.toContain('hush');
  });

  it('a place where a sidecar runs', async () => {
    const held = await openLog({ origin: NEW_ORIGIN, disk: nodeDisk(at('data')), directory: 'elsewhere', journal: 'journal', signer: newLogKey, now: () => START_MS });
    await refused(await adopt('--from', at('backup'), ...ahead()), 4, 'error (locked): ');
    await held.close();
  });
});
