/** `countersign ledger archive`, and all that reads a ledger of which a part is in an archive: with it, and without it. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePath, generateSignerKey, nodeDisk, openLog } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { startSidecar } from '../../src/sidecar/start.ts';
import { draftOf } from '../support/drafts.ts';
import { makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { storyBundle } from '../support/packs.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { cleanStory, EXECUTOR, keys, ORIGIN, PROVISION, sidecar, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, trustFiles, type Beat } from '../support/story.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let installation: Installation;
let desk: Desk;
const at = (...names: string[]): string => join(installation.directory, ...names);
const ledger = (...argv: string[]): Promise<Ran> => desk.run('ledger', ...argv, '--config', installation.configPath);
const over = cleanStory();
/** Its lease runs: it must be taken back yet. */
const open = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS + 5_000_000)));
const asDrafts = (beats: readonly Beat[]): DraftWithObjects[] => beats.map(({ changeId, event, atMs }) => draftOf(changeId, event, atMs));

async function append(drafts: readonly DraftWithObjects[]): Promise<void> {
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(at('data')), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => START_MS });
  for (const { draft, objects } of drafts) log.append([draft], { objects });
  await log.close();
}

/** Records until there are so many. */
function upTo(size: number, drafts: DraftWithObjects[], ms: number): void {
  while (drafts.length < size) drafts.push(systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS + ms));
}

const bundles = (folder: string): string[] => readdirSync(join(folder, 'tile/entries')).filter((name) => /^[0-9]{3}$/.test(name)).sort();
const verify = async (...more: string[]): Promise<{ exit: number; verdicts: readonly { name: string; status: string; message: string }[] }> => {
  const ran = await desk.run('verify', at('data'), '--trust', at('trust'), '--as-of', '2026-11-23T20:30:00.000Z', '--json', ...more);
  return { ...(JSON.parse(ran.stdout) as { verdicts: readonly { name: string; status: string; message: string }[] }), exit: ran.exit };
};

let before: Awaited<ReturnType<typeof verify>>;
let first: Ran;
let second: Ran;

beforeAll(async () => {
  installation = await makeInstallation();
  desk = openDesk();
  await installation.write('log.key', `${generateSignerKey(ORIGIN, new Uint8Array(32).fill(1)).skey}\n`);
  await installation.write('ticket.key', `${generateSignerKey(`${ORIGIN}/ticket`, new Uint8Array(32).fill(2)).skey}\n`);
  for (const [name, text] of Object.entries(trustFiles())) await installation.write(`trust/${name}`, text);
  const config = readFileSync(installation.configPath, 'utf8');
  await installation.write('countersign.yaml', config.replace('installation.example/ledger', ORIGIN).replace('executor:pg-1', EXECUTOR));

  const drafts: DraftWithObjects[] = [storyBundle()];
  upTo(300, drafts, 0);
  drafts.push(...asDrafts(over.beats));
  upTo(600, drafts, 4_900_000);
  drafts.push(...asDrafts(open.beats));
  upTo(900, drafts, 5_100_000);
  await append(drafts);
  first = await ledger('archive', '--before', '800', '--to', at('archive'));
  upTo(1_300, drafts, 5_200_000);
  await append(drafts.slice(900));
  before = await verify();
  second = await ledger('archive', '--before', new Date(START_MS + 5_200_000).toISOString(), '--to', at('archive'));
});
afterAll(async () => {
  desk.remove();
  await installation.remove();
});

/** With the archive where nobody finds it. */
async function without<T>(work: () => Promise<T>): Promise<T> {
  renameSync(at('archive'), at('elsewhere'));
  try {
    return await work();
  } finally {
    renameSync(at('elsewhere'), at('archive'));
  }
}

