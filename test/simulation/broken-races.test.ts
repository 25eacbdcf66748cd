/** Whoever judges races is doubted: an engine that loses track of who came first is found out, and one that tells what the next loss of power unsays. */
import { afterEach, test, vi } from 'vitest';
import type * as Decide from '../../src/change/decide.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema } from '../../src/protocol/signed.ts';
import { expectFound, FINDING_MS } from './finding.ts';
import { unsynced } from './unsynced.ts';
import type { Wraps } from './world.ts';

const SEEDS = 'broken-races.seeds.json';

/** Replaces by which state commands are decided. */
function decidingOn(choose: (state: ChangeState, command: Decide.Command) => ChangeState): () => void {
  return () => vi.doMock(import('../../src/change/decide.ts'), async (original): Promise<typeof Decide> => {
    const real = await original();
    return { ...real, decide: (state, command, nowMs) => real.decide(state === null ? null : choose(state, command), command, nowMs) };
  });
}

/** Who decides on an approval goes by the change as it was when it began to wait. */
function asItWas(): (state: ChangeState, command: Decide.Command) => ChangeState {
  const pending = new Map<string, ChangeState>();
  return (state, { type }) => {
    if (state.name === 'pending' && !pending.has(`${state.changeId} ${state.revision}`)) pending.set(`${state.changeId} ${state.revision}`, state);
    return type === 'approve' ? (pending.get(`${state.changeId} ${state.revision}`) ?? state) : state;
  };
}

/** Nobody remembers that this person has approved it. */
function forgetful(state: ChangeState, command: Decide.Command): ChangeState {
  if (command.type !== 'approve') return state;
  const { approver } = readPayload(command.approval.envelope, approvalStatementSchema);
  return { ...state, approvals: state.approvals.filter(({ statement }) => statement.approver !== approver) };
}

/** All of the stages at once. */
function unordered(state: ChangeState, { type }: Decide.Command): ChangeState {
  const { approvers } = state.requirement;
  if (type !== 'approve' || approvers === null || typeof approvers === 'string' || !('stages' in approvers)) return state;
  return { ...state, requirement: { ...state.requirement, approvers: { allOf: approvers.stages } } };
}

/** Nobody remembers who has rejected it. */
const forgiving = (state: ChangeState, { type }: Decide.Command): ChangeState => (type === 'approve' ? { ...state, rejections: [] } : state);

const cases: readonly { readonly who: string; readonly breakIt?: () => void; readonly wraps?: Wraps }[] = [
  { who: 'an engine that decides on a stale state', breakIt: decidingOn(asItWas()) },
  { who: 'an engine that counts an approver as often as she asks', breakIt: decidingOn(forgetful) },
  { who: 'an engine that takes an approval before its stage', breakIt: decidingOn(unordered) },
  { who: 'an engine that forgets who has rejected', breakIt: decidingOn(forgiving) },
  { who: 'a ledger that acknowledges before it syncs', wraps: { sidecarDisk: unsynced } },
];

afterEach(() => {
  vi.doUnmock('../../src/change/decide.ts');
  vi.resetModules();
});

for (const { who, breakIt, wraps = {} } of cases) {
  test(`${who} is found out`, async () => {
    vi.resetModules();
    breakIt?.();
    const { race } = await import('./race.ts');
    await expectFound(SEEDS, who, 18, async (seed) => (await race(seed, { wraps })).violations);
  }, FINDING_MS);
}
