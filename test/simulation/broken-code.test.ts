/**
 * The oracle doubted once more: here not the world is broken but a part of the program itself, replaced by one that forgets what it is for.
 * `broken.test.ts` breaks what the program stands on.
 */
import { afterEach, test, vi } from 'vitest';
import { clientTokenOf } from '../../src/change/derive.ts';
import { TransportError, type Transport } from '../../src/engine/ports.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type * as Ask from '../../src/engine/ask.ts';
import type * as BreakingGlass from '../../src/engine/breaking-glass.ts';
import type * as Compare from '../../src/change/compare.ts';
import type * as Escalation from '../../src/change/escalation.ts';
import { no, yes } from '../../src/change/outcome.ts';
import type * as Offboarding from '../../src/engine/offboarding.ts';
import type * as State from '../../src/change/state.ts';
import type * as Work from '../../src/change/work.ts';
import type * as Locked from '../../src/executor/locked.ts';
import type * as OrderFence from '../../src/executor/order-fence.ts';
import type * as Turn from '../../src/executor/turn.ts';
import type { StandingApproval } from '../../src/engine/standing-approvals.ts';
import type * as StoreModule from '../../src/engine/store.ts';
import type * as TurnedAway from '../../src/engine/turned-away.ts';
import type * as Uncounted from '../../src/engine/uncounted.ts';
import type * as Sufficiency from '../../src/protocol/sufficiency.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { expectFound, FINDING_MS } from './finding.ts';
import type { Wraps } from './world.ts';

const SEEDS = 'broken-code.seeds.json';

interface Case {
  readonly invariant: number;
  readonly who: string;
  /** Replaces modules of the program before any of it is loaded. */
  readonly breakIt?: () => void;
  readonly wraps?: Wraps;
}

/** The order of an extension is armed, and its step never arrives. */
function withoutExtensions(transport: Transport): Transport {
  return {
    ...transport,
    publishStep: (audience, envelope) => (envelope.plan?.extends === undefined ? transport.publishStep(audience, envelope) : Promise.reject(new TransportError('unreachable', 'lost'))),
  };
}

/** Replaces when further people are due to be told. */
function escalatingBy(due: (state: State.ChangeState, real: typeof Escalation.escalationDueMs) => number | null): () => void {
  return () => vi.doMock(import('../../src/change/escalation.ts'), async (original): Promise<typeof Escalation> => {
    const real = await original();
    const dueMs = (state: State.ChangeState): number | null => due(state, real.escalationDueMs);
    return {
      escalationDueMs: dueMs,
      decideEscalation: (state, by, nowMs) => {
        const atMs = dueMs(state);
        if (atMs === null || nowMs < atMs) return no('not-expected', 'it is not time');
        return yes({ type: 'approval.escalated', actor: by, body: { revision: state.revision, to: state.escalation!.to, dueAt: formatTime(atMs) } });
      },
    };
  });
}

