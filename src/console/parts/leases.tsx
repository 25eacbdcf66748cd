/** Access that runs: whose, at what, until when, by which change; and the way to take it back. */
import type { LeaseView, LockView } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import type { Place } from '../context.ts';
import type { Session } from '../sessions.ts';
import { changePath, Countdown, identityPath, State } from './small.tsx';

export interface Running {
  readonly place: Place;
  readonly lease: LeaseView;
  /** In force on its identity, or at its connector. */
  readonly locks: readonly LockView[];
}

/** Each lease with what is to be known beside it. */
export function runningOf(place: Place, leases: readonly LeaseView[], locks: readonly LockView[]): Running[] {
  return leases.map((lease) => ({ place, lease, locks: locks.filter(({ nhi, connector }) => nhi === lease.subject || connector === lease.connector) }));
}

export interface LeasesProps {
  readonly session: Session;
  readonly nowMs: number;
  /** The page that they are on: whoever takes one back comes back to it. */
  readonly back: string;
  /** There is one sidecar, or the page says which. */
  readonly isOnly: boolean;
  /** The page is of their identity, and says so above. */
  readonly isOfOne: boolean;
}

export function Leases({ running, ...props }: LeasesProps & { running: readonly Running[] }) {
  return (
    <ul class="leases" role="list">
      {running.map((one) => <Lease one={one} {...props} />)}
    </ul>
  );
}

function Lease({ one: { place, lease, locks }, session, nowMs, back, isOnly, isOfOne }: LeasesProps & { one: Running }) {
  return (
    <li class="card" id={lease.leaseId}>
      <header>
        {isOfOne ? <h3>{plain(`${lease.connector} / ${lease.target}`)}</h3> : <h2><a href={identityPath(place, lease.subject)} data-stop>{plain(lease.subject)}</a></h2>}
        <Countdown until={lease.endsAt} nowMs={nowMs} what="access" />
      </header>
      <p class="what"><span class="id">{lease.privileges.map(plain).join(', ')}</span> at <span class="id">{plain(`${lease.connector} / ${lease.target}`)}</span>, as <span class="id">{plain(lease.account)}</span></p>
      <p class="meta">
        <State state={lease.state} />
        {lease.active ? null : <span>not given yet</span>}
        {lease.armed ? null : <span>its end is not with the executor yet</span>}
        {isOnly ? null : <span>at {place.name}</span>}
        <a href={changePath(place, lease.changeId)} class="id">{lease.changeId}</a>
      </p>
      {locks.filter(({ nhi }) => !isOfOne || nhi === null).map((lock) => <p class="banner open"><strong>Locked</strong> {lock.nhi === null ? `at ${plain(lock.connector ?? '')}` : 'as an identity'} by <span class="id">{plain(lock.by)}</span>: {plain(lock.reason)}. Nothing more is gained; what runs ends when it was to.</p>)}
      {lease.held === undefined ? null : <p class="banner open"><strong>Held</strong> Policy would take this back ({lease.held.map(plain).join(', ')}), with so much else that a person confirms it: <code>countersign redecision list</code></p>}
      <Revoke place={place} lease={lease} session={session} back={back} />
    </li>
  );
}

/** Unfolded first, then sent: what is lost is said before the button that does it. */
function Revoke({ place, lease, session, back }: { place: Place; lease: LeaseView; session: Session; back: string }) {
  const id = `revoke-${lease.changeId}`;
  if (lease.state === 'revoking') {
    return <div class="buttons"><button class="bad" type="button" disabled aria-describedby={`${id}-why`}>Revoke</button><p class="why" id={`${id}-why`}>It is being taken back just now.</p></div>;
  }
  return (
    <details id={id}>
      <summary>Revoke<span class="hidden"> what {plain(lease.subject)} has at {plain(lease.target)}</span></summary>
      <form method="post" action={changePath(place, lease.changeId, '/revoke')} data-deed="revoke">
        <input type="hidden" name="formKey" value={session.formKey} />
        <input type="hidden" name="back" value={back} />
        <p class="note">Takes it from {plain(lease.subject)} at once. It waits for no approval, and does not come back by itself: to have it again, somebody asks again. For owners, on call and security.</p>
        <label for={`${id}-comment`}>Why <span class="note">(if you like; it is recorded)</span></label>
        <input type="text" id={`${id}-comment`} name="comment" maxlength={500} autocomplete="off" />
        <div class="buttons"><button class="bad" type="submit">Revoke now</button></div>
      </form>
    </details>
  );
}
