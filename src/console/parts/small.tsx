/** The small pieces that several pages have in common. */
import type { ChangeView } from '../../client/index.ts';
import { formatSpan, plain } from '../../protocol/plain.ts';
import type { Place } from '../context.ts';

/** How a state is to be taken at a glance; the word itself says what it is. */
const GOOD: ReadonlySet<string> = new Set(['active', 'done']);
const BAD: ReadonlySet<string> = new Set(['denied', 'rejected', 'expired', 'failed', 'stuck']);

export function State({ state }: { state: ChangeView['state'] }) {
  return <span class={`state ${GOOD.has(state) ? 'good' : BAD.has(state) ? 'bad' : state === 'pending' ? 'open' : ''}`}>{stateWords(state)}</span>;
}

export function stateWords(state: ChangeView['state']): string {
  return state === 'pending' ? 'waits for approval' : state;
}

/** What is left until a time; an island counts on. */
export function Countdown({ until, nowMs, what }: { until: string; nowMs: number; what: string }) {
  const leftMs = Date.parse(until) - nowMs;
  return <time class={`countdown${leftMs < 900_000 ? ' soon' : ''}`} datetime={until} title={until} data-until={until} data-what={what}>{leftMs <= 0 ? `${what}: over` : `${what}: ${formatSpan(leftMs)} left`}</time>;
}

export function Time({ at }: { at: string }) {
  return <time datetime={at} title={at}>{at.slice(0, 19).replace('T', ' ')} UTC</time>;
}

export function changePath(place: Pick<Place, 'name'>, id: string, rest = ''): string {
  return `/changes/${place.name}/${encodeURIComponent(id)}${rest}`;
}

/** As it is: ids of machine identities hold nothing that an address would have to spell otherwise. */
export function identityPath(place: Pick<Place, 'name'>, nhi: string): string {
  return `/inventory/${place.name}/${nhi.split('/').map(encodeURIComponent).join('/')}`;
}

export function recordPath(place: Pick<Place, 'name'>, seq: number): string {
  return `/ledger/${place.name}/records/${seq}`;
}

/** `grant for nhi:prod/ci-deployer`. */
export function Title({ change }: { change: Pick<ChangeView, 'kind' | 'subject'> }) {
  return <><span class="kind">{change.kind}</span> <span class="subject">{plain(change.subject)}</span></>;
}

/** Why it is asked for: somebody else's words, and nobody's promise. */
export function Reason({ change }: { change: ChangeView }) {
  return change.reason === null
    ? <p class="note">The reason was erased; the evidence says under which record.</p>
    : <blockquote class="reason"><p>{plain(change.reason)}</p><footer>says <span class="id">{change.requester.map(plain).join(' for ')}</span></footer></blockquote>;
}

export function Risk({ change }: { change: ChangeView }) {
  const identity = change.bearing?.identity ?? null;
  return identity === null ? null : <span class={`risk ${identity.riskTier}`}>{identity.riskTier} risk</span>;
}

export function Troubles({ troubles }: { troubles: readonly string[] }) {
  return <div id="troubles">{troubles.map((text) => <p class="banner bad" role="status">{plain(text)}</p>)}</div>;
}

/** As it is, line by line, with nothing in it obeyed. */
export function inert(text: string): string {
  return text.split('\n').map(plain).join('\n');
}
