/** Ledgers from an attacker: each ends in an exit code, soon, and in bounded memory. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MerkleTree, nodeEvidence, NotEvidence, signCheckpoint, type EvidenceDisk } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { cleanStory, keys, ORIGIN, storyTrust, trustFiles, writeStory } from '../support/story.ts';
import { openDesk, type Desk } from '../support/world.ts';

const GIB = 1_073_741_824;
let desk: Desk;
let copies = 0;

beforeAll(async () => {
  desk = openDesk();
  await writeStory(join(desk.directory, 'clean'), cleanStory().beats);
  mkdirSync(join(desk.directory, 'trust'));
  for (const [file, text] of Object.entries(trustFiles())) writeFileSync(join(desk.directory, 'trust', file), text);
});
afterAll(() => desk.remove());

interface Answer {
  readonly exit: number;
  readonly verdicts: readonly { readonly name: string; readonly status: string; readonly message: string }[];
}

function spoilt(spoil: (ledger: string) => void): string {
  copies += 1;
  const name = `copy-${copies}`;
  cpSync(join(desk.directory, 'clean', 'ledger'), join(desk.directory, name, 'ledger'), { recursive: true });
  spoil(join(desk.directory, name, 'ledger'));
  return name;
}

const bundleIn = (ledger: string): string => join(ledger, 'tile/entries/000.p', readdirSync(join(ledger, 'tile/entries/000.p'))[0]!);
const tileIn = (ledger: string): string => join(ledger, 'tile/0/000.p', readdirSync(join(ledger, 'tile/0/000.p'))[0]!);

async function verify(name: string, ...flags: string[]): Promise<{ readonly exit: number; readonly of: (verdict: string) => string }> {
  const ran = await desk.run('verify', '--json', name, '--trust', 'trust', ...flags);
  const json = JSON.parse(ran.stdout) as Answer;
  return {
    exit: ran.exit,
    of: (verdict) => {
      const found = json.verdicts.find((one) => one.name === verdict);
      return `${found?.status}: ${found?.message}`;
    },
  };
}

function signed(ledger: string, size: number, root: Uint8Array): void {
  writeFileSync(join(ledger, 'checkpoint'), signCheckpoint({ origin: ORIGIN, size, root }, keys.log));
}

describe('what is no evidence', () => {
  const link = (path: string): void => {
    renameSync(path, `${path}.elsewhere`);
    symlinkSync(`${path}.elsewhere`, path);
  };
  it.each<readonly [string, (ledger: string) => void, RegExp]>([
    ['a link in the place of a bundle', (ledger) => link(bundleIn(ledger)), /a symbolic link/],
    ['a link in the place of the folder of tiles', (ledger) => {
      renameSync(join(ledger, 'tile'), join(ledger, '..', 'elsewhere'));
      symlinkSync(join(ledger, '..', 'elsewhere'), join(ledger, 'tile'));
    }, /ledger\/tile is a symbolic link/],
    ['a link in the place of the objects', (ledger) => link(join(ledger, 'objects/0')), /objects\/0 is a symbolic link/],
    ['a link to a device', (ledger) => {
      const tile = tileIn(ledger);
      rmSync(tile);
      symlinkSync('/dev/zero', tile);
    }, /a symbolic link/],
    ['a pipe that nobody writes to, in the place of a bundle', (ledger) => {
      const path = bundleIn(ledger);
      rmSync(path);
      execFileSync('mkfifo', [path]);
    }, /neither a file nor a folder/],
    ['a pipe beside them', (ledger) => void execFileSync('mkfifo', [join(ledger, 'tile', 'pipe')]), /neither a file nor a folder/],
    ['folders one in another, without end', (ledger) => mkdirSync(join(ledger, 'tile/entries', ...Array.from({ length: 150 }, () => 'x001')), { recursive: true }), /unexpected folder "tile\/entries\/(?:x001\/){6}"/],
    ['a folder that nothing calls for', (ledger) => mkdirSync(join(ledger, '.git')), /unexpected folder "\.git\/"/],
    ['an object file that none leads up to', (ledger) => writeFileSync(join(ledger, 'objects/7'), ''), /unexpected file "objects\/7"/],
    ['a tile of another size of the tree', (ledger) => writeFileSync(join(ledger, 'tile/0/000'), Buffer.alloc(8_192)), /unexpected file "tile\/0\/000"/],
  ])('%s fails INTEGRITY', async (_what, spoil, message) => {
    const { exit, of } = await verify(spoilt(spoil));
    expect(of('INTEGRITY')).toMatch(/^fails/);
    expect(of('INTEGRITY')).toMatch(message);
    expect(exit).toBe(1);
  });

  it.each<readonly [string, (path: string) => void]>([['a link', (path) => symlinkSync('../../clean/ledger/checkpoint', path)], ['a pipe', (path) => void execFileSync('mkfifo', [path])]])(
    '%s in the place of the checkpoint is no checkpoint', async (_what, put) => {
      const { exit, of } = await verify(spoilt((ledger) => {
        rmSync(join(ledger, 'checkpoint'));
        put(join(ledger, 'checkpoint'));
      }));
      expect(of('SIGNATURE')).toBe('fails: there is no checkpoint');
      expect(exit).toBe(1);
    },
  );

  it('a folder with names without end is not read to its end', async () => {
    mkdirSync(join(desk.directory, 'many'));
    for (let n = 0; n < 60; n += 1) writeFileSync(join(desk.directory, 'many', `${n}`), '');
    const disk = nodeEvidence(desk.directory, 50);
    await expect(disk.list('many')).rejects.toThrow(new NotEvidence('many', 'a folder of more than 50 names'));
    rmSync(join(desk.directory, 'many', '0'));
    for (let n = 1; n < 10; n += 1) rmSync(join(desk.directory, 'many', `${n}`));
    expect(await disk.list('many')).toHaveLength(50);
  });
});

describe('files of 4 GiB', () => {
  it.each<readonly [string, (ledger: string) => string, string]>([
    ['the checkpoint', (ledger) => join(ledger, 'checkpoint'), 'SIGNATURE'],
    ['a bundle', bundleIn, 'INTEGRITY'],
    ['a tile', tileIn, 'INTEGRITY'],
    ['the objects', (ledger) => join(ledger, 'objects/0'), 'INTEGRITY'],
  ])('%s is not read into memory', async (_what, path, verdict) => {
    const name = spoilt((ledger) => truncateSync(path(ledger), 4 * GIB));
    const before = process.memoryUsage.rss();
    const { exit, of } = await verify(name);
    expect(of(verdict)).toMatch(/^fails/);
    expect(exit).toBe(1);
    expect(process.memoryUsage.rss() - before).toBeLessThan(192 * 1_048_576);
  });
});

describe('a checkpoint that claims more than is there', () => {
  it.each([Number.MAX_SAFE_INTEGER, 10 ** 9, 100])('%d records, costs nothing more', async (size) => {
    const name = spoilt((ledger) => signed(ledger, size, new Uint8Array(32)));
    const startedMs = performance.now();
    const { exit, of } = await verify(name);
    expect(of('INTEGRITY')).toMatch(/^fails: unexpected file/);
    expect(exit).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });

  it('with the files of a larger tree, fails at the first record that is missing', async () => {
    const { exit, of } = await verify(spoilt((ledger) => {
      rmSync(join(ledger, 'tile'), { recursive: true });
      signed(ledger, Number.MAX_SAFE_INTEGER, new Uint8Array(32));
    }));
    expect(of('INTEGRITY')).toMatch(/^fails: the checkpoint covers 9007199254740991 records, and tile\/entries\/000, .* is missing/);
    expect(exit).toBe(1);
  });
});

describe('no record', () => {
  it.each(['SIGNATURE', 'SIGNATURE,COMPLETENESS', 'INTEGRITY'])('is never success: of an empty ledger, whatever is asked for (%s)', async (required) => {
    const name = spoilt((ledger) => {
      for (const folder of ['tile', 'objects']) rmSync(join(ledger, folder), { recursive: true });
      signed(ledger, 0, new MerkleTree().root());
    });
    expect((await verify(name, '--require', required)).exit).toBe(3);
  });

  it('is never success: of a ledger whose records are gone, where only the signature is asked for', async () => {
    const name = spoilt((ledger) => rmSync(join(ledger, 'tile'), { recursive: true }));
    const { stdout, exit } = await desk.run('verify', name, '--trust', 'trust', '--require', 'SIGNATURE');
    expect(exit).toBe(3);
    expect(stdout).toMatch(/NOT VERIFIED: no record was verified\n$/);
  });
});

describe('files that go while they are read', () => {
  const reading = async (on: (path: string, ledger: string) => void): Promise<ReturnType<typeof verifyEvidence>> => {
    const name = spoilt(() => undefined);
    const folder = join(desk.directory, name);
    const real = nodeEvidence(folder);
    const disk: EvidenceDisk = {
      ...real,
      read(path, max) {
        on(path, join(folder, 'ledger'));
        return real.read(path, max);
      },
    };
    return verifyEvidence({ disk, directory: 'ledger', trust: storyTrust(), wholeFolder: true });
  };

  it('are missing records', async () => {
    const { verdicts } = await reading((path, ledger) => {
      if (path.startsWith('ledger/tile/entries')) rmSync(join(ledger, 'tile'), { recursive: true, force: true });
    });
    expect(verdicts[0]).toMatchObject({ name: 'INTEGRITY', status: 'fails', message: expect.stringContaining('is missing') as string });
  });

  it('and were listed, end verification with what the disk says, and no verdict', async () => {
    await expect(reading((path, ledger) => {
      if (path.startsWith('ledger/tile/entries')) rmSync(join(ledger, 'objects'), { recursive: true, force: true });
    })).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
