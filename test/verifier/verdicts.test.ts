/** The verification as it is bundled for browsers, run here in node: the same answer as `countersign verify --json`, byte for byte. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GivenFile } from '../../src/verifier/file-disk.ts';
import type { Answer, Given } from '../../src/verifier/verify-given.ts';
import { verifyArguments, withoutPlace, writeVerifierCases, type VerifierCase } from '../support/verifier-cases.ts';
import { openDesk, type Desk } from '../support/world.ts';

const BUILD = join(import.meta.dirname, '..', '..', 'src', 'verifier', 'build.mjs');
let desk: Desk;
let cases: VerifierCase[] = [];
let built: string;
let verifyGiven: (given: Given) => Promise<Answer>;

beforeAll(async () => {
  desk = openDesk();
  built = mkdtempSync(join(tmpdir(), 'cs-verifier-'));
  // In a folder of that name vitest leaves a module as it is.
  mkdirSync(join(built, 'node_modules'));
  execFileSync(process.execPath, [BUILD, '--module', join(built, 'node_modules', 'verify.mjs')]);
  verifyGiven = await load('');
  cases = await writeVerifierCases(desk.directory, { every: 2003 });
}, 60_000);
afterAll(() => {
  desk.remove();
  rmSync(built, { recursive: true });
});

async function load(query: string): Promise<typeof verifyGiven> {
  return ((await import(/* @vite-ignore */ `${pathToFileURL(join(built, 'node_modules', 'verify.mjs')).href}${query}`)) as { verifyGiven: typeof verifyGiven }).verifyGiven;
}

function files(path: string): GivenFile[] {
  const root = join(desk.directory, path);
  if (statSync(root).isFile()) return [{ path: basename(root), blob: new Blob([readFileSync(root)]) }];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(root, name)).isFile())
    .map((name) => ({ path: `${basename(root)}/${name}`, blob: new Blob([readFileSync(join(root, name))]) }));
}

function given({ ledger, trust, pinned, minSize, asOf }: VerifierCase): Given {
  const chosen = files(ledger);
  const isPack = chosen.length === 1 && !chosen[0]!.path.includes('/');
  return {
    ledger: isPack ? [] : chosen, pack: isPack ? chosen[0]! : null, trust: trust === null ? [] : files(trust), pinned: pinned === undefined ? null : files(pinned)[0]!.blob, minSize: minSize ?? '', asOf: asOf ?? '',
  };
}

