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
  /** What a bundle answers first to a question is what it answers to it. */
  keep<T>(bundle: string, entrypoint: ReplayEntrypoint, input: object, ask: () => Promise<T>): Promise<T>;
  readonly replayer: Replayer;
}

export function keepAnswers(): Answers {
  const known = new Map<string, unknown>();
  const keyOf = (bundle: string, entrypoint: ReplayEntrypoint, text: string): string => `${bundle} ${entrypoint} ${digestOf(Buffer.from(text))}`;
  return {
    async keep<T>(bundle: string, entrypoint: ReplayEntrypoint, input: object, ask: () => Promise<T>) {
      const answer = await ask();
      const key = keyOf(bundle, entrypoint, canonicalText(input));
      if (!known.has(key)) known.set(key, answer);
      return known.get(key) as T;
    },
    replayer: {
      open: ({ listing }) => Promise.resolve({
        ask(entrypoint, input) {
          const key = keyOf(bundleDigest(listing), entrypoint, input);
          return Promise.resolve(known.has(key) ? { ok: true, value: known.get(key) } : { ok: false, stopped: false, message: 'nobody has asked that' });
        },
        close: () => Promise.resolve(),
      }),
    },
  };
}

export const policySigner: Signer = parseSigner(generateSignerKey('sim.example/policy', Buffer.alloc(32, 9)).skey);

export interface SimBundle {
  readonly bundle: string;
  readonly evidence: BundleEvidence;
}

/** What stands for a policy in the ledger of a run: small, and signed. @param number which of them */
export function simBundle(number: number): SimBundle {
  const [wasm, data] = [Buffer.from('a policy'), Buffer.from(`{"number":${number}}`)];
  const listing: BundleListing = {
    v: 1, entrypoints: ['access/decide', 'access/reconcile', 'access/redecide', 'access/schedule', 'access/verify', 'workflow/accept'],
    files: [{ path: 'data.json', digest: digestOf(data) }, { path: 'policy.wasm', digest: digestOf(wasm) }],
  };
  const bundle = bundleDigest(listing);
  return { bundle, evidence: { listing, wasm, data, signature: signBundle(bundle, null, policySigner) } };
}
