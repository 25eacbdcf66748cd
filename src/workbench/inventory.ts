/** The whole inventory put to policy: what each identity would be told if it asked for what its purposes need, and for what it was seen to use. */
import { entitlementKey } from '../facts/check.ts';
import type { Facts } from '../facts/facts.ts';
import type { InventoryFact } from '../facts/schemas.ts';
import type { Pdp } from '../pdp/engine.ts';
import type { Decision } from '../protocol/decision.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import type { Entitlement } from '../protocol/values.ts';
import { atOnce } from './at-once.ts';
import { weightOf, type Weight } from './explain.ts';
import { simulate, type Simulated } from './simulate.ts';

export interface InventoryQuestion {
  readonly nhi: string;
  /** `need`: what a purpose needs at one target; `use`: what its account there was seen to use. */
  readonly asked: 'need' | 'use';
  readonly purpose: string;
  readonly system: { readonly connector: string; readonly target: string };
  readonly request: ChangeRequest;
}

export interface Example {
  readonly nhi: string;
  readonly asked: InventoryQuestion['asked'];
  readonly purpose: string;
  readonly system: string;
  readonly message: string;
}

export interface CodeCount {
  readonly code: string;
  readonly rule: string;
  readonly does: Weight;
  readonly count: number;
  readonly examples: readonly Example[];
}

export interface InventoryReport {
  readonly nhis: number;
  readonly questions: number;
  readonly effects: Readonly<Record<Decision['effect'] | 'noAnswer', number>>;
  /** Identities of which at least one question is denied. */
  readonly nhisDenied: number;
  /** Identities of which nothing could be asked: no purpose that needs anything, and no use that was seen. */
  readonly nhisNotAsked: readonly string[];
  readonly nhisNotAskedCount: number;
  /** The most frequent first. */
  readonly codes: readonly CodeCount[];
}

const ENTITLEMENTS_MAX = 16;
const EXAMPLES = 3;
/** What is asked for where a purpose may stand: nothing is given without an end by a grant. */
const STANDING_SECONDS = 3_600;
/** What a duration can say. */
const DURATION_SECONDS_MAX = 999_999_999;
const NO_PURPOSE = 'none';

/** One grant for each purpose, target and at most sixteen entitlements; and one of the same for what was seen in use. In the order of the inventory. */
export function* inventoryQuestions(facts: Facts): Generator<InventoryQuestion> {
  const purposes = new Map(facts.catalogue.purposes.map((purpose) => [purpose.id, purpose]));
  const used = new Map<string, string[]>();
  for (const { connector, account, privileges } of facts.usage?.usage ?? []) used.set(JSON.stringify([connector, account]), [...new Set([...(used.get(JSON.stringify([connector, account])) ?? []), ...privileges])]);
  const targets = targetsOf(facts);
  for (const nhi of facts.inventory.values()) {
    const needs = nhi.purposes.map((id) => ({ id, needs: purposes.get(id)?.needs ?? [], seconds: purposes.get(id)?.maxLeaseSeconds ?? STANDING_SECONDS }));
    for (const purpose of needs) yield* grants(nhi, 'need', purpose, purpose.needs);
    for (const [connector, account] of Object.entries(nhi.accounts)) {
      const seen = (used.get(JSON.stringify([connector, account])) ?? []).flatMap((privilege) => targets(connector, privilege).map((target) => ({ connector, target, privilege })));
      yield* grants(nhi, 'use', closest(needs, seen), seen);
    }
  }
}

interface Purpose {
  readonly id: string;
  readonly needs: readonly Entitlement[];
  readonly seconds: number;
}

/** Of the purposes, the one that needs the most of this. */
function closest(purposes: readonly Purpose[], seen: readonly Entitlement[]): Purpose {
  const keys = new Set(seen.map(entitlementKey));
  const covered = ({ needs }: Purpose): number => needs.filter((need) => keys.has(entitlementKey(need))).length;
  return [...purposes].sort((a, b) => covered(b) - covered(a))[0] ?? { id: NO_PURPOSE, needs: [], seconds: STANDING_SECONDS };
}

