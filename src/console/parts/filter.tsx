/** What a list is narrowed to: a form that only asks, and whose address can be kept. */
import type { Context } from 'hono';
import type { ConsoleContext, ConsoleEnv } from '../context.ts';

export interface Choice {
  readonly name: string;
  readonly label: string;
  /** Value and text; the first is what holds where nothing was chosen. */
  readonly options: readonly (readonly [string, string])[];
}

const SEARCH_MAX = 200;

/** What was asked for, as far as there is such a choice. */
export function filterOf(c: Context<ConsoleEnv>, choices: readonly Choice[]): Readonly<Record<string, string>> {
  const q = (c.req.query('q') ?? '').trim().slice(0, SEARCH_MAX);
  const chosen = choices.flatMap(({ name, options: [first, ...further] }) => {
    const value = c.req.query(name);
    return value === first?.[0] || !further.some(([one]) => one === value) ? [] : [[name, value!] as const];
  });
  return Object.fromEntries([...(q === '' ? [] : [['q', q] as const]), ...chosen]);
}

/** The same console with the sidecar alone that a list is narrowed to; all of them where it is to none. */
export function narrowed(context: ConsoleContext, filter: Readonly<Record<string, string>>): ConsoleContext {
  return filter['at'] === undefined ? context : { ...context, places: context.places.filter(({ name }) => name === filter['at']) };
}

/** Which sidecar, where there are several. */
export function placeChoice({ places }: ConsoleContext): Choice[] {
  return places.length === 1 ? [] : [{ name: 'at', label: 'Sidecar', options: [['', 'every sidecar'], ...places.map(({ name }) => [name, name] as const)] }];
}

/** @param clear what is shown without any of it */
export function Filter({ path, filter, search, choices, clear = 'Show all' }: { path: string; filter: Readonly<Record<string, string>>; search: string; choices: readonly Choice[]; clear?: string }) {
  return (
    <form class="filter" method="get" action={path} role="search">
      <div class="wide">
        <label for="q">{search}</label>
        <input type="text" id="q" name="q" maxlength={SEARCH_MAX} autocomplete="off" spellcheck={false} value={filter['q'] ?? ''} />
      </div>
      {choices.map(({ name, label, options }) => (
        <div>
          <label for={`by-${name}`}>{label}</label>
          <select id={`by-${name}`} name={name}>{options.map(([value, text]) => <option value={value} selected={value === (filter[name] ?? options[0]?.[0])}>{text}</option>)}</select>
        </div>
      ))}
      <button type="submit">Show</button>
      {Object.keys(filter).length === 0 ? null : <a href={path}>{clear}</a>}
    </form>
  );
}
