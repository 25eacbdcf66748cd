/** One check's bench: a connector whose every error is looked through, fresh names and secrets, and the calls as a worker makes them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { clientTokenOf, deriveSteps } from '../../change/derive.ts';
import { newChangeId } from '../../engine/ids.ts';
import { isUndoable, makesSecret, type PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import type { Connector, Described, StateWithoutSalt, TargetError } from '../connector.ts';
import type { KitAction, TargetAdapter } from './adapter.ts';
import { watchSecrets, type SecretWatch } from './secret-watch.ts';

/** How long a target may take to make a credential work, or to end one beyond what is stated of it. */
export const PATIENCE_MS = 15_000;
const CALL_MS = 30_000;

export interface Bench {
  readonly adapter: TargetAdapter;
  readonly connector: Connector;
  /** Another one, opened anew: it knows nothing. */
  another(): Promise<Connector>;
  /** What the connector states; asked once it has been used. */
  stated(action: KitAction): Promise<Described>;
  newName(): string;
  newSecret(): string;
  step(action: KitAction, account: string, privileges?: readonly string[], clientToken?: string): PlanStep;
  read(step: PlanStep): Promise<StateWithoutSalt>;
  apply(step: PlanStep, options?: { readonly secret?: string; readonly validUntilMs?: number; readonly endSessions?: boolean }): Promise<void>;
  probe(step: PlanStep, validUntilMs?: number): Promise<'applied' | 'absent'>;
  tryUse(step: PlanStep, secret: string | null): Promise<'works' | 'fails' | 'notTried'>;
  revoke(step: PlanStep): Promise<'done' | 'already-absent' | 'mismatch'>;
  /** Resolves once it is so. @throws AssertionError when it was not within the bench's patience and `residualMs` */
  eventually(what: string, isSo: () => Promise<boolean>, residualMs?: number): Promise<void>;
  /** The steps of a rotation, as a plan derives them from what is read. */
  rotation(account: string): Promise<{ readonly before: StateWithoutSalt['touched']; readonly steps: readonly PlanStep[] }>;
}

/** Runs the check on a bench of its own, and looks for its secrets in all that came of it. */
export async function onBench(adapter: TargetAdapter, patienceMs: number, run: (bench: Bench) => Promise<void>): Promise<void> {
  const watch = watchSecrets();
  const opened: Connector[] = [];
  const open = async (): Promise<Connector> => {
    const connector = watched(await adapter.open(), watch);
    opened.push(connector);
    return connector;
  };
  try {
    await run(benchOf(adapter, patienceMs, await open(), open, watch));
  } finally {
    for (const connector of opened) await connector.close();
    watch.end();
  }
}

/** The same connector, all of whose errors are shown to the watch. */
function watched(connector: Connector, watch: SecretWatch): Connector {
  const look = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      watch.seen(error);
      throw error;
    }
  };
  return {
    describe: (action) => connector.describe(action),
    read: (query, signal) => look(connector.read(query, signal)),
    apply: (input) => look(connector.apply(input)),
    probe: (step, signal, validUntil) => look(connector.probe(step, signal, validUntil)),
    tryUse: (step, secret, signal) => look(connector.tryUse(step, secret, signal)),
    revoke: (order, signal) => look(connector.revoke(order, signal)),
    close: () => look(connector.close()),
    ...(connector.discover === undefined ? {} : { discover: (query, signal) => look(connector.discover!(query, signal)) }),
    ...(connector.issue === undefined ? {} : { issue: (input) => look(connector.issue!(input)) }),
  };
}

function benchOf(adapter: TargetAdapter, patienceMs: number, connector: Connector, another: () => Promise<Connector>, watch: SecretWatch): Bench {
  const signal = (): AbortSignal => AbortSignal.timeout(CALL_MS);
  const bench: Bench = {
    adapter, connector, another,
    async stated(action) {
      if (connector.describe(action) === null) await connector.read(bench.step('provision', bench.newName()), signal()).catch(() => undefined);
      const described = connector.describe(action);
      assert.ok(described !== null, `the connector states nothing of ${action}`);
      return described;
    },
    newName: () => `kit_${randomBytes(6).toString('hex')}`,
    newSecret() {
      const secret = `kit ${randomBytes(24).toString('base64')}`.replaceAll(' ', '-');
      watch.add(secret);
      return secret;
    },
    step(action, account, privileges = adapter.privileges, clientToken = newClientToken()) {
      return { stepId: stepIdOf(clientToken), action, connector: adapter.connector, target: adapter.target, account, privileges: [...privileges], clientToken };
    },
    read: ({ stepId: _, ...query }) => connector.read(query, signal()),
    apply: (step, { secret, validUntilMs, endSessions = false } = {}) => connector.apply({
      step, validUntil: validUntilMs === undefined ? null : new Date(validUntilMs).toISOString(), secret: makesSecret(step.action) ? (secret ?? bench.newSecret()) : null, endSessions, signal: signal(),
    }),
    probe: (step, validUntilMs) => connector.probe(step, signal(), validUntilMs === undefined ? null : new Date(validUntilMs).toISOString()),
    tryUse: (step, secret) => connector.tryUse(step, secret, signal()),
    revoke: (step) => revokeBy(connector, step, signal()),
    async eventually(what, isSo, residualMs = 0) {
      const deadline = performance.now() + patienceMs + residualMs;
      while (!(await isSo())) {
        assert.ok(performance.now() < deadline, `not in time: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async rotation(account) {
      const changeId = newChange();
      const query: Query = { connector: adapter.connector, target: adapter.target, action: 'rotate', account, privileges: [], clientToken: clientTokenOf(changeId) };
      const { touched } = await connector.read(query, signal());
      const steps = deriveSteps(changeId, 1, query, touched, false);
      assert.ok(steps !== null, 'what was read for a rotation does not say how it is done: see `Connector.read`');
      return { before: touched, steps };
    },
  };
  return bench;
}

export function revokeBy(connector: Connector, step: PlanStep, signal: AbortSignal = AbortSignal.timeout(CALL_MS)): Promise<'done' | 'already-absent' | 'mismatch'> {
  const { action } = step;
  assert.ok(isUndoable(action));
  return connector.revoke({ ...step, action }, signal);
}

const LOG = '0123456789abcdef';
function newChange(): string {
  return newChangeId(LOG, Date.now(), (length) => randomBytes(length));
}

export function newClientToken(): string {
  return clientTokenOf(newChange());
}

function stepIdOf(clientToken: string): string {
  return `stp_${LOG}_${clientToken.slice(3).toUpperCase()}_r1_1`;
}

/** The failure, which is a TargetError of one of the kinds. */
export async function failsAs(kinds: readonly TargetError['kind'][], call: Promise<unknown>, what: string): Promise<TargetError> {
  const failure: unknown = await call.then(() => null, (error: unknown) => error);
  assert.ok(failure !== null, `${what}: it went through, and should not have`);
  // By its name and kind: a connector may come with a copy of this package of its own.
  assert.ok(failure instanceof Error && 'kind' in failure && kinds.includes(failure.kind as TargetError['kind']), `${what}: expected a TargetError ${kinds.join(' or ')}, got ${inspect(failure)}`);
  return failure as TargetError;
}
