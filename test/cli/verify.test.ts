import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { cleanStory, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, PROVISION, trustFiles, writeStory } from '../support/story.ts';
import { called } from '../support/step-stories.ts';
import { loaded, toldUnderObserve, UNTIL } from '../evidence/observe-cases.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
let copies = 0;
const { beats } = cleanStory();

beforeAll(async () => {
  desk = openDesk();
  await writeStory(join(desk.directory, 'clean'), beats);
  writeTrust('trust');
});
afterAll(() => desk.remove());

function writeTrust(name: string, edit: Parameters<typeof trustFiles>[0] = {}): void {
  mkdirSync(join(desk.directory, name));
  for (const [file, text] of Object.entries(trustFiles(edit))) writeFileSync(join(desk.directory, name, file), text);
}

/** A copy of the clean ledger, spoilt. */
function spoilt(spoil: (ledger: string) => void): string {
  copies += 1;
  const name = `copy-${copies}`;
  cpSync(join(desk.directory, 'clean', 'ledger'), join(desk.directory, name, 'ledger'), { recursive: true });
  spoil(join(desk.directory, name, 'ledger'));
  return name;
}

function flip(path: string, find: string, replace: string): void {
  const bytes = readFileSync(path);
  const at = bytes.indexOf(find);
  if (at === -1) throw new Error(`${path} does not hold ${find}`);
  bytes.write(replace, at);
  writeFileSync(path, bytes);
}

/** The 40th character of the signature's base64: past the key's id, inside the signature. */
function flipSignature(path: string): void {
  const text = readFileSync(path, 'utf8');
  const at = text.lastIndexOf(' ') + 40;
  writeFileSync(path, `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`);
}

interface Answer {
  readonly exit: number;
  readonly verdicts: readonly { readonly name: string; readonly status: string; readonly message: string; readonly seq?: number }[];
  readonly notProven: readonly string[];
  readonly error?: { readonly code: string; readonly cause: string };
  readonly head: { readonly size: number; readonly origin: string } | null;
  readonly workflow: { readonly counts: Record<string, number>; readonly violations: readonly { readonly code: string }[] } | null;
}
async function verify(...argv: string[]): Promise<Ran & { readonly json: Answer }> {
  const ran = await desk.run('verify', '--json', ...argv);
  return { ...ran, json: JSON.parse(ran.stdout) as Answer };
}
const statusOf = (answer: Answer, name: string): string | undefined => answer.verdicts.find((verdict) => verdict.name === name)?.status;
const entries = (ledger: string): string => join(ledger, 'tile', 'entries', readdirSync(join(ledger, 'tile', 'entries')).find((name) => name.startsWith('000'))!, '');
const bundle = (ledger: string): string => {
  const folder = entries(ledger);
  return statSync(folder).isFile() ? folder : join(folder, readdirSync(folder)[0]!);
};

