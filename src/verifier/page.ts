/** The page: takes what is chosen, has it verified beside, and shows the answer. */
import { hashHex } from '../../ledger/crypto.ts';
import { formatSpan } from '../cli/output.ts';
import { foreign, hexGroups, type Content } from './elements.ts';
import type { GivenFile } from './file-disk.ts';
import { ownHashes } from './page-text.ts';
import { resultOf } from './result.ts';
import type { Given } from './verify-given.ts';
import { verifyBeside } from './worker.ts';

/** @param script the text of the script that runs */
export function startPage(script: string): void {
  const own = ownHashes(script);
  at('own-file').replaceChildren(hexGroups(own.file));
  at('own-script').replaceChildren(hexGroups(own.script));
  at('any').addEventListener('change', () => void hashAny());
  // A file that is dropped beside a field would take the page's place.
  for (const type of ['dragover', 'drop']) {
    document.addEventListener(type, (event) => {
      if (!(event.target instanceof HTMLInputElement)) event.preventDefault();
    });
  }
  at('form').addEventListener('input', ({ target }) => {
    stop();
    for (const [one, other] of EITHER) if (target === at(one)) input(other).value = '';
    at('result').hidden = true;
    describeChosen();
  });
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    begin(script);
  });
  at('cancel').addEventListener('click', () => stop());
  describeChosen();
}

/** Choosing the one takes the other away. */
const EITHER = [['ledger', 'pack'], ['pack', 'ledger'], ['trust', 'policy'], ['policy', 'trust']] as const;

let end: (() => void) | null = null;

function begin(script: string): void {
  stop();
  const startedMs = performance.now();
  const bar = at('bar') as HTMLProgressElement;
  bar.removeAttribute('value');
  at('progress').textContent = 'Reading …';
  setWorking(true);
  at('working').scrollIntoView({ block: 'nearest' });
  at('result').hidden = true;
  const given = chosen();
  const what = given.pack === null ? 'records' : 'files';
  end = verifyBeside(script, given, (done, size) => {
    bar.max = size;
    bar.value = done;
    const rate = done / Math.max(0.001, (performance.now() - startedMs) / 1000);
    at('progress').textContent = `${done} of ${size} ${what}, ${Math.round(rate)} a second, ${formatSpan(((size - done) / Math.max(rate, 0.001)) * 1000)} left`;
  }, (answer) => {
    stop();
    const result = at('result');
    result.replaceChildren(...resultOf(answer));
    result.hidden = false;
    result.focus();
  });
}

function stop(): void {
  end?.();
  end = null;
  setWorking(false);
}

function setWorking(isWorking: boolean): void {
  at('working').hidden = !isWorking;
  at('cancel').hidden = !isWorking;
  at('verify').toggleAttribute('disabled', isWorking);
}

function chosen(): Given {
  const [pack] = filesOf('pack');
  const [pinned] = filesOf('pinned');
  return {
    ledger: filesOf('ledger'), pack: pack ?? null, trust: [...filesOf('trust'), ...filesOf('policy')], pinned: pinned?.blob ?? null,
    minSize: input('min-size').value.trim(), asOf: input('as-of').value.trim(),
  };
}

function describeChosen(): void {
  const { ledger, pack, trust } = chosen();
  const those = pack === null ? ledger : [pack];
  at('ledger-chosen').replaceChildren(...describe(those, ''));
  at('trust-chosen').replaceChildren(...describe(trust, 'None: nobody’s signature is believed.'));
}

function describe(files: readonly GivenFile[], none: string): Content[] {
  const [first] = files;
  return first === undefined ? [none] : [foreign(first.path.split('/')[0]!), `: ${files.length} ${files.length === 1 ? 'file' : 'files'}`];
}

function filesOf(id: string): GivenFile[] {
  return [...(input(id).files ?? [])].map((file) => ({ path: file.webkitRelativePath === '' ? file.name : file.webkitRelativePath, blob: file }));
}

async function hashAny(): Promise<void> {
  const [file] = filesOf('any');
  const output = at('any-hash');
  if (file === undefined) return output.replaceChildren();
  try {
    const hex = hashHex(new Uint8Array(await file.blob.arrayBuffer()));
    output.replaceChildren(foreign(file.path), ' ', hexGroups(hex));
  } catch (error) {
    output.replaceChildren(foreign(file.path), ` cannot be read: ${String(error)}`);
  }
}

function at(id: string): HTMLElement {
  return document.getElementById(id)!;
}

function input(id: string): HTMLInputElement {
  return at(id) as HTMLInputElement;
}
