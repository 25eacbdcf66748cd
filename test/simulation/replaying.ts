/**
 * REPLAY over a run: policy in a run is asked in the run's own time and changes its mind about whom to tell, so what it answered is kept beside the
 * ledger, question by question, and given again to whoever asks the same. What is doubted is the rest: that every recorded question is the one that the
 * records lead to, whatever happened between asking and recording.
 */
import { canonicalText, digestOf, generateSignerKey, parseSigner, type Signer } from '../../ledger/index.ts';
import type { ReplayEntrypoint, Replayer } from '../../src/evidence/replay.ts';
import type { BundleEvidence } from '../../src/pdp/bundle.ts';
import { bundleDigest, signBundle, type BundleListing } from '../../src/protocol/policy-bundle.ts';

export interface Answers {
  /** What is answered first to a question is what is answered to it. */
  keep<T>(entrypoint: ReplayEntrypoint, input: object, ask: () => Promise<T>): Promise<T>;
  readonly replayer: Replayer;
}

export function keepAnswers(): Answers {
  const known = new Map<string, unknown>();
  const keyOf = (entrypoint: ReplayEntrypoint, text: string): string => `${entrypoint} ${digestOf(Buffer.from(text))}`;
  return {
    async keep<T>(entrypoint: ReplayEntrypoint, input: object, ask: () => Promise<T>) {
      const answer = await ask();
      const key = keyOf(entrypoint, canonicalText(input));
      if (!known.has(key)) known.set(key, answer);
      return known.get(key) as T;
    },
    replayer: {
      open: () => Promise.resolve({
        ask(entrypoint, input) {
          const key = keyOf(entrypoint, input);
          return Promise.resolve(known.has(key) ? { ok: true, value: known.get(key) } : { ok: false, stopped: false, message: 'nobody has asked that' });
        },
        close: () => Promise.resolve(),
      }),
    },
  };
}

export const policySigner: Signer = parseSigner(generateSignerKey('sim.example/policy', Buffer.alloc(32, 9)).skey);

const [wasm, data] = [Buffer.from('a policy'), Buffer.from('{}')];
const listing: BundleListing = {
  v: 1, entrypoints: ['access/decide', 'access/reconcile', 'access/redecide', 'access/schedule', 'access/verify', 'workflow/accept'],
  files: [{ path: 'data.json', digest: digestOf(data) }, { path: 'policy.wasm', digest: digestOf(wasm) }],
};
/** What stands for the policy in the ledger of a run: small, and signed. */
export const simBundle: { readonly bundle: string; readonly evidence: BundleEvidence } = {
  bundle: bundleDigest(listing), evidence: { listing, wasm, data, signature: signBundle(bundleDigest(listing), null, policySigner) },
};
