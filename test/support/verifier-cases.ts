/** Ledgers good and bad, each with what an auditor brings to it: whatever verifies one must say the same of it. */
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateSignerKey } from '../../ledger/index.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { loaded, SCOPE, toldUnderObserve } from '../evidence/observe-cases.ts';
import { signedBy } from './granted.ts';
import { ledgerOf, linesOf, storyBundle } from './packs.ts';
import { activated, approved, proposed, verdictOn } from './proposals.ts';
import { testSshKey } from './ssh.ts';
import { called } from './step-stories.ts';
import { cleanStory, GRANT, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, PROVISION, trustFiles, writeStory, type Beat } from './story.ts';

/** Paths are relative to the directory that the cases were written in. */
export interface VerifierCase {
  readonly title: string;
  readonly ledger: string;
  readonly trust: string | null;
  readonly pinned?: string;
  readonly minSize?: string;
  readonly asOf?: string;
}

const GOLDEN = join(import.meta.dirname, '..', 'vectors', 'golden', 'v1');

/** Every so many bytes of every file one is flipped. */
export interface Flips {
  readonly every: number;
}

export async function writeVerifierCases(directory: string, flips: Flips): Promise<VerifierCase[]> {
  const at = (...parts: string[]): string => join(directory, ...parts);
  const story = async (name: string, beats: readonly Beat[]): Promise<void> => writeStory(at(name), beats);
  const { beats, grant } = cleanStory();
  await story('clean', beats);
  await writePacks(directory, beats, grant.changeId);
  await story('short', beats.slice(0, 10));
  await story('forked', cleanStory().beats.slice(0, 10));
  await story('called', called({ unread: true }).beats);
  await story('running', toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats);
  await story('hostile', hostileBeats());
  const ana = testSshKey();
  const byAna = verdictOn(1, 'person:ana', { ssh: ana });
  await writeStory(at('let-in'), [], [proposed(1), approved(1, byAna, 'person:ana'), activated(1, [byAna])]);
  const granted = loaded([signedBy('observe', SCOPE, { 'person:olga': ana })]);
  await writeStory(at('granted'), toldUnderObserve(granted.digest).beats, [], [granted.draft]);
  cpSync(GOLDEN, at('golden'), { recursive: true });
  writeTrust(at('trust'));
  writeTrust(at('strict'), { quorum: 2 });
  writeTrust(at('nobody'), { noSidecar: true });
  const signing = { policyActivation: { quorum: 1, approvers: ['person:ana'], proofClass: 'ssh' } };
  writeTrust(at('signing'), { ...signing, signers: `person:ana ${ana.publicLine}\n` });
  writeTrust(at('signing-others'), { ...signing, signers: `person:ana ${testSshKey().publicLine}\n` });
  const granting = { quorum: 0, exceptionGrants: { quorum: 1, approvers: ['person:olga'] } };
  writeTrust(at('granting'), { ...granting, signers: `person:olga ${ana.publicLine}\n` });
  writeTrust(at('granting-others'), { ...granting, signers: `person:olga ${testSshKey().publicLine}\n` });
  writeTrust(at('broken'));
  writeFileSync(at('broken', 'executors.json'), '[{"id":"executor:main"}]');
  writeFileSync(at('others.policy'), `log ${generateSignerKey('other.example/ledger', new Uint8Array(32).fill(9)).vkey}\nquorum none\n`);
  writeFileSync(at('no-note'), 'not a note');
  const usual = { ledger: 'clean/ledger', trust: 'trust' };
  const pinned = (name: string): string => `${name}/ledger/checkpoint`;
  return [
    { title: 'the golden ledger', ledger: 'golden/ledger', trust: 'golden/trust' },
    { title: 'a clean ledger', ...usual },
    { title: 'its parent folder', ledger: 'clean', trust: 'trust' },
    { title: 'a lone trust.policy', ledger: 'clean/ledger', trust: 'trust/trust.policy' },
    { title: 'no trust', ledger: 'clean/ledger', trust: null },
    { title: 'somebody else’s trust', ledger: 'clean/ledger', trust: 'others.policy' },
    { title: 'a stricter floor', ledger: 'clean/ledger', trust: 'strict' },
    { title: 'no ticket key', ledger: 'clean/ledger', trust: 'nobody' },
    { title: 'a trust file that is none', ledger: 'clean/ledger', trust: 'broken' },
    { title: 'grown from a kept checkpoint', ...usual, pinned: pinned('short') },
    { title: 'rolled back', ledger: 'short/ledger', trust: 'trust', pinned: pinned('clean') },
    { title: 'another story than the kept checkpoint’s', ...usual, pinned: pinned('forked') },
    { title: 'a kept checkpoint that is none', ...usual, pinned: 'no-note' },
    { title: 'too few records', ...usual, minSize: '1000' },
    { title: 'a caller’s change', ledger: 'called/ledger', trust: 'trust' },
    { title: 'a lease that runs', ledger: 'running/ledger', trust: 'trust' },
    { title: 'a lease that is overdue as of later', ledger: 'running/ledger', trust: 'trust', asOf: '2026-11-25T00:00:00.000Z' },
    { title: 'hostile words in the records', ledger: 'hostile/ledger', trust: 'trust' },
    { title: 'a bundle that was let in by signature', ledger: 'let-in/ledger', trust: 'signing' },
    { title: 'a bundle that was let in by nobody whose key is known', ledger: 'let-in/ledger', trust: 'signing-others' },
    { title: 'a scope under observe that was granted', ledger: 'granted/ledger', trust: 'granting' },
    { title: 'a scope that was granted by nobody whose key is known', ledger: 'granted/ledger', trust: 'granting-others' },
    { title: 'a pack of a change', ledger: 'change.pack', trust: 'trust' },
    { title: 'a pack of an identity', ledger: 'nhi.pack', trust: 'trust' },
    { title: 'a pack, without trust', ledger: 'change.pack', trust: null },
    { title: 'a pack, with a lone trust.policy', ledger: 'change.pack', trust: 'trust/trust.policy' },
    { title: 'a pack with a byte flipped', ledger: 'flipped.pack', trust: 'trust' },
    { title: 'a pack that is cut short', ledger: 'cut.pack', trust: 'trust' },
    { title: 'an empty file', ledger: 'empty.pack', trust: 'trust' },
    { title: 'a file that is no pack', ledger: 'no-note', trust: 'trust' },
    ...spoilt(directory),
    ...flipped(directory, flips),
  ];
}

