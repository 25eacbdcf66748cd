/** Making what is shown: text only ever as text, and what others wrote set apart from what surrounds it. */
import { plain } from '../cli/output.ts';

export type Content = Node | string;

/** An element with that class and content; the class may be empty. */
export function element<K extends keyof HTMLElementTagNameMap>(name: K, className: string, ...content: readonly Content[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  made.append(...content);
  return made;
}

/** Text that somebody else wrote: control characters are seen rather than obeyed, and letters that run to the left turn nothing but themselves. */
export function foreign(text: string): HTMLElement {
  return element('bdi', '', plain(text));
}

/** 64 hex digits in eight groups, to be read aloud and compared; copied, they are one word. */
export function hexGroups(hex: string): HTMLElement {
  return element('code', 'hex', ...(hex.match(/.{1,8}/g) ?? []).map((group) => element('span', '', group)));
}

/** Rows of a description list; null is left out. */
export function descriptions(rows: readonly (readonly [string, Content] | null)[]): HTMLElement {
  return element('dl', '', ...rows.filter((row) => row !== null).map(([term, content]) => element('div', '', element('dt', '', term), element('dd', '', content))));
}

export function headRow(cells: readonly string[]): HTMLElement {
  const ths = cells.map((cell) => {
    const th = element('th', '', cell);
    th.scope = 'col';
    return th;
  });
  return element('thead', '', element('tr', '', ...ths));
}

/** A table that scrolls by itself where it is too wide, by keyboard too. */
export function scrollable(table: HTMLElement, label: string): HTMLElement {
  const box = element('div', 'scroll', table);
  box.tabIndex = 0;
  box.setAttribute('role', 'region');
  box.setAttribute('aria-label', label);
  return box;
}

/** A button that saves `text` as a file. */
export function saveButton(label: string, name: string, type: string, text: () => string): HTMLElement {
  const button = element('button', '', label);
  button.type = 'button';
  button.addEventListener('click', () => {
    const link = element('a', '');
    link.href = URL.createObjectURL(new Blob([text()], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return button;
}
