/** Policy that is no policy: each sort of it denies with a code of its own, the sidecar goes on, and what was given is taken back as ever. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPdp, type Pdp } from '../../src/pdp/engine.ts';
import { openTestSidecar, PROVISION, scriptedPdp, usualPolicy, type TestSidecar } from '../support/sidecar.ts';
import type { Crafted } from '../pdp/crafted-wasm.ts';
import { craftedBundle } from '../pdp/support.ts';

const result = (text: string): Crafted => ({ result: `[{"result":${text}}]` });
/** Missing built-ins are found before anything is run (`test/pdp/faults.test.ts`), and so is every pattern: the runtime has none. */
const POLICIES: readonly [string, Crafted, string][] = [
  ['undefined', { result: '[]' }, 'undefined-result'],
  ['null', result('null'), 'null-result'],
  ['an empty object', result('{}'), 'malformed-result'],
  ['the text "true"', result('"true"'), 'not-an-object'],
  ['two results', { result: '[{"result":{}},{"result":{}}]' }, 'ambiguous-result'],
  ['NaN', result('NaN'), 'unparsable-result'],
  ['a thrown string', { trick: 'abort' }, 'policy-threw'],
  ['a call of a built-in that is not there', { trick: 'call-builtin' }, 'unknown-builtin'],
  ['an endless loop', { trick: 'loop' }, 'timed-out'],
  ['10 MB', { trick: 'flood' }, 'result-too-large'],
];
const SUBJECT = 'nhi:prod/billing-export';

let sidecar: TestSidecar | null = null;
let faulty: Pdp | null = null;
afterEach(async () => {
  await sidecar?.close();
  await faulty?.close();
});

describe('a policy that answers', () => {
  it.each(POLICIES)('%s', async (_what, crafted, code) => {
    let inForce: Pdp = scriptedPdp(usualPolicy);
    const pdp: Pdp = { bundle: inForce.bundle, decide: (input) => inForce.decide(input), schedule: (input) => inForce.schedule(input), verify: (input) => inForce.verify(input), reconcile: (input) => inForce.reconcile(input), redecide: (input) => inForce.redecide(input), accept: (input) => inForce.accept(input), close: async () => undefined };
    sidecar = await openTestSidecar({ pdp });
    const { engine } = sidecar;
    const { id: held } = await sidecar.change(SUBJECT, PROVISION);
    await vi.waitFor(() => expect(engine.get(held)?.name).toBe('active'), { timeout: 10_000 });

    // Brief for the one that has no end: what another has to say may take its time.
    faulty = await openPdp({ directory: await craftedBundle(crafted), deadlineMs: code === 'timed-out' ? 150 : 15_000 });
    inForce = faulty;
    const { id } = await sidecar.change(SUBJECT, PROVISION);
    await vi.waitFor(() => expect(engine.get(id)?.name).toBe('denied'), { timeout: 10_000 });
    expect(engine.get(id)?.decision).toMatchObject({ effect: 'deny', reasons: [{ code, rule: 'engine' }] });

    await engine.revokeAll('person:ana', SUBJECT, null);
    await vi.waitFor(() => expect(engine.get(held)?.name).toBe('revoked'), { timeout: 10_000 });
    expect((await sidecar.send(null, 'GET', '/healthz')).status).toBe(200);
  });

  it('each with a code of its own', () => {
    expect(new Set(POLICIES.map(([, , code]) => code)).size).toBe(POLICIES.length);
  });
});
