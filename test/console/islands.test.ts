/** What islands do when a region of the page is shown anew under them: over as much of a page as they touch. */
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

const BROWSER = join(import.meta.dirname, '..', '..', 'src', 'console', 'browser');
const island = async <T>(name: string): Promise<T> => (await import(pathToFileURL(join(BROWSER, name)).href)) as T;

class Element {
  id = '';
  hidden = false;
  type = '';
  value = '';
  checked = false;
  isConnected = true;
  disabled = false;
  parentElement: Element | null = null;
  dataset: Record<string, string> = {};
  form: Form | null = null;
  className = '';
  textContent = '';
  readonly heard: Record<string, ((event: object) => void)[]> = {};
  readonly appended: Element[] = [];
  addEventListener(type: string, listener: (event: object) => void): void {
    (this.heard[type] ??= []).push(listener);
  }
  append(...more: Element[]): void {
    this.appended.push(...more);
  }
  remove = (): void => undefined;
  matches = (): boolean => true;
  closest = (): null => null;
  querySelector = (): null => null;
  readonly attributes: Record<string, string> = {};
  setAttribute = (): void => undefined;
  getAttribute(name: string): string | null {
    return this.attributes[name] ?? null;
  }
}
class Button extends Element {}
class Input extends Element {}
class Select extends Element {}
class Form extends Element {
  readonly passkey = new Input();
  readonly elements = { namedItem: (name: string): Input | null => (name === 'passkey' ? this.passkey : null) };
  readonly sent: string[] = [];
  /** One that is on no page does nothing, and says nothing. @see https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm */
  requestSubmit(): void {
    if (this.isConnected) this.sent.push(this.passkey.value);
  }
}

