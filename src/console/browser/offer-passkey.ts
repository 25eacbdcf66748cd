/** The button that asks for a passkey. What asks is loaded when it is pressed: most pages need none of it. */

interface PasskeyModule {
  /** An answer for exactly what is shown, as JSON. @throws Error that says why there is none; nothing was signed then */
  proofFor(path: string): Promise<string>;
}

export function offerPasskey(): void {
  const button = document.getElementById('approve-passkey');
  if (!(button instanceof HTMLButtonElement) || !button.hidden) return;
  if (!('PublicKeyCredential' in globalThis)) return;
  button.hidden = false;
  button.addEventListener('click', (event) => {
    event.preventDefault();
    void ask(button);
  });
}

async function ask(button: HTMLButtonElement): Promise<void> {
  const { form, dataset: { passkey = '', change = '' } } = button;
  const field = form?.elements.namedItem('passkey');
  if (form === null || !(field instanceof HTMLInputElement)) return;
  button.disabled = true;
  try {
    const { proofFor } = (await import(passkey)) as PasskeyModule;
    field.value = await proofFor(change);
    // Its own name and value go with the form only while it is not disabled.
    button.disabled = false;
    form.requestSubmit(button.parentElement === null ? null : submitter(form));
  } catch (error) {
    button.disabled = false;
    complain(form, error instanceof Error ? error.message : String(error));
  }
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

function complain(form: HTMLFormElement, text: string): void {
  form.querySelector('.complaint')?.remove();
  const said = document.createElement('p');
  said.className = 'banner bad complaint';
  said.setAttribute('role', 'alert');
  said.textContent = text;
  form.append(said);
}
