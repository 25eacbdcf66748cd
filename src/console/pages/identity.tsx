/** One machine identity: who answers for it, what it has and uses at each connector, its leases, findings and newest changes. */
import { ClientError, type ChangeView, type Client, type Discovery, type FindingView, type LockView, type NhiView } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { nhiIdSchema } from '../../protocol/values.ts';
import { orNull, troubleOf } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Bars } from '../parts/bars.tsx';
import { Leases, runningOf } from '../parts/leases.tsx';
import { listAddress } from '../parts/pager.tsx';
import { changePath, identityPath, State, Time, Title } from '../parts/small.tsx';
import { Owner } from './inventory.tsx';

const CHANGES_SHOWN = 15;

interface Identity {
  readonly nhi: NhiView;
  readonly changes: readonly ChangeView[];
  readonly findings: readonly FindingView[];
  readonly locks: readonly LockView[];
  /** By connector, as it was compared last; none where nobody has, or it is not for her to see. */
  readonly looks: ReadonlyMap<string, Discovery>;
}

export function addIdentity(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/inventory/:place/:id{.+}', page(context, async (c, session) => {
    const place = context.places.find(({ name }) => name === c.req.param('place'));
    const id = nhiIdSchema.safeParse(c.req.param('id'));
    const none = (text: string, status: 404 | 502) => c.html(
      <Page context={context} session={session} title="Not to be shown" section="inventory">
        <h1>Not to be shown</h1>
        <p class="banner bad">{plain(text)}</p>
        <p><a href="/inventory">To the inventory</a></p>
      </Page>, status,
    );
    if (place === undefined || !id.success) return none('There is no identity at this address.', 404);
    try {
      const found = await read(place.open(session.token), id.data);
      const { nhi, changes, findings, locks } = found;
      const ofChanges = changes.flatMap((change) => change.findings.map((finding) => ({ change, finding })));
      return await c.html(
        <Page context={context} session={session} title={plain(nhi.id)} section="inventory">
          <h1 class="id-title">{plain(nhi.id)}</h1>
          {nhi.description === undefined ? null : <p class="lead">{plain(nhi.description)}</p>}
          {locks.filter((lock) => lock.nhi === nhi.id).map((lock) => <p class="banner open"><strong>Locked</strong> by <span class="id">{plain(lock.by)}</span>, <Time at={lock.at} />: {plain(lock.reason)}</p>)}
          <About nhi={nhi} />
          <h2>Privileges</h2>
          <Privileges found={found} />
          <h2>Open findings</h2>
          {findings.length + ofChanges.length === 0 ? <p class="note">None that you may see.</p> : null}
          {findings.map((one) => <p class="banner bad"><strong>{one.code}</strong> {plain(one.message)} (since <Time at={one.since} />){one.changeId === null ? null : <> <a href={changePath(place, one.changeId)}>The change</a></>}{one.proposed === null ? null : <> <a href={changePath(place, one.proposed)}>What was asked for to end it</a></>}</p>)}
          {ofChanges.map(({ change, finding }) => <p class="banner bad"><strong>{finding.code}</strong> {plain(finding.message)} <a href={changePath(place, change.id)}>The change</a></p>)}
          <h2>Leases</h2>
          {nhi.leases.length === 0 ? <p class="note">Nothing runs.</p> : null}
          <Leases running={runningOf(place, nhi.leases, locks)} session={session} nowMs={context.nowMs()} back={identityPath(place, nhi.id)} isOnly isOfOne />
          <h2>Newest changes</h2>
          {changes.length === 0 ? <p class="note">None that you may see.</p> : null}
          <ul class="rows" role="list">
            {changes.map((change) => <li><a href={changePath(place, change.id)}><Title change={change} /></a>{change.reason === null ? null : <span class="said">{plain(change.reason)}</span>}<span class="meta"><State state={change.state} /><Time at={change.requestedAt} /></span></li>)}
          </ul>
          {changes.length < CHANGES_SHOWN ? null : <p><a href={listAddress('/changes', { q: nhi.id, ...(context.places.length === 1 ? {} : { at: place.name }) }, [])}>All its changes</a></p>}
        </Page>,
      );
    } catch (error) {
      const trouble = troubleOf(error, place);
      if (trouble.isOver) return signInFirst(c, context);
      return none(trouble.text, error instanceof ClientError && error.code === 'no-such-nhi' ? 404 : 502);
    }
  }));
}