describe('archiving', () => {
  it('moves nothing at first, but begins a new file of the journal', () => {
    expect(first, first.stderr).toMatchObject({ exit: 0 });
    expect(first.stdout).toMatch(/^nothing to move: the journal of 900 records begins with record 0, .*\nrecords from 0 on can go once more have come/);
  });

  it('moves what is over by the next time, and says what and where to', () => {
    expect(second, second.stderr).toMatchObject({ exit: 0 });
    expect(second.stdout).toMatch(/^moved 1 bundles and 0 object files, [0-9]+ bytes, to .*archive; 1 of the bundles below record 512 stay: .*\ncountersign verify PATH --archive .*archive /);
    expect(bundles(at('archive'))).toEqual(['001']);
    // Of the change that is open all is still here.
    expect(bundles(at('data/ledger'))).toEqual(['000', '002', '003', '004']);
    expect(existsSync(at('data/state'))).toBe(true);
  });

  it('has nothing to move the next time', async () => {
    const again = await ledger('archive', '--before', '768', '--to', at('archive'), '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ bundles: 0, objectFiles: 0, bytes: 0, size: 1_300 });
  });

  it.each([
    ['into the ledger', ['--before', '1', '--to', 'data/ledger/old'], 2, /part of what is to be moved/],
    ['into another ledger', ['--before', '1', '--to', 'other'], 2, /is a ledger itself/],
    ['before nothing', ['--before', 'yesterday', '--to', 'x'], 2, /neither the index of a record nor a time/],
  ])('refuses to move %s', async (_name, argv, exit, message) => {
    mkdirSync(at('other'), { recursive: true });
    writeFileSync(at('other/checkpoint'), 'x');
    const ran = await desk.with({ cwd: installation.directory }).run('ledger', 'archive', '--config', installation.configPath, ...argv);
    expect(ran.exit).toBe(exit);
    expect(ran.stderr).toMatch(message);
  });
});

describe('verifying', () => {
  it('says with the archive what it said before, and without it what is missing', async () => {
    expect(before.exit, JSON.stringify(before.verdicts)).toBe(0);
    expect(await verify('--archive', at('archive'))).toEqual(before);
    const alone = await verify();
    expect(alone.exit).toBe(1);
    expect(alone.verdicts[0]).toMatchObject({ name: 'INTEGRITY', status: 'fails', message: expect.stringMatching(/records 256 to 511, is missing; if they were moved to an archive/) as string });
    expect(await verify('--archive', at('other'), '--archive', at('archive'))).toEqual(before);
  });

  it('takes an archive that is there, of a ledger', async () => {
    expect((await desk.run('verify', at('data'), '--archive', at('nowhere'))).stderr).toMatch(/nowhere is no folder that is there/);
    expect((await desk.run('verify', at('log.key'), '--archive', at('archive'))).exit).toBe(2);
  });

  it('packs and proves out of both', async () => {
    const { changeId } = over.provision;
    const pack = at('over.pack');
    const ran = await desk.run('evidence', 'export', '--change', changeId, '--ledger', at('data'), '--archive', at('archive'), '--out', pack);
    expect(ran, ran.stderr).toMatchObject({ exit: 0 });
    const verified = await desk.run('verify', pack, '--trust', at('trust'), '--require', 'INTEGRITY,SIGNATURE,WORKFLOW');
    expect(verified, verified.stdout).toMatchObject({ exit: 0 });
    const alone = await desk.run('evidence', 'export', '--change', changeId, '--ledger', at('data'), '--out', at('none.pack'));
    expect(alone.exit).toBe(1);
    expect(alone.stderr).toMatch(/is not there; if it was moved to an archive/);
    expect((await desk.run('evidence', 'prove', '--seq', '300', '--ledger', at('data'), '--out', at('300.tlog-proof'))).exit).toBe(0);
    expect((await desk.run('evidence', 'prove', '--seq', '300', '--archive', at('archive'))).exit).toBe(2);
  });
});

describe('restoring', () => {
  it('makes the whole ledger again from a copy and its archive', async () => {
    cpSync(at('data/ledger'), at('backup'), { recursive: true });
    renameSync(at('data'), at('lost'));
    const restore = (...more: string[]): Promise<Ran> => desk.run('restore', '--config', installation.configPath, '--from', at('backup'), ...more);
    try {
      expect((await restore()).stderr).toMatch(/is not there; if it was moved to an archive/);
      const ran = await restore('--archive', at('archive'));
      expect(ran, ran.stderr).toMatchObject({ exit: 0 });
      expect(bundles(at('data/ledger'))).toEqual(['000', '001', '002', '003', '004']);
      expect((await verify()).exit).toBe(0);
    } finally {
      rmSync(at('data'), { recursive: true, force: true });
      renameSync(at('lost'), at('data'));
    }
  });
});

describe('a sidecar', () => {
  interface Told {
    readonly get: (path: string) => Promise<{ status: number; code?: string }>;
  }
  async function running(work: (told: Told) => Promise<void>): Promise<void> {
    const executor = scriptedExecutor(EXECUTOR, keys.executor, () => Date.now());
    const started = await startSidecar(await installation.config(), { transport: executor });
    try {
      await work({
        async get(path) {
          const response = await fetch(new URL(path, started.url!), { headers: { authorization: `Bearer ${TOKENS['person:ana']!}` } });
          const text = await response.text();
          return { status: response.status, ...(response.ok ? {} : { code: (JSON.parse(text) as { code: string }).code }) };
        },
      });
    } finally {
      await started.close();
    }
  }

  it('starts without the archive, has what is open, and says of the rest that it is archived', async () => {
    await without(() => running(async ({ get }) => {
      expect(await get(`/v1/changes/${open.changeId}`)).toEqual({ status: 200 });
      expect(await get(`/v1/changes/${over.provision.changeId}`)).toEqual({ status: 410, code: 'archived' });
      expect(await get(`/ledger/${bundlePath(1)}`)).toEqual({ status: 410, code: 'archived' });
      expect(await get(`/ledger/${bundlePath(2)}`)).toEqual({ status: 200 });
      expect(await get('/ledger/tile/0/001')).toEqual({ status: 200 });
    }));
  });

  it('has everything with it', async () => {
    await running(async ({ get }) => {
      for (const path of [`/v1/changes/${over.provision.changeId}`, `/v1/changes/${over.provision.changeId}/evidence`, `/ledger/${bundlePath(1)}`]) expect(await get(path), path).toEqual({ status: 200 });
    });
  });

  it('is told by doctor whether its archive can be reached', async () => {
    const ledgerCheck = async (): Promise<unknown> => {
      const { stdout } = await desk.run('doctor', '--json', '--config', installation.configPath);
      return (JSON.parse(stdout) as { checks: { name: string; status: string; message: string }[] }).checks.find(({ name }) => name === 'ledger');
    };
    expect(await ledgerCheck()).toMatchObject({ status: 'ok' });
    await without(async () => expect(await ledgerCheck()).toMatchObject({ status: 'failed', message: expect.stringContaining('and is not there') as string }));
  });

  it('that has neither snapshot nor archive does not start, and says where what it needs is', async () => {
    const config = await installation.config();
    rmSync(at('data/state'), { recursive: true });
    await without(() => expect(startSidecar(config)).rejects.toThrow(/moved to .*archive, and is not there/));
  });
});
