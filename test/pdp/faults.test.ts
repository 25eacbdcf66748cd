import { describe, expect, test } from 'vitest';
import { readBundle } from '../../src/pdp/bundle.ts';
import { absentPdp, EngineFault, openPdp, type Pdp, type PdpOptions } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { Crafted } from './crafted-wasm.ts';
import { craftedBundle, exampleFacts, GRANT, questionOf } from './support.ts';

const input = questionOf(await exampleFacts(), GRANT, ['nhi:prod/ci-deployer']);

async function faultOf(asked: Promise<unknown>): Promise<EngineFault> {
  const outcome = await asked.then((value) => ({ value }), (cause: unknown) => ({ cause }));
  if (!('cause' in outcome) || !(outcome.cause instanceof EngineFault)) throw new Error(`no fault but ${JSON.stringify(outcome)}`);
  return outcome.cause;
}

async function open(crafted: Crafted, options: Partial<PdpOptions> = {}): Promise<Pdp> {
  return openPdp({ directory: await craftedBundle(crafted), ...options });
}

const decision = JSON.stringify({
  effect: 'allow', reasons: [{ code: 'ok', message: 'ok', rule: 'r' }],
  obligations: { approvers: null, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
  entitlements: { requested: [], held: [], used: [], excess: [], counterOffer: null }, controls: [],
});
const OBSERVED = JSON.stringify({ scope: 'trial', owner: 'person:ana', until: '2026-12-01T00:00:00.000Z', effect: 'needsApproval', reasons: [{ code: 'ok', message: 'ok', rule: 'r' }], approvers: null });
const WINDOW = { calendar: 'weekly', opensAtMs: 1_000, closesAtMs: 2_000 };
const set = (...results: string[]): string => `[${results.map((result) => `{"result":${result}}`).join(',')}]`;

/** What policy may answer, and what becomes of it. */
const CRAFTED: [string, Crafted, string, RegExp][] = [
  ['undefined', { result: '[]' }, 'undefined-result', /undefined/],
  ['two results', { result: set(decision, decision) }, 'ambiguous-result', /2 results/],
  ['null', { result: set('null') }, 'null-result', /null where an object/],
  ['an empty object', { result: set('{}') }, 'malformed-result', /\/effect/],
  ['the text "true"', { result: set('"true"') }, 'not-an-object', /a string where an object/],
  ['true', { result: set('true') }, 'not-an-object', /a boolean where an object/],
  ['1', { result: set('1') }, 'not-an-object', /a number where an object/],
  ['an array', { result: set(`[${decision}]`) }, 'not-an-object', /an array where an object/],
  ['NaN', { result: set('NaN') }, 'unparsable-result', /not JSON/],
  ['a decision cut short', { result: set(decision).slice(0, -2) }, 'unparsable-result', /not JSON/],
  ['no result set', { result: '{}' }, 'malformed-result', /no result set/],
  ['a result set without a result', { result: '[{}]' }, 'malformed-result', /no result/],
  ['an unknown effect', { result: set(decision.replace('"allow"', '"permit"')) }, 'malformed-result', /\/effect/],
  ['a member that nobody knows', { result: set(decision.replace('{', '{"allow":true,')) }, 'malformed-result', /allow/],
  ['a __proto__ member', { result: set(decision.replace('"controls":[]', '"controls":[],"__proto__":{"effect":"allow"}')) }, 'malformed-result', /__proto__/],
  ['a constructor deep inside', { result: set(decision.replace('"counterOffer":null', '"counterOffer":{"constructor":{"prototype":{}}}')) }, 'malformed-result', /constructor/],
  ['no reasons', { result: set(decision.replace(/"reasons":\[[^\]]*\]/, '"reasons":[]')) }, 'malformed-result', /\/reasons/],
  ['an approval by nobody in particular', { result: set(decision.replace('"allow"', '"needsApproval"')) }, 'malformed-result', /without approvers/],
  ['an allow that names approvers', { result: set(decision.replace('"approvers":null', '"approvers":"person:ana"')) }, 'malformed-result', /with approvers/],
  ['an allow by an exception', { result: set(decision.replace('"controls":[]', '"controls":[],"exceptions":[{"id":"a","rule":"exceeds-purpose","owner":"person:ana","until":"2026-12-01T00:00:00.000Z"}]')) }, 'malformed-result', /allow by an exception/],
  ['a denial that is observed', { result: set(decision.replace('"effect":"allow"', '"effect":"deny"').replace('"controls":[]', `"controls":[],"observed":${OBSERVED}`)) }, 'malformed-result', /observed, and deny/],
  ['approvals that are observed, of nobody', { result: set(decision.replace('"controls":[]', `"controls":[],"observed":${OBSERVED}`)) }, 'malformed-result', /observed needsApproval without approvers/],
  ['a lease of a fraction', { result: set(decision.replace('"maxLeaseSeconds":null', '"maxLeaseSeconds":0.5')) }, 'malformed-result', /maxLeaseSeconds/],
  ['a text of 10 MB', { trick: 'flood' }, 'result-too-large', /more than 1048576/],
  ['a thrown string', { trick: 'abort' }, 'policy-threw', /aborted on purpose/],
  ['a trap', { trick: 'trap' }, 'policy-threw', /unreachable/],
  ['a call of a built-in that nobody declared', { trick: 'call-builtin' }, 'unknown-builtin', /not implemented/],
];

