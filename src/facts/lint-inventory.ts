/** What is amiss with an estate as its facts have it: who answers for what, what it is for, whether it is used. Each finding says why it matters and what to do. */
import { lintFacts, type FactsWarning } from './check.ts';
import type { FactsValue } from './facts.ts';
import { grantedOnly, NOBODY_ASKED, type Asking } from './granted.ts';
import { describeScope, scopesAt } from './observe.ts';
import { withOwners } from './owners.ts';
import type { InventoryFact } from './schemas.ts';

export const LINT_LEVELS = ['low', 'medium', 'high'] as const;
export type LintLevel = (typeof LINT_LEVELS)[number];

type OwnCode = 'no-owner' | 'fallback-owner' | 'no-backup-owner' | 'no-purpose' | 'never-used' | 'third-party-custody' | 'human-use' | 'usage-stale' | 'under-observe' | 'not-granted';
export type LintCode = FactsWarning['code'] | OwnCode;

export interface LintKind {
  readonly level: LintLevel;
  /** Why it matters. */
  readonly why: string;
  /** The risk of the OWASP NHI Top 10 2025 that it is a sign of. */
  readonly risk: `NHI${1 | 3 | 5 | 9 | 10}`;
  /** What to do. */
  readonly solution: string;
}

/** In the order in which they are told. */
export const LINT_KINDS: Readonly<Record<LintCode, LintKind>> = {
  'no-owner': { level: 'high', risk: 'NHI1', why: 'Nobody can approve what it asks for, and nobody is told when it goes wrong.', solution: 'Name an owner, or people in the team of the fallback rule.' },
  'no-active-owner': { level: 'high', risk: 'NHI1', why: 'Its owners have left: nobody can approve, and nobody notices.', solution: 'Name an owner who is active, or leave the owner to a fallback rule.' },
  'account-shared': { level: 'high', risk: 'NHI9', why: 'What is done about one is done to the other, and nobody can tell which of them did what.', solution: 'Give each identity an account of its own.' },
  'human-use': { level: 'high', risk: 'NHI10', why: 'What a person does with it is nobody’s doing. Policy gives it nothing.', solution: 'Give the people accounts of their own; then say humanUse: false, with a custody that is no person’s.' },
  'under-observe': { level: 'medium', risk: 'NHI5', why: 'What policy says there is on record and not enforced: what it denies is given, and what needs approvals goes without.', solution: 'See what it would deny, mend that, and take the scope out before its end.' },
  'not-granted': { level: 'medium', risk: 'NHI5', why: 'It is not in force: what policy denies is denied, until as many have signed it as are asked.', solution: 'Have them sign it with countersign exceptions sign, or take it out.' },
  'no-purpose': { level: 'medium', risk: 'NHI5', why: 'What it holds can be held against nothing, and policy gives it nothing.', solution: 'List what it is for in purposes, or offboard it.' },
  'never-used': { level: 'medium', risk: 'NHI1', why: 'An account that nobody uses is one that nobody misses when it is stolen.', solution: 'Ask the owner; disable it, then offboard it.' },
  'third-party-custody': { level: 'medium', risk: 'NHI3', why: 'A third party’s access needs more approvals, and is found when the contract ends, only where both are said.', solution: 'Say both, thirdParty and custody: thirdParty, or neither.' },
  'usage-stale': { level: 'medium', risk: 'NHI5', why: 'Policy no longer says what is unused, and what is above may not be so.', solution: 'Export the usage again, and regularly.' },
  'unknown-purpose': { level: 'medium', risk: 'NHI5', why: 'What is asked for it is denied.', solution: 'Add the purpose to the catalogue, or correct its name.' },
  'unknown-entitlement': { level: 'medium', risk: 'NHI5', why: 'Nobody can be given what the purpose needs.', solution: 'Add the entitlement to the catalogue with its rank, or correct the purpose.' },
  'unknown-person': { level: 'medium', risk: 'NHI1', why: 'Who is not in the directory approves nothing.', solution: 'Add the person to the directory, or correct the name.' },
  'unknown-team': { level: 'medium', risk: 'NHI1', why: 'Who is in no team answers for nothing.', solution: 'Add the team to the directory, or name another.' },
  'unknown-connector': { level: 'low', risk: 'NHI5', why: 'Nothing can be asked for there: the name is probably misspelt.', solution: 'Correct the name, or catalogue what there is.' },
  'unknown-nhi': { level: 'low', risk: 'NHI5', why: 'An exception for it lets nothing through: the id is probably misspelt, or it is gone.', solution: 'Correct the id, or take the exception out.' },
  'third-party-ambiguous': { level: 'low', risk: 'NHI3', why: 'Offboarding either organisation takes back what the other holds.', solution: 'Spell one organisation one way.' },
  'fallback-owner': { level: 'low', risk: 'NHI1', why: 'Somebody answers for it who perhaps does not know it.', solution: 'Find out whose it is, and name them as owner.' },
  'no-backup-owner': { level: 'low', risk: 'NHI1', why: 'While the owner is away nobody else can approve.', solution: 'Name a backup owner.' },
  'same-owner-twice': { level: 'low', risk: 'NHI1', why: 'While the owner is away nobody else can approve.', solution: 'Name somebody else as backup owner.' },
};

