/**
 * Somebody who changes targets behind our back, restored backups included, and somebody who has them reconciled. What was done there must be found by the next
 * reconciliation that comes to its end, and nothing may be found that is not so, whatever else is going on. What came back past its end is gone
 * at the end of the run: that is the oracle's to judge of all access.
 */
import { clientTokenOf } from '../../src/change/derive.ts';
import type { OpenFinding } from '../../src/evidence/reconciled.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { Reconciliation } from '../../src/engine/reconcile.ts';
import { EXECUTORS } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** What `drift` at a target may give or take. */
const DRIFTING: ReadonlySet<string> = new Set(['table:public.orders:SELECT', 'table:public.invoices:SELECT', 'schema:public:USAGE', 'foreign']);

/** What is not there yet, or not known to be, is not missing. */
const ON_ITS_WAY: ReadonlySet<string> = new Set(['scheduled', 'authorised', 'executing', 'verifying']);

export interface ReconcileActors {
  /** The last look, once all faults are over. */
  finish(): Promise<void>;
  readonly seen: Record<string, number>;
}

export function startReconcileActors(world: World, rng: Rng, oracle: Oracle, untilMs: number): ReconcileActors {
  const { scheduler } = world;
  const seen: Record<string, number> = { reconciled: 0 };
  /** By account: where and when it was planted; and whether it is gone again. */
  const planted = new Map<string, { readonly connector: string; readonly sinceMs: number; gone: boolean }>();
  const note = (what: string): void => {
    seen[what] = (seen[what] ?? 0) + 1;
  };

  const resurrect = (): void => {
    for (const target of world.targets.values()) {
      const token = target.resurrect();
      if (token === null) continue;
      world.resurrected.add(token);
      return note('resurrected');
    }
  };
  const meddle = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    const { connector, target } = rng.pick(EXECUTORS);
    const there = [...planted].filter(([, plant]) => plant.connector === connector && !plant.gone);
    if (there.length > 0 && rng.chance(0.4)) {
      const [account, plant] = rng.pick(there);
      world.targets.get(connector)!.uproot(account);
      plant.gone = true;
    } else if (rng.chance(0.4)) {
      const account = `planted_${planted.size}`;
      world.targets.get(connector)!.plant(target, account);
      planted.set(account, { connector, sinceMs: scheduler.nowMs(), gone: false });
    } else if (rng.chance(0.4)) {
      if (world.targets.get(connector)!.drop() !== null) {
        note('dropped');
        // Leases are short here: soon it would not be missing any more.
        scheduler.after(rng.between(200, 1_000), 'a target is to be reconciled', () => void reconcile(connector));
      }
    } else resurrect();
    scheduler.after(rng.between(5_000, 30_000), 'somebody meddles with a target', meddle);
  };
  scheduler.after(rng.between(1_000, 30_000), 'somebody meddles with a target', meddle);

  /** Why a finding that is new is not so; null where it is. */
  const falsehood = (finding: OpenFinding, fromMs: number): string | null => {
    const target = world.targets.get(finding.connector)!;
    const token = finding.change === null ? null : clientTokenOf(finding.change);
    switch (finding.code) {
      case 'account-unknown':
        return planted.has(finding.account) || world.foreignHands ? null : 'nobody planted it';
      case 'access-missing':
        if (ON_ITS_WAY.has(world.engine()?.get(finding.change!)?.name ?? '')) return 'it is on its way';
        return target.live(token!).length === 0 || world.foreignHands ? null : 'it is there';
      case 'access-past-end':
        return target.given.some((access) => access.token === token && (access.endedAtMs === null || access.endedAtMs >= fromMs)) || target.logins.all().some((login) => login.token === token && login.canLogin)
          ? null : 'it is gone';
      case 'access-unexplained':
        // Of what was brought back nothing may be left that says whose it was: the plan of its change was erased.
        if ([...world.resurrected].some((brought) => finding.message.includes(brought))) return null;
        // Purposes that are withdrawn for a while leave much unexplained.
        return world.strictFacts || finding.privileges.every((privilege) => DRIFTING.has(privilege)) || world.foreignHands ? null : 'nobody gave it';
      case 'access-returned':
        return target.logins.working(finding.account).length > 0 ? null : 'nobody gets in';
    }
  };
  const judge = (answer: Reconciliation, fromMs: number, wasStrict: boolean): void => {
    note('reconciled');
    for (const finding of answer.found) {
      note(finding.code);
      const why = finding.code === 'access-unexplained' && wasStrict ? null : falsehood(finding, fromMs);
      // Leases are judged by the sidecar's clock.
      const isExcused = world.wildClock && (finding.code === 'access-missing' || finding.code === 'access-past-end');
      if (why !== null && !isExcused) oracle.broken(14, `${finding.code} of ${finding.account} at ${finding.connector} was found, and ${why}: ${finding.message}`);
    }
    if (answer.cleared.length > 0) note('cleared');
    if (!answer.complete) return;
    const open = new Set(answer.open.filter(({ code }) => code === 'account-unknown').map(({ account }) => account));
    for (const [account, plant] of planted) {
      if (plant.connector !== answer.connector) continue;
      if (!plant.gone && plant.sinceMs < fromMs && !open.has(account)) oracle.broken(14, `${account} was planted before ${answer.connector} was reconciled, and is not found`);
    }
  };
  /** By sidecar, what it is at: whoever asks once more waits for the same, which has looked before. */
  const running = new WeakMap<Engine, Map<string, Promise<void>>>();
  const reconcile = async (connector: string): Promise<void> => {
    const engine = world.engine();
    if (engine === null) return;
    const busy = running.get(engine) ?? new Map<string, Promise<void>>();
    running.set(engine, busy);
    if (busy.has(connector)) return busy.get(connector);
    const fromMs = scheduler.nowMs();
    const wasStrict = world.strictFacts;
    const looking = engine.reconcile(connector).then((answer) => judge(answer, fromMs, wasStrict), (error: unknown) => {
      note('not reconciled');
      scheduler.trace(`${connector} is not reconciled: ${String(error)}`);
    }).finally(() => busy.delete(connector));
    busy.set(connector, looking);
    return looking;
  };
  const round = (): void => {
    if (scheduler.nowMs() > untilMs) return;
    void reconcile(rng.pick(EXECUTORS).connector);
    scheduler.after(rng.between(4_000, 40_000), 'a target is to be reconciled', round);
  };
  scheduler.after(rng.between(2_000, 20_000), 'a target is to be reconciled', round);

  return {
    seen,
    async finish() {
      for (const { connector } of EXECUTORS) {
        // What is under way was begun before all faults were over.
        await reconcile(connector);
        const before = seen['reconciled'];
        await reconcile(connector);
        if (seen['reconciled'] === before) oracle.broken(14, `${connector} cannot be reconciled though all faults are over`);
      }
    },
  };
}
