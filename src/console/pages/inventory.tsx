/** The machine identities that she answers for or may see: whose each is, how risky, what it is declared to need, has and uses. */
import type { NhiListOptions, NhiMatter, NhiView } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Bars, type Bar } from '../parts/bars.tsx';
import { Filter, filterOf, narrowed, placeChoice, type Choice } from '../parts/filter.tsx';
import { cursorsOf, merged, Pager, type Listed } from '../parts/pager.tsx';
import { identityPath, Troubles } from '../parts/small.tsx';

const SHOWN = 25;
const ENVIRONMENT_MAX = 64;
const RISKS = ['critical', 'high', 'medium', 'low'] as const satisfies readonly NhiView['riskTier'][];

const CHOICES: readonly Choice[] = [
  { name: 'risk', label: 'Risk', options: [['', 'any'], ...RISKS.map((one) => [one, one] as const)] },
  { name: 'with', label: 'With', options: [['', 'anything'], ['findings', 'open findings'], ['leases', 'leases'], ['fallback', 'an owner by rule alone'], ['unused', 'something declared and not used']] },
];

export function addInventory(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/inventory', page(context, async (c, session) => {
    const [given, cursors] = [filterOf(c, [...CHOICES, ...placeChoice(context)]), cursorsOf(c.req.queries('after'))];
    // Which environments there are, sidecars say: one that none of them has is asked for as well, and finds nothing.
    const environment = (c.req.query('environment') ?? '').slice(0, ENVIRONMENT_MAX);
    const filter = environment === '' ? given : { ...given, environment };
    const asked = await askAll(narrowed(context, filter), session, async (client, _me, place) => {
      const { nhis, next = null, count = nhis.length, all = nhis.length, environments = [] } = await client.nhis({ limit: SHOWN, ...questionOf(filter), ...(cursors.has(place.name) ? { cursor: cursors.get(place.name)! } : {}) });
      return { all: nhis, next, count, seen: all, environments };
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const paged = merged(asked, SHOWN, cursors, (a, b) => a.one.id < b.one.id, ({ id }) => id);
    const answered = asked.flatMap((one) => ('trouble' in one ? [] : [one.value]));
    const [count, all] = [answered.reduce((sum, one) => sum + one.count, 0), answered.reduce((sum, one) => sum + one.seen, 0)];
    const environments = [...new Set([...answered.flatMap((one) => one.environments), ...(environment === '' ? [] : [environment])])].sort();
    const choices: Choice[] = [{ name: 'environment', label: 'Environment', options: [['', 'every one'], ...environments.map((one) => [one, plain(one)] as const)] }, ...CHOICES, ...placeChoice(context)];
    return c.html(
      <Page context={context} session={session} title="Inventory" section="inventory">
        <h1>Inventory</h1>
        <p class="lead">The machine identities that you answer for or may see. Declared is what their purposes need by the catalogue, leased what they have by leases that run, used what was seen at targets.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all === 0 && Object.keys(filter).length === 0 ? null : <Filter path="/inventory" filter={filter} search="Identity, owner or purpose" choices={choices} />}
        {count === 0
          ? <p class="empty">{all === 0 ? 'There are no machine identities that you may see.' : 'No identity is like that.'}</p>
          : <p class="note">{count === all ? `${all} in all` : `${count} of ${all}`}.</p>}
        <ul class="cards" role="list">{paged.shown.map((one) => <li><Card listed={one} isOnly={context.places.length === 1} /></li>)}</ul>
        <Pager after={paged.after} isFirst={cursors.size === 0} path="/inventory" query={filter} />
      </Page>,
    );
  }));
}

/** What the sidecar is asked, of what the list is narrowed to. */
function questionOf({ q, environment, risk, with: matter }: Readonly<Record<string, string>>): NhiListOptions {
  return {
    ...(q === undefined ? {} : { q }), ...(environment === undefined ? {} : { environment }), ...(risk === undefined ? {} : { riskTier: risk as NhiView['riskTier'] }), ...(matter === undefined ? {} : { with: matter as NhiMatter }),
  };
}

function Card({ listed: { place, one: nhi }, isOnly }: { listed: Listed<NhiView>; isOnly: boolean }) {
  const { openFindings = 0 } = nhi;
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
        {openFindings === 0 ? null : <p class="meta"><span class="state bad">{openFindings === 1 ? '1 open finding' : `${openFindings} open findings`}</span></p>}
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