describe.each([
  ['in a thread', (crafted: Crafted) => open(crafted)],
  ['in this thread', async (crafted: Crafted) => inlinePdp(await readBundle(await craftedBundle(crafted)))],
])('evaluated %s', (_where, make) => {
  test.each(CRAFTED)('%s is a fault and not a decision', async (_name, crafted, code, message) => {
    const pdp = await make(crafted);
    const fault = await faultOf(pdp.decide(input));
    expect(fault.code).toBe(code);
    expect(fault.message).toMatch(message);
    // The engine is still there, and says the same again.
    expect((await faultOf(pdp.decide(input))).code).toBe(code);
    expect(Object.hasOwn(Object.prototype, 'effect')).toBe(false);
    await pdp.close();
  });

  test('a whole decision is given as it is', async () => {
    const pdp = await make({ result: set(decision) });
    expect(await pdp.decide(input)).toEqual(JSON.parse(decision));
    await pdp.close();
  });

  test('a verification and a schedule are held to their own form', async () => {
    const pdp = await make({ result: set(decision) });
    expect((await faultOf(pdp.verify({} as never))).code).toBe('malformed-result');
    expect((await faultOf(pdp.schedule(input))).code).toBe('malformed-result');
    await pdp.close();
  });

  test.each([
    ['none', { calendar: null }, null, null],
    ['one of the question', { calendar: { windows: [WINDOW], freezes: [] } }, WINDOW, null],
    ['one that was moved', { calendar: { windows: [WINDOW], freezes: [] } }, { ...WINDOW, closesAtMs: WINDOW.closesAtMs + 1 }, 'malformed-result'],
    ['one of another calendar', { calendar: { windows: [WINDOW], freezes: [] } }, { ...WINDOW, calendar: 'another' }, 'malformed-result'],
    ['one where no calendar is kept', { calendar: null }, WINDOW, 'malformed-result'],
  ])('a schedule that names %s is believed only if it was offered', async (_what, part, window, fault) => {
    const pdp = await make({ result: set(JSON.stringify({ window, reasons: [{ code: 'ok', message: 'ok', rule: 'r' }] })) });
    const asked = pdp.schedule({ ...input, facts: { ...input.facts, ...part } });
    if (fault === null) expect((await asked).window).toEqual(window);
    else expect(await faultOf(asked)).toMatchObject({ code: fault, message: expect.stringMatching(/not one of those/) as string });
    await pdp.close();
  });

  test.each<[string, Crafted, string]>([
    ['that needs a built-in', { builtins: '{"http.send":0,"time.now_ns":1}' }, 'unknown-builtin'],
    ['that needs a built-in which the library offers', { builtins: '{"regex.split":0}' }, 'unknown-builtin'],
    ['without the entrypoints', { entrypoints: '{"access/decide":0}' }, 'bad-bundle'],
    ['that aborts while it is loaded', { abortsOnLoad: true }, 'bad-bundle'],
  ])('a module %s is not opened', async (_name, crafted, code) => {
    expect((await faultOf(make(crafted))).code).toBe(code);
  });
});

