import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanStory, trustFiles, writeStory, type Telling } from '../support/story.ts';
import { ledgerOf, linesOf, storyBundle } from '../support/packs.ts';
import { serveTestSidecar } from '../support/served.ts';
import { GRANT as REQUEST, tokenOf } from '../support/sidecar.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
let provision: Telling;
let grant: Telling;
let ledger: string;

beforeAll(async () => {
  desk = openDesk();
  const told = cleanStory();
  ({ provision, grant } = told);
  ledger = (await ledgerOf([storyBundle(), ...linesOf(told.beats.slice(0, -3)), 'heads', ...linesOf(told.beats.slice(-3))])).directory;
  // The auditor has the pack and her own trust folder, and nothing of the ledger.
  mkdirSync(join(desk.directory, 'auditor', 'trust'), { recursive: true });
  for (const [file, text] of Object.entries(trustFiles())) writeFileSync(join(desk.directory, 'auditor', 'trust', file), text);
});
afterAll(() => desk.remove());

const exportPack = (...argv: string[]): ReturnType<Desk['run']> => desk.run('evidence', 'export', '--ledger', ledger, ...argv);
const verify = (pack: string, ...argv: string[]): ReturnType<Desk['run']> => desk.run('verify', pack, '--trust', 'auditor/trust', ...argv);

describe('evidence export', () => {
  it('writes a pack that verifies under a trust folder elsewhere', async () => {
    const ran = await exportPack('--change', provision.changeId, '--out', 'auditor/a.pack');
    expect(ran.exit, ran.stderr).toBe(0);
    const { exit, stdout } = await verify('auditor/a.pack');
    expect(exit, stdout).toBe(0);
    expect(stdout).toMatch(/^✓ COMPLETENESS holds .+ is shown from its first record to its last/m);
    expect(stdout).toMatch(new RegExp(`^pack {5}of ${provision.changeId}: \\d+ records, 1 change$`, 'm'));
    const { stdout: json } = await verify('auditor/a.pack', '--json');
    expect(JSON.parse(json)).toMatchObject({ exit: 0, pack: { asked: { change: provision.changeId } }, directory: join(desk.directory, 'auditor/a.pack') });
  });

  it('is named after the change, and the same each time; nothing is overwritten', async () => {
    expect((await exportPack('--change', grant.changeId)).exit).toBe(0);
    expect((await exportPack('--change', grant.changeId, '--out', 'again.pack')).exit).toBe(0);
    expect(readFileSync(join(desk.directory, `${grant.changeId}.pack`)).equals(readFileSync(join(desk.directory, 'again.pack')))).toBe(true);
    const { exit, stderr } = await exportPack('--change', grant.changeId, '--out', 'again.pack');
    expect([exit, stderr]).toEqual([2, expect.stringContaining('is there already')]);
  });

  // There is no such ledger: whoever looked for it first would say that.
  it.each([
    ['evidence', 'export', '--ledger', 'nowhere', '--nhi', 'nhi:prod/a'],
    ['evidence', 'prove', '--ledger', 'nowhere', '--seq', '1'],
    ['evidence', 'ocsf', 'nowhere', '--trust', 'nowhere'],
    ['report', 'gaps', 'nowhere', '--trust', 'nowhere'],
  ])('a file that is there, or a folder that is not, is told before anything is looked at: %s %s', async (...asked) => {
    writeFileSync(join(desk.directory, 'kept'), 'kept');
    const there = await desk.run(...asked, '--out', 'kept');
    expect([there.exit, there.stderr]).toEqual([2, expect.stringMatching(/kept is there already[^]*Nothing was (verified|asked for)/)]);
    expect(readFileSync(join(desk.directory, 'kept'), 'utf8')).toBe('kept');
    const nowhere = await desk.run(...asked, '--out', 'no-such-folder/x');
    expect([nowhere.exit, nowhere.stderr]).toEqual([4, expect.stringContaining('no-such-folder/x cannot be written')]);
  });

  it('says where the change has moved on since the heads were stated, and its pack is then not established', async () => {
    const moved = (await desk.run('evidence', 'export', '--json', '--ledger', ledger, '--nhi', grant.now.request.subject, '--out', 'moved.pack')).stdout;
    expect(JSON.parse(moved)).toMatchObject({ movedOn: 3, changes: expect.arrayContaining([grant.changeId]) as unknown });
    const { stderr } = await exportPack('--nhi', grant.now.request.subject, '--out', 'moved-2.pack');
    expect(stderr).toContain('moved on since');
    expect((await verify('moved.pack')).exit).toBe(3);
    expect((await verify('moved.pack', '--require', 'INTEGRITY,SIGNATURE,WORKFLOW')).exit).toBe(0);
  });

  it('takes a time', async () => {
    expect((await exportPack('--from', '2026-11-23T19:00:00.000Z', '--to', '2026-11-23T19:20:00.000Z', '--out', 'time.pack')).exit).toBe(0);
    expect((await verify('time.pack')).exit).toBe(0);
  });

  it.each([
    ['nothing asked for', [], 2], ['a time without an end', ['--from', '2026-11-23T19:00:00.000Z'], 2], ['a time that ends before it begins', ['--from', '2026-11-23T19:00:00.000Z', '--to', '2026-11-23T18:00:00.000Z'], 2],
    ['two things at once', ['--change', 'chg_0123456789abcdef_01M8KGMJEJJ2NEESG54X0BC8WM', '--nhi', 'nhi:prod/x'], 2], ['a change that is not there', ['--change', 'chg_0123456789abcdef_01M8KGMJEJJ2NEESG54X0BC8WM'], 1],
    ['an identity that is not there', ['--nhi', 'nhi:prod/nobody'], 1],
  ])('with %s writes nothing', async (_what, argv, exit) => {
    expect((await exportPack(...argv, '--out', 'never.pack')).exit).toBe(exit);
    expect(existsSync(join(desk.directory, 'never.pack'))).toBe(false);
  });

  it('of a ledger that does not hold says so and writes nothing', async () => {
    await writeStory(join(desk.directory, 'spoilt'), cleanStory().beats.slice(0, 10));
    writeFileSync(join(desk.directory, 'spoilt/ledger/tile/0/000.p/11'), Buffer.alloc(352));
    const { exit, stderr } = await desk.run('evidence', 'export', '--ledger', 'spoilt', '--change', provision.changeId, '--out', 'never.pack');
    expect([exit, stderr]).toEqual([1, expect.stringContaining('the tiles in ledger are not those of its checkpoint')]);
  });
});

