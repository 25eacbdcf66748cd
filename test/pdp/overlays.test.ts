/** What a team's overlay objects to, through the compiled policy: it tightens what is gained, and holds up nothing that is taken back. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { buildPolicy } from '../../src/cli/policy-build.ts';
import { readCases, type PolicyCase } from '../../src/cli/policy-cases.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { createEvaluator, type Evaluator } from '../../src/pdp/evaluator.ts';
import { EngineFault } from '../../src/pdp/fault.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { BUNDLE, ROOT } from './support.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

const FREEZE = `# METADATA
# title: Freeze
# description: The team wants nothing to change.
# custom:
#   code: team-freeze
#   message: "Nothing changes."
#   solution: Wait.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3}
deny contains lib.said(rego.metadata.chain())
`;

const { cases } = readCases(await readFile(join(ROOT, 'policy', 'testcases', 'decide.json'), 'utf8'));
const baseline = createEvaluator((await readBundle(BUNDLE)).image);
const ask = (evaluator: Evaluator, { input }: PolicyCase): Decision => evaluator.evaluate('access/decide', JSON.stringify(input)) as Decision;

interface Asked { readonly phase: string; readonly change: { readonly kind: string; readonly step: { readonly action: string } | null } }
const takesAway = ({ input }: PolicyCase): boolean => {
  const { change, phase } = input as unknown as Asked;
  return ['revoke', 'disable', 'offboard'].includes(change.kind) || (phase === 'dispatch' && change.kind === 'rotate' && change.step?.action === 'retire');
};

/** The baseline with these rules as the overlay of one team; the sources are gone when the test is. */
async function withOverlay(rules: string): Promise<Evaluator> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-overlay-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await cp(join(ROOT, 'policy'), join(root, 'policy'), { recursive: true });
  await mkdir(join(root, 'policy', 'overlays', 'team'), { recursive: true });
  await writeFile(join(root, 'policy', 'overlays', 'team', 'team.rego'), `package overlays.team\n\nimport data.lib\n\n${rules}`);
  await buildPolicy({ root });
  return createEvaluator((await readBundle(join(root, 'policy', 'bundle'))).image);
}

test.skipIf(WITHOUT_OPA)('an overlay that denies everything denies what gives access, and changes no answer about what takes it away', async () => {
  const frozen = await withOverlay(FREEZE);
  const taken = cases.filter(takesAway);
  for (const one of taken) expect(ask(frozen, one), one.title).toEqual(ask(baseline, one));
  const allowed = taken.filter((one) => ask(frozen, one).effect === 'allow').flatMap((one) => ask(frozen, one).reasons.map(({ code }) => code));
  expect(allowed).toEqual(expect.arrayContaining(['retiring', 'part-of-offboarding', 'taking-back']));
  for (const one of cases.filter((other) => !takesAway(other))) expect(ask(frozen, one).effect, one.title).toBe('deny');
});

test.skipIf(WITHOUT_OPA)('an overlay that goes wrong gives nothing, and holds up nothing that is taken back', async () => {
  const broken = await withOverlay('deny := input.change.changeId\n\ndeny := "another"\n');
  for (const one of cases) {
    if (takesAway(one)) expect(ask(broken, one), one.title).toEqual(ask(baseline, one));
    else if (one.effect !== 'deny') expect(() => ask(broken, one), one.title).toThrow(EngineFault);
  }
});
