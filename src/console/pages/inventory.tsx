/** The machine identities that she answers for or may see: whose each is, how risky, what it is declared to need, has and uses. */
import type { FindingView, NhiView } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, Place } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Bars, type Bar } from '../parts/bars.tsx';
import { Filter, filterOf, isAbout, placeChoice, type Choice } from '../parts/filter.tsx';
import { pageOf, Pager } from '../parts/pager.tsx';
import { identityPath, Troubles } from '../parts/small.tsx';

const SHOWN = 25;
const RISKS = ['critical', 'high', 'medium', 'low'] as const satisfies readonly NhiView['riskTier'][];

interface Listed {
  readonly place: Place;
  readonly nhi: NhiView;
  readonly findings: readonly FindingView[];
}

/** What one looks for first, and how it is told. */
const WITH: Readonly<Record<string, (one: Listed) => boolean>> = {
  findings: ({ findings }) => findings.length > 0,
  leases: ({ nhi }) => nhi.leases.length > 0,
  fallback: ({ nhi }) => nhi.ownerIsFallback === true,
  unused: ({ nhi }) => (nhi.privileges ?? []).some(({ declared, used }) => used !== null && declared.some((one) => !used.includes(one))),
};

export function addInventory(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/inventory', page(context, async (c, session) => {
    const asked = await askAll(context, session, async (client, _me, place) => {
      const [{ nhis }, { findings }] = await Promise.all([client.nhis(), client.findings()]);
      return nhis.map((nhi): Listed => ({ place, nhi, findings: findings.filter((one) => one.nhi === nhi.id) }));
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const all = asked.flatMap((one) => ('trouble' in one ? [] : one.value));
    const choices: Choice[] = [
      { name: 'environment', label: 'Environment', options: [['', 'every one'], ...[...new Set(all.map(({ nhi }) => nhi.environment))].sort().map((one) => [one, plain(one)] as const)] },
      { name: 'risk', label: 'Risk', options: [['', 'any'], ...RISKS.map((one) => [one, one] as const)] },
      { name: 'with', label: 'With', options: [['', 'anything'], ['findings', 'open findings'], ['leases', 'leases'], ['fallback', 'an owner by rule alone'], ['unused', 'something declared and not used']] },
      ...placeChoice(context),
    ];
    const filter = filterOf(c, choices);
    const wanted = all.filter((one) => isWanted(one, filter)).sort((a, b) => (a.nhi.id < b.nhi.id ? -1 : 1));
    const paged = pageOf(wanted, SHOWN, c.req.query('page'));
    return c.html(
      <Page context={context} session={session} title="Inventory" section="inventory">
        <h1>Inventory</h1>
        <p class="lead">The machine identities that you answer for or may see. Declared is what their purposes need by the catalogue, leased what they have by leases that run, used what was seen at targets.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all.length === 0 ? null : <Filter path="/inventory" filter={filter} search="Identity, owner or purpose" choices={choices} />}
        {wanted.length === 0
          ? <p class="empty">{all.length === 0 ? 'There are no machine identities that you may see.' : 'No identity is like that.'}</p>
          : <p class="note">{wanted.length === all.length ? `${all.length} in all` : `${wanted.length} of ${all.length}`}.</p>}
        <ul class="cards" role="list">{paged.shown.map((one) => <li><Card one={one} isOnly={context.places.length === 1} /></li>)}</ul>
        <Pager of={paged} path="/inventory" query={filter} />
      </Page>,
    );
  }));
}

function isWanted(one: Listed, filter: Readonly<Record<string, string>>): boolean {
  const { place, nhi } = one;
  return (filter['at'] ?? place.name) === place.name
    && (filter['environment'] ?? nhi.environment) === nhi.environment
    && (filter['risk'] ?? nhi.riskTier) === nhi.riskTier
    && (filter['with'] === undefined || WITH[filter['with']]!(one))
    && isAbout(filter['q'], [nhi.id, nhi.description, nhi.owner, nhi.backupOwner, nhi.thirdParty, ...nhi.purposes, ...Object.values(nhi.accounts)]);
}

function Card({ one: { place, nhi, findings }, isOnly }: { one: Listed; isOnly: boolean }) {
  return (
    <article class="card identity">
      <div>
        <h2><a href={identityPath(place, nhi.id)} data-stop>{plain(nhi.id)}</a></h2>
        {nhi.description === undefined ? null : <p class="note">{plain(nhi.description)}</p>}
        <p class="meta">
          <Owner nhi={nhi} />
          <span>{plain(nhi.environment)}</span>
          <span class={`risk ${nhi.riskTier}`}>{nhi.riskTier} risk</span>
          {isOnly ? null : <span>at {place.name}</span>}
        </p>
        {findings.length === 0 ? null : <p class="meta"><span class="state bad">{findings.length === 1 ? '1 open finding' : `${findings.length} open findings`}</span></p>}
      </div>
      <Bars bars={barsOf(nhi)} named={false} />
    </article>
  );
}

export function Owner({ nhi }: { nhi: NhiView }) {
  if (nhi.owner === undefined) return <span class="state bad">no owner</span>;
  return <span>owner <span class="id">{plain(nhi.owner)}</span>{nhi.ownerIsFallback === true ? ' (by a rule alone)' : ''}</span>;
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)].sort();

/** Over all connectors. */
function barsOf({ privileges = [], leases }: NhiView): Bar[] {
  const at = (connector: string, those: readonly string[]): string[] => those.map((one) => `${connector} ${one}`);
  const seen = privileges.filter(({ used }) => used !== null);
  return [
    { name: 'declared', privileges: unique(privileges.flatMap(({ connector, declared }) => at(connector, declared))), unknown: '' },
    { name: 'leased', privileges: unique(leases.flatMap((lease) => at(lease.connector, lease.privileges))), unknown: '' },
    { name: 'used', privileges: seen.length === 0 ? null : unique(seen.flatMap(({ connector, used }) => at(connector, used ?? []))), unknown: 'not observed' },
  ];
}
