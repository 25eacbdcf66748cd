/** `countersign restore` without a bus: what it says, and what it leaves alone. `test/e2e/restore.test.ts` has it with one. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { addCheckpoint, formatBase64, logIdOf, nodeDisk, openLog, parseSigner, parseVerifier, type RecordDraft } from '../../ledger/index.ts';
import { makeInstallation, type Installation } from '../support/installation.ts';
import { post } from '../support/witness.ts';
import { startTestWitness } from '../support/witnesses.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const ORIGIN = 'installation.example/ledger';
let installation: Installation;
let desk: Desk;
const at = (...names: string[]): string => join(installation.directory, ...names);
const restore = (...more: string[]): Promise<Ran> => desk.run('restore', '--config', installation.configPath, ...more);
const draft = (i: number): RecordDraft => ({ v: 1, change: null, type: 'bundle.activated', at: new Date(Date.UTC(2026, 0, 1) + i).toISOString(), actor: 'sidecar:test', body: { bundle: null, i }, objects: [] });

/** A ledger of so many records below `data`; resolves with its root at each size. */
async function write(data: string, from: number, to: number): Promise<string[]> {
  const signer = parseSigner(readFileSync(at('log.key'), 'utf8').trim());
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(at(data)), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
  for (let i = from; i < to; i += 1) await log.append([draft(i)], { checkpoint: true }).durable;
  const roots = Array.from({ length: log.size + 1 }, (_, size) => formatBase64(log.root(size)));
  await log.close();
  return roots;
}

/** A lease book that has seen this head of the log. */
function bookOf(size: number, root: string): string {
  const line = (entries: object[]): string => {
    const json = JSON.stringify(entries);
    return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
  };
  writeFileSync(at('lease-book'), line([{ t: 'opened', v: 1, executor: 'executor:pg-1' }]) + line([{ t: 'head', log: logIdOf(ORIGIN), size, root }]));
  return at('lease-book');
}

beforeEach(async () => {
  installation = await makeInstallation();
  desk = openDesk();
});
afterEach(async () => {
  desk.remove();
  await installation.remove();
});

it('makes a ledger again from a copy of its directory, and says so', async () => {
  const roots = await write('data', 0, 5);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  rmSync(at('data'), { recursive: true });
  const ran = await restore('--json', '--from', at('backup'));
  expect(ran, ran.stderr).toMatchObject({ exit: 0 });
  expect(JSON.parse(ran.stdout)).toEqual({ restored: true, had: 0, size: 5, root: roots[5], source: at('backup'), kept: [] });
  expect((await restore('--from', at('backup'))).stdout).toBe(`nothing is missing: the ledger has 6 records, and ${at('backup')} no more\n`);
});

it('restores a journal that was cut short, and keeps what there was', async () => {
  await write('data', 0, 5);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  const [journal] = readdirSync(at('data/journal')).filter((name) => name.endsWith('.journal'));
  truncateSync(at('data/journal', journal!), 300);
  const ran = await restore('--from', at('backup'));
  expect(ran.stdout).toMatch(/^restored 5 records from \S+, 0 of which were still there; root \S+\nkept \S+\nkept \S+\n$/);
  const kept = readdirSync(at('data')).filter((name) => name.startsWith('journal.before-restore'));
  expect(readFileSync(at('data', kept[0]!, journal!))).toHaveLength(300);
});

it.each(['ledger', 'journal'])('goes on where a restore was cut off: %s is not in its place yet', async (part) => {
  const roots = await write('data', 0, 5);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  rmSync(at('data', part), { recursive: true });
  const ran = await restore('--json', '--from', at('backup'));
  expect(ran, ran.stderr).toMatchObject({ exit: 0 });
  expect(JSON.parse(ran.stdout)).toMatchObject({ size: 5, root: roots[5] });
  expect((await restore('--json', '--from', at('backup'))).exit).toBe(0);
  expect(readdirSync(at('data'))).toEqual(expect.arrayContaining(['ledger', 'journal']));
});

it('holds a copy to what executors have seen', async () => {
  const roots = await write('data', 0, 5);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  rmSync(at('data'), { recursive: true });
  const short = await restore('--from', at('backup'), '--lease-book', bookOf(6, roots[3]!));
  expect(short).toMatchObject({ exit: 4 });
  expect(short.stderr).toBe(`error (rolled-back): ${at('lease-book')} has seen 6 records, and ${at('backup')} has 5: record 5 is the first that is gone\nNothing was changed.\nnext: find a copy that has more, and give it with --from; where there is none, go on with a new log:  countersign restore --new-log OLD-VKEY\n`);
  const other = await restore('--from', at('backup'), '--lease-book', bookOf(3, roots[2]!));
  expect(other).toMatchObject({ exit: 1 });
  expect(other.stderr).toContain(`error (forked): two histories of one log: the first 3 records have root ${roots[3]!} in ${at('backup')}, and ${roots[2]!} by ${at('lease-book')}`);
  expect(existsSync(at('data/ledger'))).toBe(false);
  expect(await restore('--from', at('backup'), '--lease-book', bookOf(3, roots[3]!))).toMatchObject({ exit: 0 });
});

