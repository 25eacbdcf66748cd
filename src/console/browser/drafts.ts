/** What is typed stays where it was typed, in this tab alone, through a reload, an ended session or a region that is shown anew. Never a token. */

type Field = HTMLInputElement | HTMLSelectElement;

const DRAFTED = 'form[data-deed] input[type=text], form[data-deed] input[type=checkbox], form[data-deed] select';
/** The page, and not its query: a sign-in comes back to it. */
const keyOf = ({ id }: Field): string => `draft:${location.pathname}:${id}`;

const isBox = (field: Field): field is HTMLInputElement => field instanceof HTMLInputElement && field.type === 'checkbox';
const valueOf = (field: Field): string => (isBox(field) ? (field.checked ? 'ticked' : '') : field.value);

function fields(): Field[] {
  return [...document.querySelectorAll<Field>(DRAFTED)];
}

function start(): void {
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
