/** The controls that this version knows, with what of its records and rules is evidence for them: the same that docs/controls.md lists. */
import type { KnownControl } from '../reports/collect-controls.ts';
import { readEvidence, readFrameworks } from './controls-page.ts';
import { packageRoot } from './package.ts';
import { readPolicyCodes } from './policy-codes.ts';

export interface Known {
  readonly controls: readonly KnownControl[];
  readonly rulesOf: (control: { readonly framework: string; readonly id: string }) => readonly string[];
}

export async function knownControls(): Promise<Known> {
  const root = packageRoot();
  const [frameworks, evidence, codes] = await Promise.all([readFrameworks(root), readEvidence(root), readPolicyCodes(root)]);
  const controls = Object.entries(frameworks).flatMap(([framework, titles]) => Object.entries(titles).map(([id, title]) => ({
    framework, id, title, types: Object.entries(evidence).filter(([, of]) => of.some((entry) => entry.framework === framework && entry.ids.includes(id))).map(([type]) => type),
  })));
  return { controls, rulesOf: ({ framework, id }) => codes.filter((code) => code.controls.some((control) => control.framework === framework && control.id === id)).map(({ code }) => code) };
}
