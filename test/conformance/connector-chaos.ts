/**
 * What every connector owes when things go wrong between it and its target. The real executor worker asks, probes and tries again; the oracle is
 * the target itself, asked by the adapter: one live credential, the one whose secret was delivered, or none; and after a revoke none.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import type { TargetAdapter } from '../../src/executor/kit/index.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Made } from '../support/envelopes.ts';
import { harmingProxy, type Harm, type HarmingProxy } from '../support/cut-proxy.ts';
import { LIVE_LIMITS, openLiveWorker, type LiveWorker } from '../support/live-worker.ts';

type Giving = 'provision' | 'grant' | 'stage';

export interface ChaosTarget {
  readonly adapter: TargetAdapter;
  readonly port: number;
  /** The connector under test, through a port of this machine that leads to the target. */
  connectorThrough(port: number): Connector;
  /** How many live credentials, or grants, were made for the step's client token: at the target, by its own means. */
  count(step: PlanStep): Promise<number>;
  /** Ended as by a crash, and there again with what it had kept. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface ChaosOptions {
  /** What is on the wire, in order, when the action is applied; the last one brings the effect. */
  readonly applying: Readonly<Partial<Record<Giving, readonly string[]>>>;
  /** And when it is taken back; all that can go wrong does so at the last one. */
  readonly revoking: Readonly<Partial<Record<Giving, readonly string[]>>>;
  /** Whether it is asked over HTTP, where something in front of it may answer in its place. */
  readonly http: boolean;
}

const httpAnswer = (status: string, headers: readonly string[] = []): string => `HTTP/1.1 ${status}\r\n${headers.map((header) => `${header}\r\n`).join('')}content-length: 0\r\nconnection: close\r\n\r\n`;