let onPage: Element[] = [];
const kept = new Map<string, string>();
const heard: Record<string, (event: object) => void> = {};
const page = {
  document: {
    getElementById: (id: string) => onPage.find((one) => one.id === id) ?? null, activeElement: null, createElement: () => new Button(), querySelector: () => null, querySelectorAll: (selector: string) => (selector.startsWith('form') ? onPage : []),
    addEventListener: (type: string, listener: (event: object) => void) => void (heard[type] = listener), body: { dataset: {} as Record<string, string> },
  },
  sessionStorage: {
    get length() {
      return kept.size;
    },
    key: (n: number) => [...kept.keys()][n] ?? null,
    getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) },
  location: { pathname: '/changes/eu/chg_1', search: '' },
  HTMLButtonElement: Button, HTMLInputElement: Input, HTMLSelectElement: Select, HTMLElement: Element, HTMLFormElement: Form, PublicKeyCredential: Object,
};
const before = Object.keys(page).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
for (const [name, value] of Object.entries(page)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
afterAll(() => {
  for (const [name, was] of before) {
    if (was === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, was);
  }
});
beforeEach(() => {
  onPage = [];
  page.document.body.dataset = {};
  kept.clear();
});

describe('a passkey that answers', () => {
  function button(): { button: Button; form: Form } {
    const [made, form] = [new Button(), new Form()];
    Object.assign(made, { id: 'approve-passkey', hidden: true, form, dataset: { passkey: 'data:text/javascript,export const proofFor = () => globalThis.answered', change: '/changes/eu/chg_1' } });
    return { button: made, form };
  }
  let answer: (proof: string) => void = () => undefined;
  beforeEach(() => {
    Object.assign(globalThis, { answered: new Promise((resolve) => { answer = resolve; }) });
  });
  const pressed = async (one: Button): Promise<void> => {
    (await island<{ offerPasskey: () => void }>('offer-passkey.ts')).offerPasskey();
    for (const listener of one.heard['click'] ?? []) listener({ preventDefault: () => undefined });
  };

  it('is sent by the form that is on the page then, where the one that was pressed is not any more', async () => {
    const [first, second] = [button(), button()];
    onPage = [first.button];
    await pressed(first.button);
    [first.button.isConnected, first.form.isConnected] = [false, false];
    onPage = [second.button];
    answer('proof');
    await expect.poll(() => [first.form.sent, second.form.sent], { timeout: 5_000 }).toEqual([[], ['proof']]);
  });

  it('where nothing is to be decided any more, it is said that nothing was sent', async () => {
    const [first, acts] = [button(), Object.assign(new Element(), { id: 'acts' })];
    onPage = [first.button];
    await pressed(first.button);
    [first.button.isConnected, first.form.isConnected] = [false, false];
    onPage = [acts];
    answer('proof');
    await expect.poll(() => acts.appended.map(({ textContent }) => textContent), { timeout: 5_000 }).toEqual([expect.stringMatching(/Nothing was sent\.$/)]);
  });
});

describe('why a passkey did not answer', () => {
  it('is said beside the button still once what is around it is shown anew, and where there is none any more', async () => {
    const { offerPasskey } = await island<{ offerPasskey: () => void }>('offer-passkey.ts');
    const anew = (): { button: Button; form: Form } => {
      const [made, form] = [new Button(), new Form()];
      return { form, button: Object.assign(made, { id: 'review-passkey', hidden: true, form, dataset: { passkey: 'data:text/javascript,export const proofFor = () => { throw new Error("Nothing was signed."); }', change: '/changes/eu/chg_1' } }) };
    };
    const [first, second, acts] = [anew(), anew(), Object.assign(new Element(), { id: 'acts' })];
    onPage = [first.button];
    offerPasskey();
    for (const listener of first.button.heard['click'] ?? []) listener({ preventDefault: () => undefined });
    await expect.poll(() => first.form.appended.map(({ textContent }) => textContent), { timeout: 5_000 }).toEqual(['Nothing was signed.']);
    const said = first.form.appended[0]!;
    offerPasskey();
    expect(first.form.appended).toEqual([said]);
    said.isConnected = false;
    onPage = [second.button];
    offerPasskey();
    expect(second.form.appended).toEqual([said]);
    onPage = [acts];
    offerPasskey();
    expect(acts.appended).toEqual([said]);
  });
});

describe('a page that was opened while its sidecar was away', () => {
  it('says that it answers again, and shows the way to the change', async () => {
    const told: Record<string, (event: object) => void> = {};
    Object.assign(globalThis, { EventSource: class { addEventListener = (type: string, listener: (event: object) => void) => void (told[type] = listener); } });
    const link = Object.assign(new Element(), { id: 'link', hidden: true });
    onPage = [link];
    (await island<{ keepCurrent: (stream: string, fresh: () => void) => void }>('live.ts')).keepCurrent('/changes/eu/chg_1/stream', () => undefined);
    told['regions']!({ data: JSON.stringify({ troubles: '<div id="troubles"></div>' }) });
    expect(link).toMatchObject({ hidden: true, appended: [] });
    told['regions']!({ data: JSON.stringify({ troubles: '<div id="troubles"></div>', status: '<header id="status"></header>' }) });
    expect(link.hidden).toBe(false);
    expect(link.textContent).toMatch(/^The sidecar answers again/);
    expect(link.appended).toEqual([expect.objectContaining({ href: '/changes/eu/chg_1', textContent: 'Show the change' })]);
  });
});

describe('what is typed', () => {
  const start = async (who?: string): Promise<void> => {
    page.document.body.dataset = who === undefined ? {} : { who };
    (await island<{ keepDrafts: { start: () => void } }>('drafts.ts')).keepDrafts.start();
  };
  const typed = (): void => heard['input']!({ target: Object.assign(new Input(), { id: 'reject-comment', type: 'text', value: 'not now' }) });
  const drafts = (): string[] => [...kept].filter(([key]) => key.startsWith('draft:')).map(([, value]) => value);

  it('is kept while her session is over and she signs in again, whichever sidecars know her then, and is nobody else’s', async () => {
    await start('person:wei wei@us');
    typed();
    await start();
    await start('wei@us');
    expect(drafts()).toEqual(['not now']);
    await start('person:mallory');
    expect(drafts()).toEqual([]);
  });

  it('ends when she signs out, and with no other form', async () => {
    await start('person:wei');
    typed();
    heard['submit']!({ target: Object.assign(new Form(), { attributes: { action: '/changes/eu/chg_1/reject' } }) });
    expect(drafts()).toEqual(['not now']);
    heard['submit']!({ target: Object.assign(new Form(), { attributes: { action: '/signout' } }) });
    expect(drafts()).toEqual([]);
  });
});

describe('what is ticked', () => {
  it('is ticked again in a region that is shown anew, and not in another plan’s', async () => {
    const { keepDrafts } = await island<{ keepDrafts: { start: () => void; restore: () => void } }>('drafts.ts');
    const box = (id: string): Input => Object.assign(new Input(), { id, type: 'checkbox', value: '0' });
    keepDrafts.start();
    heard['input']!({ target: Object.assign(box('without-0-aaaa'), { checked: true }) });
    onPage = [box('without-0-aaaa'), box('without-0-bbbb'), box('without-1-aaaa')];
    keepDrafts.restore();
    expect(onPage.map(({ checked }) => checked)).toEqual([true, false, false]);
    heard['input']!({ target: Object.assign(box('without-0-aaaa'), { checked: false }) });
    expect([...kept]).toEqual([]);
  });
});