describe('a ledger that is whole', () => {
  it.each([['the ledger folder', 'clean/ledger'], ['its parent', 'clean']])('verifies, named by %s', async (_what, path) => {
    const { exit, json } = await verify(path, '--trust', 'trust');
    expect(exit).toBe(0);
    expect(json.verdicts.map(({ name }) => name)).toEqual(['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY']);
    expect(json.workflow?.counts).toMatchObject({ changes: 3, closed: 3, grants: 2, takenBack: 2 });
    expect(json.notProven[0]).toMatch(/^changes made outside Countersign since the last reconcile: (?:[a-z-]+ never(?:; |$))+/);
  });

  it('is shown as a line a verdict, a list of what is not proven, and a summary', async () => {
    const { exit, stdout } = await desk.run('verify', 'clean', '--trust', 'trust');
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^✓ INTEGRITY {4}holds .+ byte for byte/m);
    expect(stdout).toMatch(/^✓ WORKFLOW {5}holds {11}3 changes: 3 closed, 0 open; 2 grants: 2 taken back \(the latest 0\.4 s after its end\)$/m);
    expect(stdout).toMatch(/^– WITNESS .+\(not required\)$/m);
    expect(stdout).toMatch(/NOT PROVEN\n {2}- changes made outside Countersign/);
    expect(stdout).toMatch(/^size {5}\d+ records/m);
    expect(stdout).toMatch(/verified: INTEGRITY, SIGNATURE, COMPLETENESS, WORKFLOW\n$/);
    expect(stdout).not.toContain('\u001b');
  });

  it('of a change that its caller made and nobody looked at, says so among what holds and among what is not proven', async () => {
    await writeStory(join(desk.directory, 'called'), called({ unread: true }).beats);
    const { exit, stdout } = await desk.run('verify', 'called', '--trust', 'trust');
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^✓ WORKFLOW {5}holds .+; 1 change self-reported by its caller$/m);
    expect(stdout).toMatch(/^ {2}- what 1 change self-reported by its caller did: no executor has looked$/m);
    const { json } = await verify('called', '--trust', 'trust');
    expect(json.workflow?.counts).toMatchObject({ selfReported: 1, ambiguous: 0, rotations: 0 });
  });

  it('with a lone trust.policy, holds but for WORKFLOW, which is not asked of it', async () => {
    const { exit, json } = await verify('clean', '--trust', 'trust/trust.policy');
    expect(exit).toBe(0);
    expect(json.verdicts.find(({ name }) => name === 'WORKFLOW')).toMatchObject({ status: 'notEstablished', message: 'no trust folder' });
  });

  it('with a lone trust.policy, and WORKFLOW required all the same, is not established', async () => {
    expect((await verify('clean', '--trust', 'trust/trust.policy', '--require', 'integrity,workflow')).exit).toBe(3);
  });

  it('without trust, establishes nothing about whose it is', async () => {
    const { exit, stderr, json } = await verify('clean');
    expect(exit).toBe(3);
    expect(statusOf(json, 'SIGNATURE')).toBe('notEstablished');
    expect(stderr).toContain('no --trust');
  });

  it('grown from a checkpoint that was kept, says so', async () => {
    await writeStory(join(desk.directory, 'short'), beats.slice(0, 10));
    const { exit, json } = await verify('clean', '--trust', 'trust', '--pinned', 'short/ledger/checkpoint');
    expect(exit).toBe(0);
    expect(json.verdicts.find(({ name }) => name === 'COMPLETENESS')?.message).toContain('the first 11 are those of the pinned checkpoint');
  });

  it('shorter than a checkpoint that was kept, was rolled back', async () => {
    const { exit, json } = await verify('short', '--trust', 'trust', '--pinned', 'clean/ledger/checkpoint');
    expect(exit).toBe(1);
    expect(json.verdicts.find(({ name }) => name === 'COMPLETENESS')?.message).toContain('rolled back');
  });

  it('not grown from a checkpoint that was kept, is another story', async () => {
    await writeStory(join(desk.directory, 'forked'), cleanStory().beats.slice(0, 10));
    const { exit, json } = await verify('clean', '--trust', 'trust', '--pinned', 'forked/ledger/checkpoint');
    expect(exit).toBe(1);
    expect(json.verdicts.find(({ name }) => name === 'COMPLETENESS')?.message).toContain('split view');
  });

  it('with fewer records than there must be, fails', async () => {
    const { exit, json } = await verify('clean', '--trust', 'trust', '--min-size', '1000');
    expect(exit).toBe(1);
    expect(statusOf(json, 'COMPLETENESS')).toBe('fails');
  });

  it('whose last lease runs, fails only when judged as of later', async () => {
    await writeStory(join(desk.directory, 'running'), toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats);
    expect((await verify('running', '--trust', 'trust')).exit).toBe(0);
    const later = await verify('running', '--trust', 'trust', '--as-of', '2026-11-25T00:00:00.000Z');
    expect(later.exit).toBe(1);
    expect(later.json.workflow?.violations.map(({ code }) => code)).toEqual(['lease-overdue']);
  });
});

describe('a ledger that is not', () => {
  it.each<[string, (ledger: string) => void, string, RegExp]>([
    ['a byte flipped in a record', (ledger) => flip(bundle(ledger), 'nightly-billing', 'Nightly-billing'), 'INTEGRITY', /record \d+/],
    ['a byte flipped in an object', (ledger) => flip(join(ledger, 'objects', '0'), 'billing_export', 'Billing_export'), 'INTEGRITY', /object|record/],
    ['a bundle missing', (ledger) => rmSync(bundle(ledger)), 'INTEGRITY', /record|missing|not there/],
    ['its end cut off', (ledger) => truncateSync(bundle(ledger), statSync(bundle(ledger)).size - 100), 'INTEGRITY', /record \d+|records/],
    ['bytes after its end', (ledger) => appendFileSync(bundle(ledger), 'more'), 'INTEGRITY', /record|bundle|whole/],
    ['a file that does not belong', (ledger) => writeFileSync(join(ledger, 'note.txt'), 'hello'), 'INTEGRITY', /unexpected file/],
    ['a signature that is not the key’s', (ledger) => flipSignature(join(ledger, 'checkpoint')), 'SIGNATURE', /sign/],
    ['no checkpoint', (ledger) => rmSync(join(ledger, 'checkpoint')), 'SIGNATURE', /no checkpoint/],
  ])('with %s fails, and says what', async (_what, spoil, name, message) => {
    const { exit, json } = await verify(spoilt(spoil), '--trust', 'trust');
    expect(exit).toBe(1);
    const verdict = json.verdicts.find((one) => one.name === name);
    expect(verdict?.status).toBe('fails');
    expect(verdict?.message).toMatch(message);
  });

  it('under somebody else’s trust, fails by SIGNATURE and not by INTEGRITY', async () => {
    mkdirSync(join(desk.directory, 'others'));
    writeFileSync(join(desk.directory, 'others', 'trust.policy'), `log ${generateSignerKey('other.example/ledger', new Uint8Array(32).fill(9)).vkey}\nquorum none\n`);
    const { exit, json } = await verify('clean', '--trust', 'others/trust.policy');
    expect(exit).toBe(1);
    expect(statusOf(json, 'SIGNATURE')).toBe('fails');
    expect(statusOf(json, 'INTEGRITY')).toBe('holds');
  });

  it('whose workflow breaks a rule, names the record, the rule and the change', async () => {
    writeTrust('strict', { quorum: 2 });
    const { exit, stdout } = await desk.run('verify', 'clean', '--trust', 'strict');
    expect(exit).toBe(1);
    expect(stdout).toMatch(/✗ WORKFLOW {5}FAILS {11}record \d+: approved by person:ana where the floor asks for 2 by session or better \(below-floor\), in chg_\S+, and 1 more violation$/m);
    expect(stdout).toMatch(/^ {4}record \d+: .+ \(below-floor\)$/m);
    expect(stdout).toMatch(/NOT VERIFIED: WORKFLOW failed\n$/);
  });

  it('in which nothing is required that fails, is verified all the same', async () => {
    expect((await verify('clean', '--trust', 'strict', '--require', 'INTEGRITY,SIGNATURE')).exit).toBe(0);
  });
});