describe('evidence, from a sidecar', () => {
  it('exports a change that is whole, and verifies under a trust folder of the auditor’s; proves a record; and is for auditors', async () => {
    const sidecar = await serveTestSidecar();
    try {
      const change = await sidecar.change('nhi:prod/ci-deployer', REQUEST);
      const token = (name: string): string => {
        writeFileSync(join(desk.directory, `${name}.token`), tokenOf(`person:${name}`), { mode: 0o600 });
        return join(desk.directory, `${name}.token`);
      };
      const asked = ['--socket', sidecar.socket, '--change', change.id, '--out', 'live.pack'];
      const refused = await desk.run('evidence', 'export', ...asked, '--token-file', token('olga'));
      expect([refused.exit, existsSync(join(desk.directory, 'live.pack'))]).toEqual([1, false]);
      const ran = await desk.run('evidence', 'export', ...asked, '--token-file', token('kim'));
      expect(ran.exit, ran.stderr).toBe(0);
      expect((await desk.run('verify', 'live.pack', '--trust', await sidecar.trustFolder())).exit).toBe(0);
      expect((await desk.run('verify', 'live.pack', '--trust', 'auditor/trust')).exit).toBe(1);
      expect((await desk.run('evidence', 'prove', '--seq', '1', '--out', 'live.tlog-proof', '--socket', sidecar.socket, '--token-file', token('kim'))).exit).toBe(0);
      expect(readFileSync(join(desk.directory, 'live.tlog-proof'), 'utf8')).toContain('index 1\n');
    } finally {
      await sidecar.close();
    }
  });
});

describe('evidence prove', () => {
  it('writes the proof of a record', async () => {
    expect((await desk.run('evidence', 'prove', '--seq', '3', '--ledger', ledger)).exit).toBe(0);
    expect(readFileSync(join(desk.directory, '3.tlog-proof'), 'utf8')).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex 3\n/);
    expect((await desk.run('evidence', 'prove', '--seq', '9999', '--ledger', ledger)).exit).toBe(1);
    expect((await desk.run('evidence', 'prove', '--seq', '03', '--ledger', ledger)).exit).toBe(2);
    expect(existsSync(join(desk.directory, '9999.tlog-proof'))).toBe(false);
  });
});

describe('verify, given a file', () => {
  it('knows a pack by what is in it, whatever its name', async () => {
    copyFileSync(join(desk.directory, 'auditor/a.pack'), join(desk.directory, 'ledger.txt'));
    expect((await verify('ledger.txt')).exit).toBe(0);
  });

  it('of something else, or a pack that was packed again, verifies nothing', async () => {
    writeFileSync(join(desk.directory, 'a.pack.gz'), gzipSync(readFileSync(join(desk.directory, 'auditor/a.pack'))));
    writeFileSync(join(desk.directory, 'empty.pack'), '');
    expect((await verify('a.pack.gz')).exit).toBe(1);
    expect((await verify('empty.pack')).exit).toBe(3);
    expect((await verify('nowhere.pack')).exit).toBe(4);
    expect((await verify('auditor/a.pack', '--old-ledger', ledger)).exit).toBe(2);
  });
});