async function read(client: Client, id: string): Promise<Identity> {
  const [nhi, { changes }, { findings }, { locks }] = await Promise.all([client.nhi(id), client.list({ subject: id, limit: CHANGES_SHOWN }), client.findings({ nhi: id }), client.locks()]);
  const looks = await Promise.all(Object.keys(nhi.accounts).map(async (connector) => [connector, await lookOf(client, connector)] as const));
  return { nhi, changes, findings, locks, looks: new Map(looks.flatMap(([connector, look]) => (look === null ? [] : [[connector, look]]))) };
}

/** All that is at a target: that it takes too long, or is more than comes over the bus, keeps nobody from the rest. */
async function lookOf(client: Client, connector: string): Promise<Discovery | null> {
  return orNull(client.discovery(connector)).catch((error: unknown) => {
    if (error instanceof ClientError && (error.code === 'unreachable' || error.code === 'timed-out')) return null;
    throw error;
  });
}

function About({ nhi }: { nhi: NhiView }) {
  const rows: [string, string][] = [
    ['purposes', nhi.purposes.length === 0 ? 'none' : nhi.purposes.join(', ')],
    ['consumers', nhi.consumers.length === 0 ? 'none' : nhi.consumers.join(', ')],
    ['custody', `${nhi.custody}${nhi.thirdParty === undefined ? '' : `, ${nhi.thirdParty}`}${nhi.humanUse ? '; people use it too' : ''}`],
    ['backup owner', nhi.backupOwner ?? 'none'],
  ];
  return (
    <>
      <p class="meta"><Owner nhi={nhi} /><span>{plain(nhi.environment)}</span><span class={`risk ${nhi.riskTier}`}>{nhi.riskTier} risk</span></p>
      <dl class="plan about">{rows.map(([name, text]) => <div><dt>{name}</dt><dd>{plain(text)}</dd></div>)}</dl>
    </>
  );
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)].sort();

function Privileges({ found: { nhi, looks } }: { found: Identity }) {
  const privileges = nhi.privileges ?? [];
  if (privileges.length === 0) return <p class="note">It has no account, and its purposes need nothing.</p>;
  return (
    <ul class="cards" role="list">
      {privileges.map(({ connector, account, declared, used }) => {
        const look = looks.get(connector);
        const seen = account === null || look === undefined ? null : atTarget(look, account);
        return (
          <li class="card">
            <h3>{plain(connector)} {account === null ? <span class="note">no account of its own: each lease makes one</span> : <span class="note">as <span class="id">{plain(account)}</span></span>}</h3>
            <Bars named bars={[
              { name: 'declared', privileges: declared, unknown: '' },
              ...(seen === null ? [] : [{ name: 'held' as const, privileges: seen.held, unknown: '' }]),
              { name: 'leased', privileges: unique(nhi.leases.filter((lease) => lease.connector === connector).flatMap((lease) => lease.privileges)), unknown: '' },
              { name: 'used', privileges: used, unknown: 'not observed' },
            ]} />
            <p class="meta">
              {seen === null ? <span>{account === null ? null : 'What it holds at the target is not known here: nobody has compared it, it was more than could be had in time, or it is for operators, auditors, on call and security.'}</span> : <span>Held as of <Time at={look!.at} />{look!.complete ? '' : ', not all of it was seen'}.</span>}
              {seen === null || seen.createdAt === null ? null : <span>Oldest credential of <Time at={seen.createdAt} />.</span>}
              {seen === null ? null : <span>Last seen: {seen.lastUsedAt === null ? 'the target does not say' : <Time at={seen.lastUsedAt} />}.</span>}
              {used === null || nhi.useObservedAt === null || nhi.useObservedAt === undefined ? null : <span>Use as of <Time at={nhi.useObservedAt} />.</span>}
            </p>
          </li>
        );
      })}
    </ul>
  );
}

/** What the account holds there, by itself and by grants of Countersign; null where it was not found. */
function atTarget({ entries }: Discovery, account: string): { held: string[]; createdAt: string | null; lastUsedAt: string | null } | null {
  const own = entries.find((one) => one.kind === 'account' && one.account === account);
  if (own?.kind !== 'account') return null;
  const lent = entries.flatMap((one) => (one.kind === 'grant' && one.accounts.includes(account) ? one.held : []));
  const [createdAt = null] = own.credentials.flatMap((one) => one.createdAt ?? []).sort();
  return { held: unique([...own.held, ...lent]), createdAt, lastUsedAt: own.lastUsedAt };
}