/** Where a privilege that was seen at a connector may be: usage does not say the target, the catalogue does. */
function targetsOf(facts: Facts): (connector: string, privilege: string) => readonly string[] {
  const found = new Map<string, Set<string>>();
  for (const { connector, target, privilege } of facts.catalogue.entitlements) {
    const key = JSON.stringify([connector, privilege]);
    found.set(key, (found.get(key) ?? new Set()).add(target));
  }
  return (connector, privilege) => [...(found.get(JSON.stringify([connector, privilege])) ?? ['unknown'])];
}

function* grants({ id }: InventoryFact, asked: InventoryQuestion['asked'], purpose: Purpose, wanted: readonly Entitlement[]): Generator<InventoryQuestion> {
  const bySystem = new Map<string, Entitlement[]>();
  for (const one of wanted) {
    const key = JSON.stringify([one.connector, one.target]);
    bySystem.set(key, [...(bySystem.get(key) ?? []), one]);
  }
  for (const all of bySystem.values()) {
    for (let from = 0; from < all.length; from += ENTITLEMENTS_MAX) {
      const entitlements = all.slice(from, from + ENTITLEMENTS_MAX);
      const { connector, target } = entitlements[0]!;
      const request: ChangeRequest = { kind: 'grant', subject: id, purpose: purpose.id, reason: 'simulated', duration: `PT${Math.min(purpose.seconds, DURATION_SECONDS_MAX)}S`, entitlements };
      yield { nhi: id, asked, purpose: purpose.id, system: { connector, target }, request };
    }
  }
}

/** Every question asked, as the identity itself would at `nowMs`, with nothing held. */
export async function simulateInventory(pdp: Pick<Pdp, 'decide' | 'schedule'>, facts: Facts, { nowMs, connectors, asked, progress }: {
  readonly nowMs: number;
  readonly connectors: readonly string[];
  /** Questions under way at a time. */
  readonly asked: number;
  readonly progress?: (done: number) => void;
}): Promise<InventoryReport> {
  const tally = openTally();
  const nhis = new Set<string>();
  await atOnce(inventoryQuestions(facts), asked, async (question) => {
    nhis.add(question.nhi);
    const answer = await simulate(pdp, { request: question.request, requester: [question.nhi], facts, nowMs, connectors, held: [] });
    tally.add(question, answer);
    progress?.(tally.count());
  });
  const notAsked = [...facts.inventory.keys()].filter((id) => !nhis.has(id));
  return { nhis: facts.inventory.size, ...tally.finish(), nhisNotAsked: notAsked.slice(0, EXAMPLES), nhisNotAskedCount: notAsked.length };
}

function openTally(): {
  add(question: InventoryQuestion, answer: Simulated): void;
  count(): number;
  finish(): Pick<InventoryReport, 'questions' | 'effects' | 'nhisDenied' | 'codes'>;
} {
  const effects = { deny: 0, needsApproval: 0, allow: 0, noAnswer: 0 };
  const denied = new Set<string>();
  const codes = new Map<string, CodeCount & { count: number; examples: Example[] }>();
  let questions = 0;
  const note = ({ asked, nhi, purpose, system }: InventoryQuestion, { code, message, rule }: { readonly code: string; readonly message: string; readonly rule: string }): void => {
    const key = JSON.stringify([code, rule]);
    const known = codes.get(key) ?? { code, rule, does: rule === 'engine' ? 'denies' as const : weightOf(rule), count: 0, examples: [] };
    known.count += 1;
    // An identity is one example, however often it is told so.
    if (known.examples.length < EXAMPLES && !known.examples.some((one) => one.nhi === nhi)) known.examples.push({ nhi, asked, purpose, system: `${system.connector}/${system.target}`, message });
    codes.set(key, known);
  };
  return {
    count: () => questions,
    add(question, answer) {
      questions += 1;
      if (!answer.ok) {
        effects.noAnswer += 1;
        return note(question, { code: answer.fault.code, message: answer.fault.message, rule: 'engine' });
      }
      effects[answer.decision.effect] += 1;
      if (answer.decision.effect === 'deny') denied.add(question.nhi);
      for (const reason of answer.decision.reasons) note(question, reason);
    },
    finish: () => ({ questions, effects, nhisDenied: denied.size, codes: [...codes.values()].sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)) }),
  };
}
