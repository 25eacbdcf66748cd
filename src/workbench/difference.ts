/** What another policy would have decided: recorded questions put to two, and where their answers part. */
import { canonicalText } from '../../ledger/index.ts';
import type { Pdp } from '../pdp/engine.ts';
import { askPolicy, isStopped, type PolicyAnswer } from './ask.ts';
import { atOnce } from './at-once.ts';
import type { NotAsked, Recorded, RecordedQuestion } from './recorded.ts';

export interface DifferenceExample {
  readonly seq: number;
  readonly changeId: string | null;
}

export interface OutcomeChange {
  readonly entrypoint: RecordedQuestion['entrypoint'];
  /** An effect, what is proposed, or the fault of a policy that gives no answer. */
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly examples: readonly DifferenceExample[];
}

export interface CodeChange {
  readonly code: string;
  /** Decisions that say it under B and not under A. */
  readonly gained: number;
  /** Under A and not under B. */
  readonly lost: number;
  readonly examples: readonly DifferenceExample[];
}

export interface Difference {
  readonly decisions: number;
  readonly asked: number;
  readonly same: number;
  /** Another outcome. */
  readonly changed: number;
  /** The same outcome with other reasons, obligations or entitlements: who must approve, for how long. */
  readonly otherwise: number;
  readonly outcomes: readonly OutcomeChange[];
  readonly codes: readonly CodeChange[];
  readonly otherwiseExamples: readonly DifferenceExample[];
  readonly notAsked: Readonly<Partial<Record<NotAsked | 'stopped', number>>>;
}

const EXAMPLES = 3;

interface Counted {
  count: number;
  examples: DifferenceExample[];
}

/** @param asked questions under way at a time */
export async function differenceOf(a: Pdp, b: Pdp, recorded: AsyncIterable<Recorded>, asked: number): Promise<Difference> {
  const outcomes = new Map<string, Counted & Pick<OutcomeChange, 'entrypoint' | 'from' | 'to'>>();
  const codes = new Map<string, { code: string; gained: number; lost: number; examples: DifferenceExample[] }>();
  const otherwiseExamples: DifferenceExample[] = [];
  const notAsked: Partial<Record<NotAsked | 'stopped', number>> = {};
  let [decisions, put, same, changed, otherwise] = [0, 0, 0, 0, 0];
  const without = (why: NotAsked | 'stopped'): void => void (notAsked[why] = (notAsked[why] ?? 0) + 1);

  const compare = ({ changeId, entrypoint, seq }: RecordedQuestion, was: PolicyAnswer, is: PolicyAnswer): void => {
    const example = { seq, changeId };
    const [from, to] = [outcomeOf(was), outcomeOf(is)];
    if (from === to && (!was.ok || !is.ok || isSame(was.value, is.value))) return void (same += 1);
    const [before, after] = [codesOf(was), codesOf(is)];
    for (const code of new Set([...before, ...after])) {
      if (before.has(code) && after.has(code)) continue;
      const known = codes.get(code) ?? { code, gained: 0, lost: 0, examples: [] };
      if (after.has(code)) known.gained += 1;
      else known.lost += 1;
      keep(known.examples, example);
      codes.set(code, known);
    }
    if (from === to) {
      otherwise += 1;
      return keep(otherwiseExamples, example);
    }
    changed += 1;
    const key = JSON.stringify([entrypoint, from, to]);
    const known = outcomes.get(key) ?? { entrypoint, from, to, count: 0, examples: [] };
    known.count += 1;
    keep(known.examples, example);
    outcomes.set(key, known);
  };

  await atOnce(recorded, asked, async (one) => {
    decisions += 1;
    if (one.is !== 'question') return without(one.is);
    const { entrypoint, input } = one.question;
    const [was, is] = await Promise.all([askPolicy(a, entrypoint, input), askPolicy(b, entrypoint, input)]);
    if ([was, is].some((answer) => !answer.ok && isStopped(answer.fault))) return without('stopped');
    put += 1;
    compare(one.question, was, is);
  });
  return {
    decisions, asked: put, same, changed, otherwise,
    outcomes: [...outcomes.values()].sort((x, y) => y.count - x.count || order(`${x.from} ${x.to}`, `${y.from} ${y.to}`)),
    codes: [...codes.values()].sort((x, y) => y.gained + y.lost - x.gained - x.lost || order(x.code, y.code)),
    otherwiseExamples, notAsked,
  };
}

/** Spelled alike is the same; what is not may yet be. */
const isSame = (x: object, y: object): boolean => JSON.stringify(x) === JSON.stringify(y) || canonicalText(x) === canonicalText(y);
const outcomeOf = (answer: PolicyAnswer): string => (answer.ok ? answer.outcome : answer.fault);
const codesOf = (answer: PolicyAnswer): Set<string> => new Set(answer.ok ? answer.reasons.map(({ code }) => code) : []);
const order = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);

/** The first by their place in the ledger, whichever was answered first. */
function keep(examples: DifferenceExample[], example: DifferenceExample): void {
  examples.push(example);
  examples.sort((x, y) => x.seq - y.seq).splice(EXAMPLES);
}