describe('the verification that browsers run', () => {
  it('answers every ledger, good and bad, as the command does', async () => {
    const exits = new Map<number, number>();
    for (const one of cases) {
      const { exit, stdout } = await desk.run(...verifyArguments(one));
      const answer = await verifyGiven(given(one));
      expect([one.title, answer.exit]).toEqual([one.title, exit]);
      const said = answer.kind === 'verified' ? answer.json : answer.cause;
      if (answer.kind === 'verified') expect(withoutPlace(said), one.title).toBe(withoutPlace(stdout));
      else expect((JSON.parse(stdout) as { error: { cause: string } }).error.cause, one.title).toBe(said);
      exits.set(exit, (exits.get(exit) ?? 0) + 1);
    }
    expect(cases.length).toBeGreaterThan(40);
    expect(exits.get(0)).toBeGreaterThan(4);
    expect(exits.get(1)).toBeGreaterThan(25);
    expect(exits.get(3)).toBeGreaterThan(3);
  }, 120_000);

  it('of an empty folder, and of one with something else in it, verifies nothing', async () => {
    for (const ledger of [[], files('trust')]) {
      expect(await verifyGiven({ ledger, trust: files('trust'), pack: null, pinned: null, minSize: '', asOf: '' })).toMatchObject({ kind: 'trouble', exit: 3 });
    }
  });

  it('checks by itself what people have signed of a policy bundle', async () => {
    const exitOf = async (title: string): Promise<number> => (await verifyGiven(given(cases.find((one) => one.title === title)!))).exit;
    expect(await exitOf('a bundle that was let in by signature')).toBe(0);
    expect(await exitOf('a bundle that was let in by nobody whose key is known')).toBe(1);
  });

  it('of a trust folder that lacks a file says which, and believes nothing', async () => {
    const trust = files('trust').filter(({ path }) => path !== 'trust/sidecars.json');
    expect(await verifyGiven({ ledger: files('clean/ledger'), trust, pack: null, pinned: null, minSize: '', asOf: '' }))
      .toEqual({ kind: 'trouble', exit: 3, cause: 'the trust cannot be used: sidecars.json is not in the folder' });
  });

  it.each([['minSize', 'many'], ['asOf', 'now']])('asked wrongly by %s, is 2', async (name, value) => {
    expect(await verifyGiven({ ledger: files('clean/ledger'), trust: files('trust'), pack: null, pinned: null, minSize: '', asOf: '', [name]: value })).toMatchObject({ exit: 2 });
  });

  it('of a file that cannot be read, is 4', async () => {
    const unreadable = new Blob(['']);
    Object.defineProperty(unreadable, 'slice', { value: () => ({ arrayBuffer: () => Promise.reject(new Error('it has changed')) }) });
    const ledger = [...files('clean/ledger').filter(({ path }) => path !== 'ledger/checkpoint'), { path: 'ledger/checkpoint', blob: unreadable }];
    expect(await verifyGiven({ ledger, trust: files('trust'), pack: null, pinned: null, minSize: '', asOf: '' })).toEqual({ kind: 'trouble', exit: 4, cause: 'a file could not be read: it has changed' });
  });

  it('names a trust folder by the number that sha256sum prints of what sha256sum prints', async () => {
    const answer = await verifyGiven(given(cases[1]!));
    if (answer.kind !== 'verified' || answer.trust === null) throw new Error('nothing was verified');
    const printed = execFileSync('sh', ['-c', answer.trust.command], { cwd: join(desk.directory, 'trust'), encoding: 'utf8' });
    expect(printed.split(' ')[0]).toBe(answer.trust.sha256);
    const lone = await verifyGiven(given(cases.find(({ title }) => title === 'a lone trust.policy')!));
    if (lone.kind !== 'verified' || lone.trust === null) throw new Error('nothing was verified');
    expect(execFileSync('sh', ['-c', lone.trust.command], { cwd: join(desk.directory, 'trust'), encoding: 'utf8' }).split(' ')[0]).toBe(lone.trust.sha256);
  });

  it('lists the changes that the command lists', async () => {
    await desk.run('verify', 'golden', '--trust', 'golden/trust', '--population', 'golden.csv');
    const answer = await verifyGiven(given(cases[0]!));
    if (answer.kind !== 'verified' || answer.population === null) throw new Error('nothing was listed');
    const rows = readFileSync(join(desk.directory, 'golden.csv'), 'utf8').trimEnd().split('\r\n');
    expect(rows).toHaveLength(1 + answer.population.length);
    for (const { change } of answer.population) expect(rows.filter((row) => row.startsWith(`"${change}",`))).toHaveLength(1);
  });

  it('makes no code of text, which the page’s policy forbids', async () => {
    const made = globalThis.Function;
    let count = 0;
    const construct = (target: typeof Function, args: string[]): object => {
      count += 1;
      return Reflect.construct(target, args);
    };
    globalThis.Function = new Proxy(made, { construct });
    try {
      const verifyAnew = await load('?anew');
      expect((await verifyAnew(given(cases[0]!))).exit).toBe(0);
    } finally {
      globalThis.Function = made;
    }
    expect(count).toBe(0);
  });
});

describe('the page', () => {
  it('is built to the same bytes each time, and its policy allows its own script and style and nothing else', () => {
    const texts = ['a.html', 'b.html'].map((name) => {
      execFileSync(process.execPath, [BUILD, join(built, name)]);
      return readFileSync(join(built, name), 'utf8');
    });
    expect(texts[1]).toBe(texts[0]);
    expect(execFileSync('sha256sum', ['-c', 'a.html.sha256'], { cwd: built, encoding: 'utf8' })).toBe('a.html: OK\n');
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(texts[0]!)?.[1];
    expect(policy?.replaceAll(/sha256-[A-Za-z0-9+/]{43}=/g, 'sha256-…')).toBe('default-src \'none\'; script-src \'sha256-…\'; style-src \'sha256-…\'; worker-src blob:; base-uri \'none\'; form-action \'none\'');
    expect(texts[0]!.match(/<script/g)).toHaveLength(2);
  });
});
