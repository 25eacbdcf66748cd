/**
 * What is typed stays where it was typed, in this tab alone, through a reload, an ended session or a region that is shown anew. Never a token. It ends when she
 * who typed it signs out there, and nobody else who signs in finds it in any tab.
 */

type Field = HTMLInputElement | HTMLSelectElement;

const DRAFTED = 'form[data-deed] input[type=text], form[data-deed] input[type=checkbox], form[data-deed] select';
const DRAFT = 'draft:';
/** Whose they are. */
const OF = 'drafts-of';
/** The page, and not its query: a sign-in comes back to it. */
const keyOf = ({ id }: Field): string => `${DRAFT}${location.pathname}:${id}`;

const isBox = (field: Field): field is HTMLInputElement => field instanceof HTMLInputElement && field.type === 'checkbox';
const valueOf = (field: Field): string => (isBox(field) ? (field.checked ? 'ticked' : '') : field.value);

function fields(): Field[] {
  return [...document.querySelectorAll<Field>(DRAFTED)];
}

function forget(): void {
  const keys = Array.from({ length: sessionStorage.length }, (_, n) => sessionStorage.key(n) ?? '');
  for (const key of keys) if (key.startsWith(DRAFT)) sessionStorage.removeItem(key);
}

/** Of all the names that sidecars know her by, one that is the same is enough: some of them may have been away. */
function isTheSame(who: string): boolean {
  const before = sessionStorage.getItem(OF)?.split(' ') ?? [];
  return who.split(' ').some((one) => before.includes(one));
}

function start(): void {
  const { who } = document.body.dataset;
  if (who !== undefined && who !== '') {
    if (!isTheSame(who)) forget();
    sessionStorage.setItem(OF, who);
  }
  document.addEventListener('submit', ({ target }) => {
    if (target instanceof HTMLFormElement && target.getAttribute('action') === '/signout') forget();
  });
  document.addEventListener('input', ({ target }) => {
    if (!(target instanceof HTMLInputElement || target instanceof HTMLSelectElement) || !target.matches(DRAFTED)) return;
    const value = valueOf(target);
    if (value === '') sessionStorage.removeItem(keyOf(target));
    else sessionStorage.setItem(keyOf(target), value);
  });
  // What was done needs no draft any more.
  if (document.querySelector('#said.good') !== null) for (const field of fields()) sessionStorage.removeItem(keyOf(field));
}

function restore(): void {
  for (const field of fields()) {
    const draft = sessionStorage.getItem(keyOf(field));
    if (draft === null || valueOf(field) === draft) continue;
    if (isBox(field)) field.checked = true;
    else field.value = draft;
    const more = field.closest('details');
    if (more !== null) more.open = true;
  }
}

export const keepDrafts = { start, restore };
