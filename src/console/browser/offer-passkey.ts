/** The buttons that ask for a passkey. What asks is loaded when it is pressed: most pages need none of it. */

interface PasskeyModule {
  /** An answer for exactly what is shown, as JSON. @throws Error that says why there is none; nothing was signed then */
  proofFor(path: string, what: string): Promise<string>;
}

const BUTTONS = ['approve-passkey', 'review-passkey', 'standing-passkey'] as const;

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
    complain(shown(pressed)?.form ?? document.getElementById('acts'), error instanceof Error ? error.message : String(error));
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

function complain(place: HTMLElement | null, text: string): void {
  place?.querySelector('.complaint')?.remove();
  const said = document.createElement('p');
  said.className = 'banner bad complaint';
  said.setAttribute('role', 'alert');
  said.textContent = text;
  place?.append(said);
}
