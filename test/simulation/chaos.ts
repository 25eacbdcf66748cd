/** What goes wrong around the programs: each seed picks a few kinds of trouble, so that every mixture is met, and calm as well. */
import type { Rng } from './rng.ts';
import type { DiskOperation } from './sim-disk.ts';
import type { TargetFault } from './sim-target.ts';
import { EXECUTORS } from './fixtures.ts';
import { APPLY_TIMEOUT_MS, type Node, type World } from './world.ts';

export interface Chaos {
  /** After every event: keeps the account of who could not work. */
  check(): void;
  /** Access was given: the best time for trouble to begin. */
  given(connector: string): void;
  /** All faults stop, for good. Crashed nodes come back. */
  heal(): void;
}

const SUPERVISE_MS = 500;
/** How far a clock may be off without being wrong, in ms. */
const TOLERATED_MS = 900;
/** What needs no new block on a disk that is full. */
const NEEDS_NO_SPACE: ReadonlySet<DiskOperation> = new Set(['sync', 'remove', 'truncate', 'overwrite', 'openAppend']);

export function startChaos(world: World, rng: Rng, untilMs: number): Chaos {
  const { scheduler, network } = world;
  const startMs = scheduler.nowMs();
  const nodes: readonly Node[] = [world.sidecar, ...world.executors.values()];
  const unwritableSinceMs = new Map<Node, number>();
  let healed = false;

  const some = (kind: string, p: number): boolean => {
    const on = rng.chance(p);
    if (on) scheduler.trace(`this run has ${kind}`);
    return on;
  };
  /** A few phases of trouble, each between two moments of the run. */
  const phases = (label: string, count: number, longestMs: number, begin: () => void, end: () => void, of = rng): void => {
    for (let left = count; left > 0; left -= 1) {
      const at = of.between(0, untilMs - startMs);
      scheduler.after(at, `${label} begins`, () => {
        if (healed) return;
        begin();
        scheduler.after(of.between(100, longestMs), `${label} ends`, end);
      });
    }
  };

  if (some('a bad network', 0.4)) network.setQuality({ loss: rng.pick([0.01, 0.05, 0.15]), double: rng.pick([0, 0.05, 0.3]), slowestMs: rng.pick([20, 100, 400]) });
  if (some('partitions', 0.3)) {
    for (const { audience } of EXECUTORS) phases(`partition of ${audience}`, rng.between(1, 2), 40_000, () => network.setPartition(audience, true), () => network.setPartition(audience, false));
  }
  if (some('policy faults', 0.3)) {
    phases('policy fault', rng.between(1, 3), 20_000, () => {
      world.policyFaulty = true;
      world.policyFaultySinceMs = scheduler.nowMs();
    }, () => {
      world.policyFaulty = false;
    });
  }
  if (some('facts that change', 0.35)) {
    phases('other facts', rng.between(1, 2), 30_000, () => {
      world.strictFacts = true;
    }, () => {
      world.strictFacts = false;
    });
  }
  if (some('bundles that follow one another', 0.3)) phases('another bundle', rng.between(1, 4), 30_000, () => world.replaceBundle(), () => world.replaceBundle());
  for (const node of nodes) {
    // Within what trust folders tolerate, and beyond; a sidecar's may be anywhere.
    const furthest = node === world.sidecar ? rng.pick([900, 30_000, 600_000]) : rng.fork(`clock of ${node.name}`).pick([TOLERATED_MS, TOLERATED_MS, 30_000]);
    if (some(`clock steps at ${node.name}`, 0.15)) {
      phases(`clock step at ${node.name}`, rng.between(1, 3), 30_000, () => {
        node.offsetMs = rng.between(-furthest, furthest);
        if (furthest > TOLERATED_MS) world.wildClock = true;
      }, () => {
        node.offsetMs = rng.between(-400, 400);
      });
    }
  }
  // A clock that goes back and never ahead of the true time excuses nobody who judges by the records: theirs never goes back.
  const back = rng.fork('a clock that is set back');
  // Most of all where keys end: what has ended by the records has not by such a clock.
  if (back.chance(world.signing.keysEnd ? 0.5 : 0.1)) {
    const furthest = back.pick([3_000, 30_000, 120_000, 600_000]);
    phases('the clock set back at sidecar', back.between(1, 3), 60_000, () => {
      world.sidecar.offsetMs = -back.between(500, furthest);
      world.isSetBack = true;
    }, () => {
      world.sidecar.offsetMs = back.between(-400, 400);
    }, back);
  }
  for (const { audience, connector } of EXECUTORS) {
    const target = world.targets.get(connector)!;
    const node = world.executors.get(audience)!;
    if (some(`trouble at ${connector}`, 0.4)) {
      const rate = rng.pick([0.1, 0.3, 0.7]);
      const kinds = rng.pick<readonly TargetFault[]>([['lostBefore', 'lostAfter'], ['hangs'], ['lostAfter'], ['unreachable'], ['rejected'], ['lostBefore', 'lostAfter', 'hangs', 'unreachable', 'rejected']]);
      const faulty = (): TargetFault => {
        if (!rng.chance(rate)) return 'none';
        const fate = rng.pick(kinds);
        node.impededMs = Math.max(node.impededMs, scheduler.nowMs() + (fate === 'hangs' ? APPLY_TIMEOUT_MS : 0));
        return fate;
      };
      if (rng.chance(0.5)) target.setFault(faulty);
      else phases(`trouble at ${connector}`, rng.between(1, 3), 40_000, () => target.setFault(faulty), () => target.setFault(() => 'none'));
    }
    if (some(`drift at ${connector}`, 0.1)) phases(`drift at ${connector}`, 2, 1_000, () => target.drift(), () => undefined);
    if (some(`foreign accounts at ${connector}`, 0.05)) phases(`foreign account at ${connector}`, 1, 1_000, () => {
      world.foreignHands = true;
      target.recreate();
    }, () => undefined);
  }

  for (const node of nodes) {
    if (some(`a failing disk at ${node.name}`, 0.15)) {
      const failure = rng.pick(['ENOSPC', 'EIO'] as const);
      const rate = failure === 'ENOSPC' ? 1 : rng.pick([0.02, 0.2, 1]);
      phases(`${failure} at ${node.name}`, rng.between(1, 2), failure === 'ENOSPC' ? 90_000 : 15_000,
        () => node.disk.setFault((operation) => ((failure === 'EIO' || !NEEDS_NO_SPACE.has(operation)) && rng.chance(rate) ? failure : null)),
        () => node.disk.setFault(() => null));
    }
    if (some(`crashes of ${node.name}`, 0.5)) {
      phases(`crash of ${node.name}`, rng.between(1, 3), 1, () => {
        if (node.process !== null) world.kill(node, rng.pick([100, 3_000, 60_000]), rng.pick(['kill', 'power']));
      }, () => undefined);
    }
  }
  // The moments that matter are those between two port calls, so most crashes fall there.
  const atCalls = new Map(nodes.map((node) => [node.name, rng.chance(0.5) ? rng.pick([0.001, 0.005, 0.02]) : 0]));
  scheduler.setCrashPlan(
    (process) => (rng.chance(atCalls.get(process.node) ?? 0) ? rng.pick(['before', 'after']) : null),
    (process) => {
      const node = nodes.find((one) => one.process === process);
      if (node !== undefined) world.kill(node, rng.pick([50, 1_000, 10_000]), rng.pick(['kill', 'power']));
    },
  );

  /** Trouble that lasts until after the access should have ended. */
  const strike = (audience: string, connector: string): void => {
    const node = world.executors.get(audience)!;
    const lastsMs = rng.between(5_000, 90_000);
    const until = (label: string, begin: () => void, end: () => void): void => {
      scheduler.trace(`${label} for ${lastsMs} ms`);
      begin();
      scheduler.after(lastsMs, `${label} ends`, end);
    };
    const full = (one: Node): void => until(`the disk of ${one.name} is full`,
      () => one.disk.setFault((operation) => (NEEDS_NO_SPACE.has(operation) ? null : 'ENOSPC')), () => one.disk.setFault(() => null));
    switch (rng.between(0, 6)) {
      case 0:
        return world.sidecar.process === null ? undefined : world.kill(world.sidecar, lastsMs, 'power');
      case 1:
        return until(`partition of ${audience}`, () => network.setPartition(audience, true), () => network.setPartition(audience, false));
      case 2:
        full(node);
        return node.process === null ? undefined : world.kill(node, 200, rng.pick(['kill', 'power']));
      case 3:
        return full(world.sidecar);
      case 4:
        return node.process === null ? undefined : world.kill(node, rng.pick([200, lastsMs]), 'power');
      case 5:
        return until(`${connector} cannot be reached`, () => world.targets.get(connector)!.setFault(() => {
          node.impededMs = Math.max(node.impededMs, scheduler.nowMs());
          return 'unreachable';
        }), () => world.targets.get(connector)!.setFault(() => 'none'));
      default:
        return until('policy faults', () => {
          world.policyFaulty = true;
          world.policyFaultySinceMs = scheduler.nowMs();
        }, () => {
          world.policyFaulty = false;
        });
    }
  };
  const strikes = rng.chance(0.6) ? 0.4 : 0;

  const supervise = (): void => {
    const nowMs = scheduler.nowMs();
    for (const node of nodes) {
      if (node.downUntilMs !== null && nowMs >= node.downUntilMs) world.start(node);
      if (isUnwritable(node)) {
        const since = unwritableSinceMs.get(node) ?? nowMs;
        unwritableSinceMs.set(node, since);
        if (nowMs - since > rng.between(1_000, 10_000)) {
          unwritableSinceMs.delete(node);
          world.kill(node, 200, 'kill');
        }
      } else unwritableSinceMs.delete(node);
    }
    scheduler.after(SUPERVISE_MS, 'supervisor', supervise);
  };
  const isUnwritable = (node: Node): boolean =>
    node === world.sidecar ? (world.engine()?.troubles().some(({ check }) => check === 'ledger') ?? false) : world.worker(node.name)?.healthy === false;
  supervise();

  return {
    given(connector) {
      if (healed || !rng.chance(strikes)) return;
      const { audience } = EXECUTORS.find((one) => one.connector === connector)!;
      scheduler.after(rng.between(0, 5_000), 'trouble strikes', () => {
        if (!healed) strike(audience, connector);
      });
    },
    check() {
      for (const [audience, node] of world.executors) {
        const excusedMs = world.worker(audience) === null && node.excused ? 0 : Math.abs(node.offsetMs) > TOLERATED_MS ? Math.abs(node.offsetMs) : null;
        // A clock that was set back and is right again is looked at when the timer fires that was set by the wrong one.
        if (excusedMs !== null) node.impededMs = Math.max(node.impededMs, scheduler.nowMs() + excusedMs);
      }
    },
    heal() {
      healed = true;
      network.setQuality({ loss: 0, double: 0, slowestMs: 20 });
      world.policyFaulty = false;
      world.strictFacts = false;
      for (const node of nodes) node.offsetMs = rng.between(-400, 400);
      scheduler.setCrashPlan(() => null, () => undefined);
      for (const target of world.targets.values()) {
        target.setFault(() => 'none');
        target.removeForeign();
      }
      for (const node of nodes) {
        node.disk.setFault(() => null);
        if (node.disk.syncFailed) world.kill(node, 200, 'power');
        if (node.downUntilMs !== null) node.downUntilMs = scheduler.nowMs();
      }
      for (const { audience } of EXECUTORS) {
        // A line that was never cut is reset once: whoever waits to be told that it is up is told.
        network.setPartition(audience, true);
        network.setPartition(audience, false);
      }
    },
  };
}
