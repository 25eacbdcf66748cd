/** Single keys, which take one to where things are done and do nothing themselves. They can be turned off (WCAG 2.1.4), and are where somebody types. */

const OFF = 'keys-off';

export function takeKeys(): void {
  const [dialog, opener, isOn] = [document.getElementById('keys'), document.getElementById('show-keys'), document.getElementById('keys-on')];
  if (!(dialog instanceof HTMLDialogElement) || opener === null || !(isOn instanceof HTMLInputElement)) return;
  opener.hidden = false;
  opener.addEventListener('click', () => dialog.showModal());
  isOn.checked = localStorage.getItem(OFF) === null;
  isOn.addEventListener('change', () => {
    if (isOn.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, '1');
  });
  document.addEventListener('keydown', (event) => {
    if (!isOn.checked || dialog.open || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const act = KEYS[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act(dialog);
  });
}

const KEYS: Readonly<Record<string, (dialog: HTMLDialogElement) => void>> = {
  'j': () => step(1),
  'k': () => step(-1),
  'a': () => focus('#approve-passkey:not([hidden]), #approve'),
  'r': () => focus('#reject-comment'),
  'i': () => location.assign('/'),
  '?': (dialog) => dialog.showModal(),
};

/** A dialog that has just been closed may still have the focus, until the page is painted again: nobody types there. */
function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input, select, textarea, [contenteditable]') && target.closest('dialog:not([open])') === null;
}

function focus(selector: string): void {
  document.querySelector<HTMLElement>(selector)?.focus();
}

/** Along the changes of a list; on the page of one, along its parts. */
function step(by: 1 | -1): void {
  const listed = [...document.querySelectorAll<HTMLElement>('[data-stop]')];
  const stops = listed.length > 0 ? listed : [...document.querySelectorAll<HTMLElement>('main h2')];
  const at = stops.findIndex((stop) => stop === document.activeElement);
  const next = stops[at === -1 ? (by === 1 ? 0 : stops.length - 1) : Math.min(stops.length - 1, Math.max(0, at + by))];
  if (next === undefined) return;
  if (!next.matches('a')) next.tabIndex = -1;
  next.focus();
}
