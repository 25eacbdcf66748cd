/** `policy replay` and `policy diff`, on real decisions of the shipped policy; as many as COUNTERSIGN_DECISIONS says. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBundle, ENTRYPOINTS } from '../../src/pdp/bundle.ts';
import type { Difference } from '../../src/workbench/difference.ts';
import { decidedTrust, writeDecisions } from '../support/decided-ledger.ts';
import { shippedBundle } from '../support/replayed.ts';
import { openDesk, type Desk } from '../support/world.ts';

const COUNT = Number(process.env['COUNTERSIGN_DECISIONS'] ?? 120);
const BUNDLE = join(import.meta.dirname, '../../policy/bundle');
const LONG = { timeout: 600_000 };
let desk: Desk;

beforeAll(async () => {
  desk = openDesk();
  await writeDecisions(join(desk.directory, 'true'), COUNT, await shippedBundle());
  // The seventh is recorded as a yes where policy said no, by whoever holds every key.
  await writeDecisions(join(desk.directory, 'lying'), 12, await shippedBundle(), (one, n) => {
    if (n !== 6 || one.draft.type !== 'policy.decided') return one;
    return { ...one, draft: JSON.parse(JSON.stringify(one.draft).replace('"effect":"deny"', '"effect":"needsApproval"')) as typeof one.draft };
  });
  for (const [name, text] of Object.entries(decidedTrust())) {
    mkdirSync(join(desk.directory, 'trust'), { recursive: true });
    writeFileSync(join(desk.directory, 'trust', name), text);
  }
  const data = JSON.parse(readFileSync(join(BUNDLE, 'data.json'), 'utf8')) as { limits: { leaseSecondsMax: { high: number }; escalateAfterSeconds: { medium: number } } };
  variant('stricter', { ...data, limits: { ...data.limits, leaseSecondsMax: { ...data.limits.leaseSecondsMax, high: 60 } } });
  variant('sooner', { ...data, limits: { ...data.limits, escalateAfterSeconds: { ...data.limits.escalateAfterSeconds, medium: 60 } } });
}, 300_000);
afterAll(() => desk.remove());

/** The shipped module with other data, or a module of our own. */
function variant(name: string, data: object): void {
  const folder = join(desk.directory, name);
  cpSync(BUNDLE, folder, { recursive: true });
  const wasm = readFileSync(join(BUNDLE, 'policy.wasm'));
  const bytes = Buffer.from(JSON.stringify(data));
  writeFileSync(join(folder, 'data.json'), bytes);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(describeBundle({ wasm, data: bytes }, { entrypoints: ENTRYPOINTS, opa: '1.22.2', sources: `sha256:${'0'.repeat(64)}` })));
}

interface Replayed {
  readonly decisions: number;
  readonly same: number;
  readonly differing: number;
  readonly kept: readonly { readonly seq: number; readonly changeId: string }[];
  readonly unreplayed: readonly { readonly why: string; readonly count: number }[];
  readonly error?: { readonly code: string };
}
const asked = async (...argv: string[]): Promise<{ exit: number; document: Replayed & Difference }> => {
  const startedMs = performance.now();
  const { exit, stdout } = await desk.run('policy', ...argv, '--json');
  if (COUNT > 1_000) console.info(`policy ${argv.join(' ')}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s for ${COUNT} decisions`);
  return { exit, document: JSON.parse(stdout) as Replayed & Difference };
};

