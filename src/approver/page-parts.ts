/** The parts of the page by their ids, and what is said in it. */
import { plain } from '../cli/output.ts';

export function at(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

export const field = (id: string): HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement => at(id) as HTMLInputElement;
export const read = (id: string): string => field(id).value.trim();

export function say(how: 'good' | 'bad' | 'open', text: string): void {
  const said = at('said');
  said.className = `banner ${how}`;
  said.textContent = plain(text);
  said.hidden = false;
  said.focus();
}

/** Each line as text in a block of its own, so that what wraps is set in below its beginning. */
export function showLines(id: string, lines: readonly string[]): void {
  at(id).replaceChildren(...lines.map((line) => {
    const block = document.createElement('div');
    // An empty block would have no height.
    block.textContent = line === '' ? ' ' : line;
    return block;
  }));
}

/** One thing at a time; what goes wrong is said. */
export async function busy(work: () => Promise<void>): Promise<void> {
  const buttons = [...document.querySelectorAll('button')];
  for (const button of buttons) button.disabled = true;
  at('said').hidden = true;
  try {
    await work();
  } catch (error) {
    say('bad', error instanceof Error ? error.message : String(error));
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}