describe('what cannot be verified at all', () => {
  it('a folder without a ledger is 3', async () => {
    mkdirSync(join(desk.directory, 'empty'));
    const { exit, json } = await verify('empty', '--trust', 'trust');
    expect([exit, json.error?.code]).toEqual([3, 'no-ledger']);
  });
  it('a path that is not there is 4', async () => {
    const { exit, json } = await verify('nowhere', '--trust', 'trust');
    expect([exit, json.error?.code]).toEqual([4, 'no-ledger']);
  });
  it('a trust that cannot be read is 3', async () => {
    const { exit, json } = await verify('clean', '--trust', 'nowhere');
    expect([exit, json.error?.code]).toEqual([3, 'no-trust']);
  });
  it('a trust folder with a file that is not what it should be is 3, and named', async () => {
    cpSync(join(desk.directory, 'trust'), join(desk.directory, 'broken'), { recursive: true });
    writeFileSync(join(desk.directory, 'broken', 'executors.json'), '[{"id":"executor:main"}]');
    const { exit, json } = await verify('clean', '--trust', 'broken');
    expect(exit).toBe(3);
    expect(json.error?.cause).toContain('executors.json at /0');
  });
  it('a pinned checkpoint that is no checkpoint is 3, and one that is not there is 4', async () => {
    writeFileSync(join(desk.directory, 'pin'), 'not a note');
    expect((await verify('clean', '--trust', 'trust', '--pinned', 'pin')).exit).toBe(3);
    expect((await verify('clean', '--trust', 'trust', '--pinned', 'no-pin')).exit).toBe(4);
  });
  it('effects under observe are not established, unless they are taken as they are, and are told either way', async () => {
    const { digest, draft } = loaded();
    await writeStory(join(desk.directory, 'observed'), toldUnderObserve(digest).beats, [], [draft]);
    writeTrust('trusts-nobody-need-approve', { quorum: 0 });
    const said = `1 effect under observe until ${UNTIL}, not enforced`;
    const [plainly, accepted] = [await verify('observed', '--trust', 'trusts-nobody-need-approve'), await verify('observed', '--trust', 'trusts-nobody-need-approve', '--accept-observed')];
    expect([plainly.exit, accepted.exit]).toEqual([3, 0]);
    for (const { json } of [plainly, accepted]) {
      expect(json.notProven).toContain(said);
      expect(json.workflow?.counts).toMatchObject({ observed: 1, observedUntilMs: Date.parse(UNTIL) });
    }
    const { stdout } = await desk.run('verify', 'observed', '--trust', 'trusts-nobody-need-approve');
    expect(stdout).toContain(`\n  - ${said}\n`);
    expect(stdout).toMatch(/NOT VERIFIED: WORKFLOW could not be established/);
    const attested = await verify('observed', '--trust', 'trusts-nobody-need-approve', '--accept-observed', '--attest', 'a.json', '--attest-key', 'a.key');
    expect([attested.exit, attested.json.error?.cause]).toEqual([2, '--attest goes with no --accept-observed']);
  });

  it.each([[['verify']], [['verify', 'clean', '--require', 'EVERYTHING']], [['verify', 'clean', '--min-size', 'many']], [['verify', 'clean', '--as-of', 'now']], [['verify', 'clean', '--nonsense']]])('%j is 2', async (argv) => {
    expect((await desk.run(...argv)).exit).toBe(2);
  });
});
