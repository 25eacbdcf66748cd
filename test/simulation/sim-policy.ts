/**
 * Policy in a run: the shipped one, in the run's own time, under bundles that follow one another. Each says in every answer which one it is, and every
 * second one asks security as well of whatever asks people.
 */
import type { ApproverExpression, Decision } from '../../src/protocol/decision.ts';
import { EngineFault, type Pdp } from '../../src/pdp/engine.ts';
import { livePdp, type LivePdp } from '../../src/pdp/live.ts';
import { simBundle, type Answers } from './replaying.ts';
import type { Rng } from './rng.ts';
import type { Process, Scheduler } from './scheduler.ts';

export interface SimPolicy {
  /** What a process asks, from its start on. */
  start(process: Process): LivePdp;
  /** The next bundle, for the process that runs; `took` once it is in force there. */
  next(process: Process): { readonly pdp: Pdp; readonly took: () => void };
}

export interface SimPolicyOptions {
  readonly pdp: Pdp;
  readonly scheduler: Scheduler;
  readonly answers: Answers;
  readonly rng: Rng;
  readonly escalations: Rng;
  readonly isFaulty: () => boolean;
  readonly wrap: (pdp: Pdp) => Pdp;
  /** What is replaced goes on answering, under the name of what follows. */
  readonly namedOnly: boolean;
}

type Control = Decision['controls'][number];

const MARK = 'simulation';

/** By which bundle it says that it was given; null where it does not say. */
export function markOf(controls: readonly Control[]): string | null {
  return controls.find(({ framework }) => framework === MARK)?.id ?? null;
}

export function createSimPolicy({ pdp, scheduler, answers, rng, escalations, isFaulty, wrap, namedOnly }: SimPolicyOptions): SimPolicy {
  let inForce = 0;
  const ask = async <T>(process: Process, question: () => Promise<T>): Promise<T> => {
    await scheduler.call(process, 'policy engine', rng.between(0, 3), () => {
      if (isFaulty()) throw new EngineFault('timed-out', 'simulated');
    });
    return question();
  };
  const numbered = (process: Process, number: number): Pdp => {
    const { bundle, evidence } = simBundle(number);
    const marked = <T extends { readonly controls: readonly Control[] }>(answer: T): T => ({ ...answer, controls: [...answer.controls, { framework: MARK, id: bundle.slice(7, 23), rule: 'simulation' }] });
    const decided = (decision: Decision, changeId: string): Decision => marked(number % 2 === 0 ? decision : askingSecurity(decision, changeId));
    return wrap({
      bundle, evidence,
      decide: (input) => answers.keep(bundle, 'access/decide', input, async () => escalatedSoon(decided(await ask(process, () => pdp.decide(input)), input.change.changeId), escalations)),
      verify: (input) => answers.keep(bundle, 'access/verify', input, async () => marked(await ask(process, () => pdp.verify(input)))),
      schedule: (input) => ask(process, () => pdp.schedule(input)),
      reconcile: (input) => answers.keep(bundle, 'access/reconcile', input, async () => marked(await ask(process, () => pdp.reconcile(input)))),
      redecide: (input) => answers.keep(bundle, 'access/redecide', input, async () => marked(await ask(process, () => pdp.redecide(input)))),
      accept: (input) => answers.keep(bundle, 'workflow/accept', input, async () => marked(await ask(process, () => pdp.accept(input)))),
      close: async () => undefined,
    });
  };
  return {
    start(process) {
      const first = numbered(process, inForce);
      const live = livePdp(first, (error) => {
        throw error;
      });
      if (!namedOnly) return live;
      const named = ({ bundle, evidence }: Pdp): void => live.replace({ ...first, bundle, evidence });
      return new Proxy(live, { get: (target, name): unknown => (name === 'replace' ? named : Reflect.get(target, name)) });
    },
    next(process) {
      const number = inForce + 1;
      return { pdp: numbered(process, number), took: () => void (inForce = number) };
    },
  };
}

/** Of every second change last of all, and then it takes two to reject it. */
function askingSecurity(decision: Decision, changeId: string): Decision {
  const { observed, obligations } = decision;
  const isLast = changeId.charCodeAt(changeId.length - 1) % 2 === 0;
  const withHer = (approvers: ApproverExpression | null): ApproverExpression | null =>
    (approvers === null ? null : isLast ? { stages: [approvers, 'person:olga'] } : { allOf: [approvers, 'person:olga'] });
  return {
    ...decision, obligations: { ...obligations, approvers: withHer(obligations.approvers), ...(isLast && obligations.approvers !== null ? { rejections: 2 } : {}) },
    ...(observed === undefined ? {} : { observed: { ...observed, approvers: withHer(observed.approvers) } }),
  };
}

/** Further people are told within the minutes of a run, or after it: sooner and later, to more and fewer, as if policy and directory changed all the time. */
function escalatedSoon(decision: Decision, rng: Rng): Decision {
  const { escalation, ...others } = decision.obligations;
  if (escalation === undefined) return decision;
  const [afterSeconds, fewer] = [rng.pick([1, 5, 15, 40, 100, 200, null]), rng.chance(0.3)];
  return { ...decision, obligations: { ...others, ...(afterSeconds === null ? {} : { escalation: { afterSeconds, to: fewer ? escalation.to.slice(-1) : escalation.to } }) } };
}