/** `expect.poll` knows of one test at a time, and these run side by side. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function connectorChaos(name: string, options: ChaosOptions, open: () => Promise<ChaosTarget>): void {
  describe(`the connector for ${name}, when things go wrong`, () => {
    let target!: ChaosTarget;
    beforeAll(async () => {
      target = await open();
    });
    afterAll(() => target.close());

    interface Scene {
      readonly live: LiveWorker;
      readonly proxy: HarmingProxy;
      readonly made: Made;
      readonly step: PlanStep;
      /** Of an account that was there before. */
      readonly theirs: string;
    }
    let names = 0;
    /** A worker of its own, whose connector goes through a proxy of its own, and a step that is approved. */
    const onScene = async (action: Giving, play: (scene: Scene) => Promise<void>): Promise<void> => {
      const { adapter } = target;
      names += 1;
      const account = `chaos_${names}`;
      const theirs = `theirs-${names}-of-before`;
      if (action === 'grant') await adapter.makeAccount(account, theirs, []);
      if (action === 'stage') await adapter.makeTwin!(account, theirs);
      const proxy = await harmingProxy(target.port);
      const live = await openLiveWorker(adapter.connector, adapter.target, target.connectorThrough(proxy.port));
      try {
        const made = await live.plan(action, account, action === 'stage' ? [] : [...adapter.privileges].sort());
        await play({ live, proxy, made, step: made.ticket.step, theirs });
      } finally {
        await proxy.idle();
        await live.close();
        await proxy.close();
      }
    };
    const mayUse = (name: string, secret: string): Promise<readonly string[] | null> => target.adapter.use(name, secret);
    /** One, and the one that was delivered. */
    const expectGiven = async ({ live, proxy, made, step, theirs }: Scene): Promise<void> => {
      const report = await live.carryOut(made);
      await proxy.idle();
      expect(report).toMatchObject({ outcome: 'done', code: null });
      expect(await target.count(step)).toBe(1);
      // A target may take a moment to let in whom it has let in; to shut out it may take none.
      const use = step.action === 'grant' ? theirs : live.secretOf(report);
      const least = step.action === 'grant' ? target.adapter.privileges.length : 0;
      await until(async () => ((await mayUse(step.account, use))?.length ?? -1) >= least, 'what was delivered works');
    };
    /** Nothing of it, and what was there before is as it was. */
    const expectTaken = async ({ live, proxy, made, step, theirs }: Scene, secret: string | null): Promise<void> => {
      expect((await live.takeBack(made)).outcome).toMatch(/^(done|already-absent)$/);
      await proxy.idle();
      expect(await target.count(step)).toBe(0);
      if (secret !== null) expect(await mayUse(step.account, secret)).toBeNull();
      if (step.action === 'grant') expect(await mayUse(step.account, theirs)).toEqual([]);
      if (step.action === 'stage') expect(await mayUse(step.other!, theirs)).not.toBeNull();
    };
    const given = async (scene: Scene): Promise<string | null> => {
      const report = await scene.live.carryOut(scene.made);
      expect(report).toMatchObject({ outcome: 'done' });
      return scene.step.action === 'grant' ? null : scene.live.secretOf(report);
    };

    const actions = Object.keys(options.applying) as Giving[];
    const restart = (passOn: boolean): Harm => ({ passOn, meanwhile: () => target.restart() });
    const everywhere: readonly (readonly [what: string, harm: Harm])[] = [
      ['is cut off before it', 'before'], ['is cut off after it', 'after'], ['is reset after it', 'reset'], ['is not answered', 'silent'],
    ];
    const overHttp: readonly (readonly [what: string, harm: Harm])[] = options.http ? [
      ['is answered 429 by something in front', { answer: httpAnswer('429 Too Many Requests', ['retry-after: 1']), passOn: false }],
      ['is answered 503 by something in front', { answer: httpAnswer('503 Unavailable'), passOn: false }],
      ['is answered 500 and was not done', { answer: httpAnswer('500 Fault'), passOn: false }],
      ['is answered 502 and was done', { answer: httpAnswer('502 Bad Gateway'), passOn: true }],
      ['is redirected by something in front', { answer: httpAnswer('307 Temporary Redirect', ['location: http://127.0.0.1:1/']), passOn: false }],
    ] : [];
    // It comes once the worker has given up, and before the last moment at which it may.
    const late: readonly (readonly [what: string, harm: Harm])[] = [['arrives after the deadline', { lateMs: LIVE_LIMITS.applyTimeoutMs + LIVE_LIMITS.settleMs / 4 }]];

    for (const action of actions) {
      const words = options.applying[action]!;
      const effect = words.at(-1)!;
      test.concurrent.each([...everywhere, ...overHttp, ...late])(`a ${action} that %s ends with one, the one that was delivered, and a revoke with none`, async (_what, harm) => {
        await onScene(action, async (scene) => {
          scene.proxy.arm(effect, harm);
          await expectGiven(scene);
          expect(scene.proxy.cuts()).toBe(1);
          // It may have happened, and it was said so before it was looked for.
          if (harm === 'after') expect(scene.live.outcomes(scene.made)).toEqual(['ambiguous', 'done']);
          await expectTaken(scene, null);
        });
      });
      if (words.length > 1) {
        test.concurrent.each(words.slice(0, -1))(`a ${action} that is left half-done at %s is made whole, once`, async (word) => {
          await onScene(action, async (scene) => {
            scene.proxy.arm(word, 'after');
            await expectGiven(scene);
            expect(scene.proxy.cuts()).toBe(1);
            await expectTaken(scene, null);
          });
        });
      }
      test.concurrent(`a ${action} that is not answered in time, and is ordered back meanwhile, leaves none`, async () => {
        await onScene(action, async (scene) => {
          scene.proxy.arm(effect, 'silent');
          const last = scene.live.carryOut(scene.made);
          await until(() => Promise.resolve(scene.proxy.cuts() === 1), 'it is on its way');
          await expectTaken(scene, null);
          expect((await last).outcome).toMatch(/^(failed|refused)$/);
          expect(await target.count(scene.step)).toBe(0);
        });
      });
      const undoing = options.revoking[action]!;
      for (const word of undoing) {
        const harms: typeof everywhere = word === undoing.at(-1) ? [...everywhere, ...overHttp] : everywhere.slice(0, 2);
        test.concurrent.each(harms)(`a revoke of a ${action} that, at ${word}, %s ends with the access gone`, async (_what, harm) => {
          await onScene(action, async (scene) => {
            const secret = await given(scene);
            scene.proxy.arm(word, harm);
            await expectTaken(scene, secret);
            expect(scene.proxy.cuts()).toBe(1);
          });
        });
      }
    }

    describe('and its target is killed and started again', () => {
      for (const action of actions) {
        test.each([['before', false], ['after', true]] as const)(`just %s the effect of a ${action}, ends with one, and a revoke with none`, async (_when, passOn) => {
          await onScene(action, async (scene) => {
            scene.proxy.arm(options.applying[action]!.at(-1)!, restart(passOn));
            await expectGiven(scene);
            expect(scene.proxy.cuts()).toBe(1);
            await expectTaken(scene, null);
          });
        });
        test(`in the middle of taking back a ${action}, ends with the access gone`, async () => {
          await onScene(action, async (scene) => {
            const secret = await given(scene);
            scene.proxy.arm(options.revoking[action]!.at(-1)!, restart(true));
            await expectTaken(scene, secret);
            expect(scene.proxy.cuts()).toBe(1);
          });
        });
      }
    });
  });
}
