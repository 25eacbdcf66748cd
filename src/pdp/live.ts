/** A PDP whose bundle can be replaced while it is asked. */
import type { Pdp } from './engine.ts';

export interface LivePdp extends Pdp {
  /** From here on `next` answers. What is being asked is answered by what it was put to, which is closed after the last answer. */
  replace(next: Pdp): void;
}

export function isLive(pdp: Pdp): pdp is LivePdp {
  return 'replace' in pdp;
}

/** @param failed told when one that was replaced could not be closed in order */
export function livePdp(first: Pdp, failed: (error: unknown) => void): LivePdp {
  let current = { pdp: first, asked: 0 };
  let closing: Promise<void> = Promise.resolve();
  const ask = async <T>(question: (pdp: Pdp) => Promise<T>): Promise<T> => {
    const one = current;
    one.asked += 1;
    try {
      return await question(one.pdp);
    } finally {
      one.asked -= 1;
      if (one !== current && one.asked === 0) retire(one.pdp);
    }
  };
  const retire = (pdp: Pdp): void => {
    const closed = pdp.close().catch(failed);
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
      if (before.asked === 0) retire(before.pdp);
    },
    async close() {
      await current.pdp.close();
      await closing;
    },
  };
}