export interface LintFinding extends LintKind {
  readonly code: LintCode;
  readonly about: string;
  /** What is so. */
  readonly message: string;
}

/** As long as policy's own `usageAgeMaxMs` is. */
const USAGE_AGE_MAX_MS = 30 * 86_400_000;
const DAY_MS = 86_400_000;

/** Everything that is amiss, by code in the order of {@link LINT_KINDS} and by id. */
export function lintInventory(value: FactsValue, nowMs: number, asking: Omit<Asking, 'atMs'> | null = null): LintFinding[] {
  const nhis = withOwners(value);
  const { file: exceptions, held } = grantedOnly(value.exceptions ?? { v: 1, exceptions: [] }, value, { ...NOBODY_ASKED, ...asking, atMs: [nowMs] });
  const unowned = new Set(nhis.filter(({ owner }) => owner === undefined).map(({ id }) => id));
  const found = [
    ...lintFacts(value).filter(({ code, about }) => code !== 'no-active-owner' || !unowned.has(about)),
    ...nhis.flatMap(lintOne), ...lintUse(value, nowMs), ...lintConnectors(value),
    ...held.map(({ id, lacks }) => ({ code: 'not-granted' as const, about: id, message: lacks })),
    ...scopesAt(exceptions.observe ?? [], nowMs).map((scope) => ({ code: 'under-observe' as const, about: scope.id, message: `until ${scope.until}, of ${scope.owner}: ${describeScope(scope)}` })),
  ];
  const order = Object.keys(LINT_KINDS);
  return found
    .map(({ code, about, message }) => ({ code, about, message, ...LINT_KINDS[code] }))
    .sort((a, b) => order.indexOf(a.code) - order.indexOf(b.code) || (a.about === b.about ? 0 : a.about < b.about ? -1 : 1));
}

interface Said {
  readonly code: LintCode;
  readonly about: string;
  readonly message: string;
}

function lintOne(nhi: InventoryFact): Said[] {
  const { id: about, owner, backupOwner, ownerIsFallback, purposes, custody, thirdParty, humanUse } = nhi;
  const said: (Said | false)[] = [
    owner === undefined && { code: 'no-owner', about, message: 'it names no owner, and the team of its fallback rule has nobody active' },
    ownerIsFallback === true && { code: 'fallback-owner', about, message: `${owner!} answers for it by a rule alone` },
    owner !== undefined && backupOwner === undefined && { code: 'no-backup-owner', about, message: `nobody stands in for ${owner}` },
    purposes.length === 0 && { code: 'no-purpose', about, message: 'it has no purpose' },
    thirdParty !== undefined && custody !== 'thirdParty' && { code: 'third-party-custody', about, message: `it is used by ${thirdParty}, and its custody is ${custody}` },
    thirdParty === undefined && custody === 'thirdParty' && { code: 'third-party-custody', about, message: 'a third party has its credential, and which one is not said' },
    (humanUse || custody === 'human') && { code: 'human-use', about, message: humanUse ? 'people use it' : 'a person keeps its credential' },
  ];
  return said.filter((one) => one !== false);
}

/** Only where use is observed at all: of a connector that no observation mentions nothing is known. */
function lintUse({ inventory, usage }: FactsValue, nowMs: number): Said[] {
  if (usage === null) return [];
  const keyOf = (connector: string, account: string): string => JSON.stringify([connector, account]);
  const observed = new Set(usage.usage.map(({ connector }) => connector));
  const seen = new Set(usage.usage.map(({ connector, account }) => keyOf(connector, account)));
  const used = new Set(usage.usage.filter(({ privileges }) => privileges.length > 0).map(({ connector, account }) => keyOf(connector, account)));
  const unused = inventory.nhis.flatMap(({ id: about, accounts }) => Object.entries(accounts)
    .filter(([connector, account]) => observed.has(connector) && !used.has(keyOf(connector, account)))
    .map(([connector, account]): Said => ({ code: 'never-used', about, message: seen.has(keyOf(connector, account)) ? `${account} at ${connector} was seen to use nothing` : `${account} was not seen at ${connector}, where others were` })));
  const ageMs = nowMs - usage.observedAtMs;
  const stale: Said[] = ageMs <= USAGE_AGE_MAX_MS ? [] : [{ code: 'usage-stale', about: 'usage', message: `use was last looked at ${Math.floor(ageMs / DAY_MS)} days ago` }];
  return [...unused, ...stale];
}

function lintConnectors({ inventory, catalogue }: FactsValue): Said[] {
  const known = new Set(catalogue.entitlements.map(({ connector }) => connector));
  return inventory.nhis.flatMap(({ id: about, accounts }) => Object.keys(accounts).filter((connector) => !known.has(connector))
    .map((connector): Said => ({ code: 'unknown-connector', about, message: `it has an account at ${connector}, where nothing is in the catalogue` })));
}

/** How many of each, in the order of the findings. */
export function countsOf(findings: readonly LintFinding[]): Map<LintCode, number> {
  const counts = new Map<LintCode, number>();
  for (const { code } of findings) counts.set(code, (counts.get(code) ?? 0) + 1);
  return counts;
}