async function writePacks(directory: string, beats: readonly Beat[], change: string): Promise<void> {
  const ledger = await ledgerOf([storyBundle(), ...linesOf(beats)]);
  const pack = await ledger.pack({ change });
  const nhi = await ledger.pack({ nhi: GRANT.subject });
  ledger.remove();
  const flipped = Buffer.from(pack);
  const at = pack.indexOf('"actor":"person:ana"');
  flipped[at + 18] = 'b'.charCodeAt(0);
  for (const [name, bytes] of [['change', pack], ['nhi', nhi], ['flipped', flipped], ['cut', pack.subarray(0, pack.length - 700)], ['empty', Buffer.alloc(0)]] as const) writeFileSync(join(directory, `${name}.pack`), bytes);
}

export function writeTrust(folder: string, edit: Parameters<typeof trustFiles>[0] = {}): void {
  mkdirSync(folder);
  for (const [file, text] of Object.entries(trustFiles(edit))) writeFileSync(join(folder, file), text);
  if (edit.signers !== undefined) writeFileSync(join(folder, 'allowed_signers'), edit.signers);
}

/** What would be markup, a formula or a turn of direction, were it more than text. */
export const HOSTILE = { target: '<img src=x onerror="document.title=\'owned\'">', privilege: '=HYPERLINK("https://evil.example")', turning: '\u061cnoitcerid\u200b' } as const;

function hostileBeats(): readonly Beat[] {
  const request: ChangeRequest = {
    ...(GRANT as Extract<ChangeRequest, { kind: 'grant' }>),
    entitlements: [HOSTILE.privilege, HOSTILE.turning].map((privilege) => ({ connector: 'pg-main', target: HOSTILE.target, privilege })),
  };
  return toldUntilDecided(request, START_MS, 'deny', new Telling(START_MS)).beats;
}

/** The bundle of the clean ledger, all of whose records are in one. */
function bundle(ledger: string): string {
  const folder = join(ledger, 'tile', 'entries', '000.p');
  return join(folder, readdirSync(folder)[0]!);
}

function spoilt(directory: string): VerifierCase[] {
  const ways: [string, (ledger: string) => void][] = [
    ['a bundle missing', (ledger) => rmSync(bundle(ledger))],
    ['its end cut off', (ledger) => truncateSync(bundle(ledger), statSync(bundle(ledger)).size - 100)],
    ['bytes after its end', (ledger) => appendFileSync(bundle(ledger), 'more')],
    ['a file that does not belong', (ledger) => writeFileSync(join(ledger, '<b>not\u202ehere'), 'hello')],
    ['no checkpoint', (ledger) => rmSync(join(ledger, 'checkpoint'))],
    ['a checkpoint that is not UTF-8', (ledger) => writeFileSync(join(ledger, 'checkpoint'), Buffer.from([0xff, 0xfe, 0x0a, 0xf0, 0x9f]))],
    ['no objects', (ledger) => rmSync(join(ledger, 'objects'), { recursive: true })],
    ['an object file too many', (ledger) => writeFileSync(join(ledger, 'objects', '1'), 'more')],
  ];
  return ways.map(([title, spoil], i) => {
    const name = `spoilt-${i}`;
    cpSync(join(directory, 'clean'), join(directory, name), { recursive: true });
    spoil(join(directory, name, 'ledger'));
    return { title: `a ledger with ${title}`, ledger: `${name}/ledger`, trust: 'trust' };
  });
}

function flipped(directory: string, { every }: Flips): VerifierCase[] {
  const cases: VerifierCase[] = [];
  const ledger = join(directory, 'clean', 'ledger');
  const files = readdirSync(ledger, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(ledger, name)).isFile());
  for (const file of files.sort()) {
    const bytes = readFileSync(join(ledger, file));
    for (let at = Math.floor(every / 3) % bytes.length; at < bytes.length; at += every) {
      const name = `flipped-${cases.length}`;
      cpSync(ledger, join(directory, name, 'ledger'), { recursive: true });
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ (1 << (at % 8));
      writeFileSync(join(directory, name, 'ledger', file), changed);
      cases.push({ title: `byte ${at} of ${file} flipped`, ledger: `${name}/ledger`, trust: 'trust' });
    }
  }
  return cases;
}

/** The arguments of `countersign verify` for a case. */
export function verifyArguments({ ledger, trust, pinned, minSize, asOf }: VerifierCase): string[] {
  return [
    'verify', '--json', ledger, ...(trust === null ? [] : ['--trust', trust]), ...(pinned === undefined ? [] : ['--pinned', pinned]),
    ...(minSize === undefined ? [] : ['--min-size', minSize]), ...(asOf === undefined ? [] : ['--as-of', asOf]),
  ];
}

/** What the CLI said, but for where the ledger is. */
export function withoutPlace(json: string): string {
  return json.replace(/^ {2}"directory": .*$/m, '  "directory": …');
}