const cases: readonly Case[] = [
  { invariant: 15, who: 'an engine that tells nobody of what waits for long', breakIt: escalatingBy(() => null) },
  { invariant: 15, who: 'an engine that tells further people again and again', breakIt: escalatingBy((state, real) => real({ ...state, escalated: null })) },
  {
    invariant: 15, who: 'an engine that tells further people too early',
    breakIt: escalatingBy((state, real) => {
      const dueMs = real(state);
      return dueMs === null ? null : dueMs - 900;
    }),
  },
  {
    invariant: 14, who: 'a reconciliation that sees nobody whom it does not know',
    breakIt: () => vi.doMock(import('../../src/change/compare.ts'), async (original): Promise<typeof Compare> => {
      const real = await original();
      return { ...real, compare: (at, known) => ({ ...real.compare(at, known), found: [] }) };
    }),
  },
  {
    invariant: 14, who: 'a reconciliation that overlooks what is lent, and misses it',
    breakIt: () => vi.doMock(import('../../src/change/compare.ts'), async (original): Promise<typeof Compare> => {
      const real = await original();
      return {
        ...real,
        compare(at, known) {
          const changes = [...known.changes];
          const running = new Set(changes.filter(({ name }) => name === 'active').map(({ changeId }) => clientTokenOf(changeId)));
          const pages = at.pages.map((page) => ({ ...page, entries: page.entries.filter((entry) => entry.kind === 'account' || !running.has(entry.clientToken)) }));
          return real.compare({ ...at, pages }, { ...known, changes });
        },
      };
    }),
  },
  {
    invariant: 11, who: 'an engine that ignores locks',
    breakIt: () => vi.doMock(import('../../src/engine/store.ts'), async (original): Promise<typeof StoreModule> => {
      const { openStore } = await original();
      return { openStore: async (log, options) => ({ ...(await openStore(log, options)), locks: () => [], lockHistory: () => [] }) };
    }),
  },
  {
    invariant: 5, who: 'an engine that keeps a snapshot of what was erased',
    breakIt: () => vi.doMock(import('../../src/engine/store.ts'), async (original): Promise<typeof StoreModule> => {
      const { openStore } = await original();
      return { openStore: async (log, options) => ({ ...(await openStore(log, options)), forget: async () => undefined }) };
    }),
  },
  {
    invariant: 11, who: 'an executor that ignores locks',
    breakIt: () => vi.doMock(import('../../src/executor/locked.ts'), async (original): Promise<typeof Locked> => ({ ...(await original()), locked: () => null })),
  },
  {
    invariant: 10, who: 'an engine that rolls back after the cutover',
    breakIt: () => {
      vi.doMock(import('../../src/change/state.ts'), async (original): Promise<typeof State> => ({ ...(await original()), isPastCutover: () => false }));
      vi.doMock(import('../../src/change/work.ts'), async (original): Promise<typeof Work> => {
        const real = await original();
        const mayEnd = ({ plan, finished, revokes }: State.ChangeState): boolean => plan?.steps[finished.length]?.action === 'retire' && revokes.length === 0;
        return { ...real, nextWork: (state, nowMs, limits, recordMs) => (mayEnd(state) ? { work: { do: 'compensate' }, wakeAtMs: null } : real.nextWork(state, nowMs, limits, recordMs)) };
      });
    },
  },
  {
    invariant: 10, who: 'an engine that switches over before the new secret was fetched',
    breakIt: () => vi.doMock(import('../../src/change/work.ts'), async (original): Promise<typeof Work> => {
      const real = await original();
      const asFetched = (state: State.ChangeState): State.ChangeState =>
        state.name === 'staged' && state.delivery !== null ? { ...state, delivery: { ...state.delivery, status: 'acknowledged' } } : state;
      return { ...real, nextWork: (state, nowMs, limits, recordMs) => real.nextWork(asFetched(state), nowMs, limits, recordMs) };
    }),
  },
  {
    invariant: 6, who: 'an engine and an executor that leave the cutover out',
    breakIt: () => {
      vi.doMock(import('../../src/executor/turn.ts'), async (original): Promise<typeof Turn> => ({ ...(await original()), outOfTurn: () => null }));
      vi.doMock(import('../../src/change/state.ts'), async (original): Promise<typeof State> => {
        const { stepOf, ...rest } = await original();
        return { ...rest, stepOf: (state) => (stepOf(state)?.action === 'cutover' ? state.plan!.steps[2]! : stepOf(state)) };
      });
    },
  },
  {
    invariant: 11, who: 'an engine that makes its own windows',
    breakIt: () => vi.doMock(import('../../src/engine/ask.ts'), async (original): Promise<typeof Ask> => ({
      ...(await original()),
      async askForWindow(context) {
        const nowMs = context.clock.nowMs();
        return { calendar: 'minutes', opensAt: formatTime(nowMs), closesAt: formatTime(nowMs + 300_000), onMissed: 'expire', consumers: [] };
      },
    })),
  },
  {
    invariant: 21, who: 'an engine and an executor that let the floor off where nobody’s approval is asked',
    breakIt: () => vi.doMock(import('../../src/protocol/sufficiency.ts'), async (original): Promise<typeof Sufficiency> => {
      const { shortfallOf } = await original();
      return { shortfallOf: (requirement, floor, ...rest) => shortfallOf(requirement, requirement.approvers === null ? null : floor, ...rest) };
    }),
  },
  {
    invariant: 22, who: 'an engine that counts the uses of a standing approval anew after a start',
    breakIt: () => vi.doMock(import('../../src/engine/store.ts'), async (original): Promise<typeof StoreModule> => {
      const { openStore } = await original();
      return {
        async openStore(log, options) {
          const store = await openStore(log, options);
          const before = new Map(store.standings().map(({ approvalId, used }) => [approvalId, used]));
          const anew = (one: StandingApproval): StandingApproval => ({ ...one, used: one.used - (before.get(one.approvalId) ?? 0) });
          return { ...store, standing: (approvalId) => [store.standing(approvalId)].map((one) => (one === undefined ? one : anew(one)))[0] };
        },
      };
    }),
  },
  {
    invariant: 22, who: 'an executor that counts standing approvals where its floor does not',
    breakIt: () => vi.doMock(import('../../src/protocol/sufficiency.ts'), async (original): Promise<typeof Sufficiency> => {
      const { shortfallOf } = await original();
      return { shortfallOf: (requirement, floor, approvals, ...rest) => shortfallOf(requirement, floor, approvals.map((one) => ({ ...one, standing: false })), ...rest) };
    }),
  },
  {
    invariant: 23, who: 'an engine that lets one who owes a review break another glass',
    breakIt: () => vi.doMock(import('../../src/engine/breaking-glass.ts'), async (original): Promise<typeof BreakingGlass> => {
      const { useOf, ...rest } = await original();
      return {
        ...rest,
        useOf(...about) {
          const use = useOf(...about);
          return use.ok ? { ok: true, value: { ...use.value, owed: null } } : use;
        },
      };
    }),
  },
  {
    invariant: 24, who: 'an engine that counts an approval whose key has ended',
    breakIt: () => vi.doMock(import('../../src/engine/uncounted.ts'), async (original): Promise<typeof Uncounted> => ({ ...(await original()), uncountedIn: () => [] })),
  },
  {
    invariant: 24, who: 'an engine that goes by its clock, which was set back',
    breakIt: () => vi.doMock(import('../../src/engine/store.ts'), async (original): Promise<typeof StoreModule> => {
      const { openStore } = await original();
      return { openStore: async (log, options) => ({ ...(await openStore(log, options)), nextAtMs: () => options.nowMs() }) };
    }),
  },
  {
    invariant: 22, who: 'an engine that hears of no executor that it takes no standing approvals',
    breakIt: () => vi.doMock(import('../../src/engine/turned-away.ts'), async (original): Promise<typeof TurnedAway> => ({ ...(await original()), heardTurnedAway: () => undefined })),
  },
  {
    invariant: 2, who: 'an executor that retires the old login with the new one',
    wraps: {
      connector: (connector): Connector => ({
        ...connector,
        apply: async (input) => {
          await connector.apply(input);
          const { step } = input;
          if (step.action === 'stage') await connector.apply({ ...input, step: { ...step, action: 'retire', account: step.other!, other: step.account }, secret: null, endSessions: true }).catch(() => undefined);
        },
      }),
    },
  },
  {
    invariant: 3, who: 'an executor at which an order alone raises the epoch of a lease', wraps: { transport: withoutExtensions },
    breakIt: () => vi.doMock(import('../../src/executor/order-fence.ts'), async (original): Promise<typeof OrderFence> => ({
      ...(await original()),
      isVoid: (book, { order }) => order.cause === 'leaseEnd' && (book.ordersOfLease.get(order.leaseId) ?? []).some((other) => other.order.epoch > order.epoch),
    })),
  },
  {
    invariant: 13, who: 'an offboarding that calls an item gone when it was only ordered',
    breakIt: () => vi.doMock(import('../../src/engine/offboarding.ts'), async (original): Promise<typeof Offboarding> => {
      const real = await original();
      return {
        ...real,
        async workThroughItems(context, state) {
          const outcome = await real.workThroughItems(context, state);
          for (const [item, { outcome: known }] of context.store.get(state.changeId)!.items) {
            if (known === null) context.store.apply(state.changeId, { type: 'settleItem', by: context.self, item, outcome: 'gone', owner: null, detail: 'it was ordered, so it will be' });
          }
          return outcome;
        },
      };
    }),
  },
];

afterEach(() => {
  for (const path of ['change/compare', 'change/escalation', 'change/state', 'change/work', 'engine/ask', 'engine/breaking-glass', 'engine/offboarding', 'engine/store', 'engine/turned-away', 'engine/uncounted', 'executor/locked', 'executor/order-fence', 'executor/turn', 'protocol/sufficiency']) vi.doUnmock(`../../src/${path}.ts`);
  vi.resetModules();
});

for (const { invariant, who, breakIt, wraps = {} } of cases) {
  test(`invariant ${invariant}: ${who} is found out`, async () => {
    vi.resetModules();
    breakIt?.();
    const { simulate } = await import('./simulate.ts');
    await expectFound(SEEDS, who, invariant, async (seed) => (await simulate(seed, { wraps })).violations);
  }, FINDING_MS);
}
