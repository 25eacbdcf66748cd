/** Threads that are given questions ahead of the one that they are at, and threads in the place of those that are killed. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { EngineFault, openPdp, type Pdp, type PdpOptions } from '../../src/pdp/engine.ts';
import { craftedBundle, exampleFacts, GRANT, questionOf } from './support.ts';

const input = questionOf(await exampleFacts(), GRANT, ['nhi:prod/ci-deployer']);
const verification = JSON.stringify({ effect: 'allow', reasons: [{ code: 'ok', message: 'ok', rule: 'r' }], controls: [] });

/** Does not come to an end about a decision, and answers about a verification at once. */
async function open(options: Partial<PdpOptions>): Promise<Pdp> {
  return openPdp({ directory: await craftedBundle({ trick: 'loop-on-decide', result: `[{"result":${verification}}]` }), ...options });
}
/** How many threads have been started since. */
function startedThreads(): () => number {
  let count = 0;
  const add = (): void => void (count += 1);
  process.on('worker', add);
  onTestFinished(() => void process.off('worker', add));
  return () => count;
}
const codeOf = (asked: Promise<unknown>): Promise<string> => asked.then(() => 'answered', (cause: unknown) => (cause instanceof EngineFault ? cause.code : 'thrown'));

test('what is behind a question that does not end is asked of another thread, with a deadline of its own', async () => {
  const pdp = await open({ deadlineMs: 1_500, workersMax: 1, aheadMax: 8 });
  const asked = ['decide', 'verify', 'decide', 'verify', 'verify'].map((which) => codeOf(which === 'decide' ? pdp.decide(input) : pdp.verify({} as never)));
  expect(await Promise.all(asked)).toEqual(['timed-out', 'answered', 'timed-out', 'answered', 'answered']);
  await pdp.close();
});

test('what is behind it is told when the engine is closed', async () => {
  const pdp = await open({ deadlineMs: 60_000, workersMax: 1, aheadMax: 8 });
  const asked = [codeOf(pdp.decide(input)), codeOf(pdp.verify({} as never)), codeOf(pdp.verify({} as never))];
  await pdp.close();
  expect(await Promise.all(asked)).toEqual(['closed', 'closed', 'closed']);
});

test('another thread is started for what is behind, though nothing waits', async () => {
  const started = startedThreads();
  const pdp = await open({ deadlineMs: 60_000, workersMax: 2, aheadMax: 8 });
  const asked = [codeOf(pdp.decide(input)), codeOf(pdp.verify({} as never))];
  await nextTurn();
  expect(started()).toBe(2);
  await pdp.close();
  expect(await Promise.all(asked)).toEqual(['closed', 'closed']);
});

test('each thread that is killed is replaced at once, so that the next question finds one', async () => {
  const started = startedThreads();
  const pdp = await open({ deadlineMs: 300, workersMax: 2 });
  expect(await Promise.all([codeOf(pdp.decide(input)), codeOf(pdp.decide(input))])).toEqual(['timed-out', 'timed-out']);
  expect(started()).toBe(4);
  await pdp.close();
});