test('an evaluation that does not end is killed at the deadline, and the next one is answered as late', async () => {
  const pdp = await open({ trick: 'loop' }, { deadlineMs: 150 });
  expect((await faultOf(pdp.decide(input))).code).toBe('timed-out');
  expect((await faultOf(pdp.decide(input))).code).toBe('timed-out');
  await pdp.close();
});

test('many evaluations that do not end all come back, each with its own fault', async () => {
  const pdp = await open({ trick: 'loop' }, { deadlineMs: 200, workersMax: 2 });
  const codes = await Promise.all(Array.from({ length: 12 }, async () => (await faultOf(pdp.decide(input))).code));
  expect(new Set(codes)).toEqual(new Set(['timed-out']));
  await pdp.close();
});

test('an evaluation that does not end holds up nobody else', async () => {
  const verification = JSON.stringify({ effect: 'allow', reasons: [{ code: 'ok', message: 'ok', rule: 'r' }], controls: [] });
  const pdp = await open({ trick: 'loop-on-decide', result: set(verification) }, { deadlineMs: 3_000, workersMax: 2 });
  const settled: string[] = [];
  const stuck = faultOf(pdp.decide(input)).then((fault) => settled.push(fault.code));
  const others = Array.from({ length: 200 }, () => pdp.verify({} as never).then((answer) => settled.push(answer.effect)));
  await Promise.all([stuck, ...others]);
  expect(settled).toEqual([...Array.from({ length: 200 }, () => 'allow'), 'timed-out']);
  await pdp.close();
});

test('questions beyond the waiting room are refused at once', async () => {
  const pdp = await open({ trick: 'loop' }, { deadlineMs: 300, workersMax: 1, waitingMax: 2 });
  const asked = Array.from({ length: 5 }, () => faultOf(pdp.decide(input)));
  const codes = (await Promise.all(asked)).map((fault) => fault.code);
  expect(codes.filter((code) => code === 'overloaded')).toHaveLength(2);
  expect(codes.filter((code) => code === 'timed-out')).toHaveLength(3);
  await pdp.close();
});

test('a question that no thread takes up in time is told so, without having been evaluated', async () => {
  const pdp = await open({ trick: 'loop' }, { deadlineMs: 60_000, workersMax: 1, waitMs: 50 });
  const stuck = faultOf(pdp.decide(input));
  expect((await faultOf(pdp.decide(input))).code).toBe('overloaded');
  await pdp.close();
  expect((await stuck).code).toBe('closed');
});

test('closing answers whoever waits', async () => {
  const pdp = await open({ trick: 'loop' }, { deadlineMs: 60_000 });
  const asked = faultOf(pdp.decide(input));
  await pdp.close();
  expect((await asked).code).toBe('closed');
  expect((await faultOf(pdp.decide(input))).code).toBe('closed');
});

test('an input that is too large is not evaluated', async () => {
  const pdp = await open({ result: set(decision) }, { inputBytesMax: 100 });
  expect((await faultOf(pdp.decide(input))).code).toBe('input-too-large');
  await pdp.close();
});

test('without a bundle there is no policy, and no decision', async () => {
  const pdp = absentPdp();
  expect(pdp.bundle).toBeNull();
  expect((await faultOf(pdp.decide(input))).code).toBe('no-policy');
  expect((await faultOf(pdp.verify({} as never))).code).toBe('no-policy');
  expect((await faultOf(pdp.schedule(input))).code).toBe('no-policy');
  expect((await faultOf(openPdp({ directory: '/nonexistent/policy' }))).code).toBe('no-policy');
});