it('replaces no ledger that is longer, or another', async () => {
  await write('data', 0, 5);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  await write('data', 5, 7);
  expect((await restore('--from', at('backup'))).stdout).toContain('nothing is missing: the ledger has 7 records');
  rmSync(at('data'), { recursive: true });
  await write('data', 10, 13);
  const before = readFileSync(at('data/ledger/checkpoint'), 'utf8');
  const ran = await restore('--from', at('backup'));
  expect(ran).toMatchObject({ exit: 1 });
  expect(ran.stderr).toContain('error (forked)');
  expect(readFileSync(at('data/ledger/checkpoint'), 'utf8')).toBe(before);
  expect(readdirSync(at('data')).sort()).toEqual(['.tmp', 'journal', 'ledger']);
});

it('says what it needs', async () => {
  expect(await restore()).toMatchObject({ exit: 4, stderr: expect.stringContaining('neither the bus nor --from has a copy of this ledger') as string });
  expect(await restore('--from', at('trust'))).toMatchObject({ exit: 4, stderr: expect.stringContaining('holds no checkpoint') as string });
  expect(await restore('--from', at('trust'), '--lease-book', at('nowhere'))).toMatchObject({ exit: 4 });
  await write('data', 0, 3);
  cpSync(at('data/ledger'), at('backup'), { recursive: true });
  expect(await restore('--from', at('backup'), '--lease-book', at('log.key'))).toMatchObject({ exit: 2, stderr: expect.stringContaining('this is no lease book') as string });
  await installation.write('log.key', 'PRIVATE+KEY+hush\n');
  const ran = await restore('--from', at('trust'));
  expect(ran).toMatchObject({ exit: 4, stderr: expect.stringContaining('holds no signed-note key') as string });
  expect(ran.stderr).not.toContain('hush');
});

it('goes on with a data directory that was copied only where that is said, and puts it on record', async () => {
  const roots = await write('data', 0, 5);
  cpSync(at('data'), at('copied'), { recursive: true });
  rmSync(at('data'), { recursive: true });
  cpSync(at('copied'), at('data'), { recursive: true });
  await expect(write('data', 5, 6)).rejects.toMatchObject({ code: 'copied' });
  const refused = await restore('--from', at('data/ledger'));
  expect(refused).toMatchObject({ exit: 4 });
  expect(refused.stderr).toMatch(/^error \(copied\): .*\nNothing was changed\.\nnext: see to it that no sidecar goes on where it came from, then: {2}countersign restore --moved\n$/);
  expect((await restore('--moved', '--lease-book', bookOf(6, roots[5]!))).stderr).toContain('error (rolled-back)');
  const ran = await restore('--json', '--moved', '--lease-book', bookOf(4, roots[4]!));
  expect(ran, ran.stderr).toMatchObject({ exit: 0 });
  expect(JSON.parse(ran.stdout)).toEqual({ restored: true, had: 5, size: 5, root: roots[5], source: 'this directory, moved', kept: [] });
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(at('data')), directory: 'ledger', journal: 'journal', signer: parseSigner(readFileSync(at('log.key'), 'utf8').trim()), now: () => Date.now() });
  for await (const { record } of log.entries(5)) expect(record).toMatchObject({ seq: 5, type: 'ledger.restored', body: { had: 5, size: 5, source: 'this directory, moved' } });
  expect(log.size).toBe(6);
  await log.close();
});

it('asks the witnesses of the trust folder what they have cosigned, restores nothing that ends before it, and names one that cannot be asked', async () => {
  const key = parseSigner(readFileSync(at('log.key'), 'utf8').trim());
  const witness = await startTestWitness('north', at('north'), key.vkey);
  const away = await startTestWitness('south', at('south'), key.vkey);
  await away.stop();
  await installation.write('trust/trust.policy', `log ${key.vkey}\n${witness.line}\n${away.line}\nquorum none\n`);
  try {
    await write('data', 0, 5);
    cpSync(at('data/ledger'), at('older'), { recursive: true });
    await write('data', 5, 7);
    cpSync(at('data/ledger'), at('newer'), { recursive: true });
    const answer = await addCheckpoint(post, witness.url, [parseVerifier(witness.cosigner.vkey)], { oldSize: 0, proof: [], checkpoint: readFileSync(at('data/ledger/checkpoint'), 'utf8') });
    expect(answer.kind).toBe('cosigned');
    rmSync(at('data'), { recursive: true });
    const refused = await restore('--from', at('older'));
    expect(refused).toMatchObject({ exit: 4 });
    expect(refused.stderr).toContain('rolled-back');
    expect(refused.stderr).toContain('the witness north has seen 7 records');
    expect(refused.stderr).toMatch(/the witness south cannot be asked, and what it has cosigned may be more than is restored: not reached \(ECONNREFUSED\)/);
    expect(existsSync(at('data/ledger'))).toBe(false);
    expect(await restore('--from', at('newer'))).toMatchObject({ exit: 0 });
  } finally {
    await witness.stop();
  }
});

it('has nothing to compact in a journal of one file, and says so', async () => {
  await write('data', 0, 5);
  const ran = await desk.run('ledger', 'compact', '--json', '--config', installation.configPath);
  expect(ran, ran.stderr).toMatchObject({ exit: 0 });
  expect(JSON.parse(ran.stdout)).toEqual({ size: 5, from: 0, files: 0, bytes: 0 });
});
