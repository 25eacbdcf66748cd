/** The regions of a page are replaced as things change; a connection that is lost, and a session that is over, are said. */

import { keepDrafts } from './drafts.ts';

/** Made by this console, which has escaped what others wrote. @see https://www.w3.org/TR/trusted-types/ */
interface HtmlPolicy {
  createHTML(html: string): string;
}
interface TrustedTypes {
  createPolicy(name: string, rules: HtmlPolicy): HtmlPolicy;
}
const factory = (globalThis as { readonly trustedTypes?: TrustedTypes }).trustedTypes;
const policy: HtmlPolicy = factory?.createPolicy('countersign', { createHTML: (html) => html }) ?? { createHTML: (html) => html };

/** Each region as the console has written it last, by its id: what islands have done to it since is no difference. */
const asWritten = new Map([...document.querySelectorAll('[id]')].map((one) => [one.id, one.outerHTML]));

/** @param fresh called after regions were replaced */
export function keepCurrent(stream: string, fresh: () => void): void {
  const source = new EventSource(stream);
  source.addEventListener('open', () => say(null));
  source.addEventListener('regions', ({ data }: MessageEvent<string>) => {
    say(null);
    const regions = JSON.parse(data) as Record<string, string>;
    // The page was made while the sidecar was away, and has no place for what it tells.
    if (regions['status'] !== undefined && document.getElementById('status') === null) return sayBack(stream);
    replace(regions);
    fresh();
  });
  source.addEventListener('over', () => {
    source.close();
    sayOver();
  });
  source.addEventListener('error', () => {
    // The browser tries again by itself, but for an answer that is none: then it was refused.
    if (source.readyState === EventSource.CLOSED) void whyClosed(stream, fresh);
    else say('The connection to the console is lost. It is tried again by itself; what you see may be out of date, and what you type is kept.');
  });
}

const AGAIN_MS = 3_000;

async function whyClosed(stream: string, fresh: () => void): Promise<void> {
  const answer = await fetch(stream, { signal: AbortSignal.timeout(AGAIN_MS) }).catch(() => null);
  void answer?.body?.cancel();
  if (answer?.status === 401) return sayOver();
  say('The console does not answer. It is tried again by itself; what you type is kept.');
  setTimeout(() => keepCurrent(stream, fresh), AGAIN_MS);
}

function sayOver(): void {
  sayWith('Your session is over. What you typed is kept. ', `/signin?then=${encodeURIComponent(location.pathname + location.search)}`, 'Sign in again');
}

function sayBack(stream: string): void {
  sayWith('The sidecar answers again. What you typed is kept. ', stream.replace(/\/stream(?:\?.*)?$/, ''), 'Show the change');
}

function sayWith(text: string, href: string, where: string): void {
  const link = say(text);
  const way = document.createElement('a');
  way.href = href;
  way.textContent = where;
  link?.append(way);
}

function say(text: string | null): HTMLElement | null {
  const link = document.getElementById('link');
  if (link === null) return null;
  if (link.textContent !== (text ?? '')) link.textContent = text ?? '';
  link.hidden = text === null;
  return link;
}

/** Where the reader was, she still is: focus, what is unfolded, and the place in the text. */
function replace(regions: Readonly<Record<string, string>>): void {
  const before = document.activeElement;
  const [focused, focusedPath] = [before?.id ?? '', before?.getAttribute('href') ?? null];
  const caret = before instanceof HTMLInputElement && before.type === 'text' ? before.selectionStart : null;
  const unfolded = [...document.querySelectorAll<HTMLDetailsElement>('details[open][id]')].map(({ id }) => id);
  for (const [id, html] of Object.entries(regions)) {
    const region = document.getElementById(id);
    if (region === null) continue;
    const made = document.createElement('template');
    made.innerHTML = policy.createHTML(html);
    const [next] = made.content.children;
    // What is as it was is left alone, with its selection and what a screen reader has of it.
    if (next === undefined || next.outerHTML === asWritten.get(id)) continue;
    asWritten.set(id, next.outerHTML);
    if (id === 'story') append(region, next);
    else region.replaceWith(next);
  }
  for (const id of unfolded) {
    const details = document.getElementById(id);
    if (details instanceof HTMLDetailsElement) details.open = true;
  }
  const back = focused !== '' ? document.getElementById(focused) : focusedPath !== null ? document.querySelector<HTMLElement>(`a[href="${CSS.escape(focusedPath)}"]`) : null;
  if (back !== null && back !== document.activeElement) {
    back.focus({ preventScroll: true });
    if (back instanceof HTMLInputElement && caret !== null) {
      keepDrafts.restore();
      back.setSelectionRange(caret, caret);
    }
  }
  sayChanged();
}

const planShown = (): string | undefined => document.querySelector<HTMLElement>('[data-plan]')?.dataset['plan'];
let planLast = planShown();

/** While there is no plan, the last one is still what she has looked at. */
function sayChanged(): void {
  const [plan, changed] = [planShown(), document.getElementById('changed')];
  if (plan === undefined || plan === planLast || changed === null) return;
  if (planLast !== undefined) {
    changed.hidden = false;
    changed.textContent = 'The plan is another one now. Look at it again before you decide.';
  }
  planLast = plan;
}

/** Only what is new is added to a story, so that only that is read out. */
function append(region: Element, next: Element): void {
  const [before, after] = [region.querySelector('ol'), next.querySelector('ol')];
  if (before === null || after === null) return region.replaceWith(next);
  for (const item of [...after.children]) if (document.getElementById(item.id) === null) before.append(item);
}
