/** Reports on their way: who is there again is sent what is theirs, and nobody else's is sent with it. */
import { expect, test } from 'vitest';
import { TransportError } from '../../src/engine/ports.ts';
import { createOutbox } from '../../src/executor/outbox.ts';
import { reportMaker } from '../../src/executor/reports.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { reportSchema } from '../../src/protocol/signed.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { makeStep } from '../support/envelopes.ts';
import { EXECUTOR, keys, START_MS } from '../support/story.ts';

test('the sidecar of one log that is there again makes its own reports come again, and no others', async () => {
  const clock = fakeClock(START_MS);
  const port = clock.port();
  const sent: string[] = [];
  const outbox = createOutbox({
    clock: port, retryMs: { first: 60_000, longest: 60_000 }, sendTimeoutMs: 1_000, logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    send(message) {
      sent.push(readPayload(message.report, reportSchema).log);
      return Promise.reject(new TransportError('unreachable', 'nobody is there'));
    },
    sent: () => undefined, observe: () => undefined,
  });
  const [ours, theirs] = ['a'.repeat(16), 'b'.repeat(16)];
  const report = reportMaker(EXECUTOR, keys.executor, port);
  for (const log of [ours, theirs]) {
    const { changeId, steps } = makeStep().plan;
    outbox.add(report({ kind: 'claimed', log, changeId, stepId: steps[0]!.stepId, issue: 1 }));
  }
  await clock.settle();
  expect(sent.splice(0).sort()).toEqual([ours, theirs]);
  outbox.flush(ours);
  await clock.settle();
  expect(sent.splice(0)).toEqual([ours]);
  outbox.flush();
  await clock.settle();
  expect(sent.splice(0).sort()).toEqual([ours, theirs]);
  outbox.close();
});