describe('policy replay', () => {
  it('finds that every decision comes out the same, by the recorded bundle under a trust folder', LONG, async () => {
    const { exit, document } = await asked('replay', 'true', '--trust', 'trust');
    expect([exit, document.decisions, document.same, document.differing]).toEqual([0, COUNT, COUNT, 0]);
  });

  it('finds the same by the same bundle of one’s own, with nobody’s trust', LONG, async () => {
    const { exit, document } = await asked('replay', 'true');
    expect([exit, document.same, document.unreplayed]).toEqual([0, COUNT, []]);
  });

  it.each([[['--trust', 'trust']], [[]]])('names the record and change of a decision that policy did not make: %j', async (flags) => {
    const { exit, document } = await asked('replay', 'lying', ...flags);
    expect([exit, document.decisions, document.same, document.differing]).toEqual([1, 12, 11, 1]);
    expect(document.kept).toEqual([{ seq: 30, changeId: expect.stringMatching(/^chg_/) as string, message: expect.stringMatching(/policy says deny where needsApproval is recorded/) as string }]);
  });

  it('does not say that decisions hold which another bundle made', async () => {
    const { exit, document } = await asked('replay', 'lying', '--policy', 'stricter');
    expect([exit, document.same, document.unreplayed]).toEqual([3, 0, [{ why: 'otherBundle', count: 12, message: 'by another bundle than this one' }]]);
  });

  it('runs nothing of a bundle that nobody trusted has signed', async () => {
    mkdirSync(join(desk.directory, 'unsigned'));
    for (const [name, text] of Object.entries(decidedTrust())) writeFileSync(join(desk.directory, 'unsigned', name), text.replace(/,?"policySigners":\[[^\]]*\]/, ''));
    expect((await asked('replay', 'lying', '--trust', 'unsigned')).exit).toBe(3);
  });

  it.each<[string, string[], number, string]>([
    ['a folder that is not there', ['nowhere'], 4, 'no-ledger'],
    ['a folder without a ledger', ['trust'], 3, 'no-ledger'],
    ['a trust folder that is not there', ['lying', '--trust', 'nowhere'], 3, 'no-trust'],
    ['both ways at once', ['lying', '--trust', 'trust', '--policy', 'stricter'], 2, 'usage'],
  ])('%s: exit and code', async (_what, argv, exit, code) => {
    const { exit: ended, document } = await asked('replay', ...argv);
    expect([ended, document.error?.code]).toEqual([exit, code]);
  });

  it('stops at a record whose bytes are altered', async () => {
    cpSync(join(desk.directory, 'lying'), join(desk.directory, 'altered'), { recursive: true });
    const file = join(desk.directory, 'altered/ledger/objects/0');
    const bytes = readFileSync(file);
    // The last byte but one of the last object, which is a question.
    bytes[bytes.length - 2]! ^= 1;
    writeFileSync(file, bytes);
    const { exit, document } = await asked('replay', 'altered');
    expect([exit, document.error?.code]).toEqual([1, 'corrupt']);
  });
});

describe('policy diff', () => {
  it('finds none between a policy and itself', LONG, async () => {
    const { exit, document } = await asked('diff', BUNDLE, BUNDLE, '--ledger', 'true');
    expect([exit, document.asked, document.same, document.outcomes, document.codes]).toEqual([0, COUNT, COUNT, [], []]);
  });

  it('counts outcomes that change, from what to what, and by which reason, with changes to look at', LONG, async () => {
    const { exit, document } = await asked('diff', BUNDLE, 'stricter', '--ledger', 'true');
    expect(exit).toBe(1);
    const [outcome] = document.outcomes;
    expect(outcome).toMatchObject({ entrypoint: 'access/decide', from: 'needsApproval', to: 'deny', count: document.changed });
    expect(document.changed).toBeGreaterThan(0);
    expect(outcome!.examples).toHaveLength(3);
    expect(outcome!.examples[0]!.changeId).toMatch(/^chg_/);
    // Those who were denied for something else are now denied for this as well: the same outcome, otherwise.
    expect(document.codes.find(({ code }) => code === 'lease-too-long')).toMatchObject({ gained: document.changed + document.otherwise, lost: 0 });
    expect(document.same + document.changed + document.otherwise).toBe(COUNT);
    const { stdout } = await desk.run('policy', 'diff', BUNDLE, 'stricter', '--ledger', 'true');
    expect(stdout).toMatch(/^ +\d+ {2}needsApproval → deny +chg_\w+ \(record \d+\), /m);
    expect(stdout).toMatch(/^ +\+\d+ +-0 {2}lease-too-long/m);
  });

  it('tells a change of obligations alone from one of outcome', LONG, async () => {
    const { exit, document } = await asked('diff', BUNDLE, 'sooner', '--ledger', 'true');
    expect([exit, document.changed, document.codes]).toEqual([1, 0, []]);
    expect(document.otherwise).toBeGreaterThan(0);
    expect(document.otherwiseExamples).toHaveLength(3);
  });

  it('looks at the time that it is asked about', async () => {
    const hour = await asked('diff', BUNDLE, BUNDLE, '--ledger', 'lying', '--from', '2026-11-23T19:03:00.030Z', '--to', '2026-11-23T19:08:00.030Z');
    expect([hour.exit, hour.document.decisions]).toEqual([0, 5]);
    const none = await asked('diff', BUNDLE, BUNDLE, '--ledger', 'lying', '--from', '2027-01-01');
    expect([none.exit, none.document.decisions]).toEqual([3, 0]);
  });

  it.each<[string, string[], number, string]>([
    ['a policy that is not there', ['nowhere', BUNDLE, '--ledger', 'lying'], 4, 'no-policy'],
    ['a time that is none', [BUNDLE, BUNDLE, '--ledger', 'lying', '--from', 'yesterday'], 2, 'usage'],
    ['no time at all', [BUNDLE, BUNDLE, '--ledger', 'lying', '--from', '2026-12-01', '--to', '2026-12-01'], 2, 'usage'],
    ['a folder without a ledger', [BUNDLE, BUNDLE, '--ledger', 'trust'], 3, 'no-ledger'],
  ])('%s: exit and code', async (_what, argv, exit, code) => {
    const { exit: ended, document } = await asked('diff', ...argv);
    expect([ended, document.error?.code]).toEqual([exit, code]);
  });
});
