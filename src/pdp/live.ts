/** A PDP whose bundle can be replaced while it is asked. */
import type { Pdp } from './engine.ts';

export interface LivePdp extends Pdp {
  /** From here on `next` answers. What is being asked is answered by what it was put to, which is closed after the last answer; or by `close`, which resolves once all of them are. */
  replace(next: Pdp): void;
}

export function isLive(pdp: Pdp): pdp is LivePdp {
  return 'replace' in pdp;
}

/** @param failed told when one that was replaced could not be closed in order */
export function livePdp(first: Pdp, failed: (error: unknown) => void): LivePdp {
  let current = { pdp: first, asked: 0 };
  /** Those that were replaced and are asked still. */
  const leaving = new Set<typeof current>();
  let closing: Promise<void> = Promise.resolve();
  const ask = async <T>(question: (pdp: Pdp) => Promise<T>): Promise<T> => {
    const one = current;
    one.asked += 1;
    try {
      return await question(one.pdp);
    } finally {
      one.asked -= 1;
      if (one.asked === 0 && leaving.has(one)) retire(one);
    }
  };
  const retire = (one: typeof current): void => {
    leaving.delete(one);
    const closed = one.pdp.close().catch(failed);
    closing = closing.then(() => closed);
  };
  return {
    get bundle() {
      return current.pdp.bundle;
    },
    get evidence() {
      return current.pdp.evidence;
    },
    get revision() {
      return current.pdp.revision;
    },
    decide: (input) => ask((pdp) => pdp.decide(input)),
    schedule: (input) => ask((pdp) => pdp.schedule(input)),
    verify: (input) => ask((pdp) => pdp.verify(input)),
    reconcile: (input) => ask((pdp) => pdp.reconcile(input)),
    redecide: (input) => ask((pdp) => pdp.redecide(input)),
    accept: (input) => ask((pdp) => pdp.accept(input)),
    replace(next) {
      const before = current;
      current = { pdp: next, asked: 0 };
      if (before.asked === 0) retire(before);
      else leaving.add(before);
    },
    async close() {
      for (const one of leaving) retire(one);
      await current.pdp.close();
      await closing;
    },
  };
}
