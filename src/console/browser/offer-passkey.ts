/** The buttons that ask for a passkey. What asks is loaded when it is pressed: most pages need none of it. */

interface PasskeyModule {
  /** An answer for exactly what is shown, as JSON. @throws Error that says why there is none; nothing was signed then */
  proofFor(path: string, what: string): Promise<string>;
}

const BUTTONS = ['approve-passkey', 'review-passkey', 'standing-passkey'] as const;

/** What was said last of why nothing was sent, and which button it is about. */
let complaint: { readonly said: HTMLElement; readonly of: string } | null = null;

/** Again after a part of the page was shown anew: what was said in it still is. */
export function offerPasskey(): void {
  if (!('PublicKeyCredential' in globalThis)) return;
  for (const id of BUTTONS) {
    const button = document.getElementById(id);
    if (!(button instanceof HTMLButtonElement) || !button.hidden) continue;
    button.hidden = false;
    button.addEventListener('click', (event) => {
      event.preventDefault();
      void ask(button);
    });
  }
  if (complaint !== null && !complaint.said.isConnected) placeOf(document.getElementById(complaint.of))?.append(complaint.said);
}

async function ask(pressed: HTMLButtonElement): Promise<void> {
  const { passkey = '', change = '' } = pressed.dataset;
  pressed.disabled = true;
  try {
    const { proofFor } = (await import(passkey)) as PasskeyModule;
    const proof = await proofFor(change, pressed.id.slice(0, pressed.id.indexOf('-')));
    const { form } = shown(pressed) ?? { form: null };
    const field = form?.elements.namedItem('passkey');
    if (form === null || !(field instanceof HTMLInputElement)) throw new Error('This is not to be decided on any more, as the page shows it. Nothing was sent.');
    field.value = proof;
    form.requestSubmit(submitter(form));
  } catch (error) {
    complain(pressed, error instanceof Error ? error.message : String(error));
  } finally {
    pressed.disabled = false;
  }
}

/** The button as it is on the page now: what is around it may have been shown anew meanwhile, and a form that is on no page sends nothing and says nothing. */
function shown(pressed: HTMLButtonElement): HTMLButtonElement | null {
  if (pressed.isConnected) return pressed;
  const now = document.getElementById(pressed.id);
  return now instanceof HTMLButtonElement && !now.disabled ? now : null;
}

/** One that asks for nothing again. */
function submitter(form: HTMLFormElement): HTMLButtonElement {
  const silent = document.createElement('button');
  silent.type = 'submit';
  silent.hidden = true;
  silent.name = 'by';
  silent.value = 'passkey';
  form.append(silent);
  return silent;
}

/** Beside the button; where it is no more, or of no use, among what can be done. */
function placeOf(button: Element | null): HTMLElement | null {
  const form = button instanceof HTMLButtonElement && !button.disabled ? button.form : null;
  return form ?? document.getElementById('acts');
}

function complain(pressed: HTMLButtonElement, text: string): void {
  complaint?.said.remove();
  const said = document.createElement('p');
  said.className = 'banner bad complaint';
  said.setAttribute('role', 'alert');
  said.textContent = text;
  complaint = { said, of: pressed.id };
  (shown(pressed)?.form ?? document.getElementById('acts'))?.append(said);
}
