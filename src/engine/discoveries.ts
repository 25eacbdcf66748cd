/**
 * Looks at everything at a connector's target: page by page, each asked under a ticket that is recorded first, each answer on record before it
 * is believed. Nothing of it survives a restart but the records: who wanted to know asks again.
 */
import { canonicalBytes, digestOf, parseStrict } from '../../ledger/index.ts';
import { signDsse } from '../protocol/dsse.ts';
import {
  discoveredPageSchema, pageStepId, PAGES_MAX, type DiscoveredPage, type DiscoveredReport, type DiscoverQuery, type DiscoverTicket,
} from '../protocol/discovery.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { TICKET_TYPE } from '../protocol/signed.ts';
import { formatTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';
import { newDiscoveryId } from './ids.ts';
import { publishEnvelope } from './publish.ts';
import { makeReceipt } from './receipt.ts';

/** A target that could not be looked at: nothing is known of it, and nothing was changed. */
export class DiscoveryError extends Error {
  /** `no-executor`: nobody serves the connector. `no-answer`: nobody answered in time. `refused`: its executor did not, or its target would not. */
  readonly code: 'no-executor' | 'no-answer' | 'refused';
  constructor(code: DiscoveryError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DiscoveryError';
    this.code = code;
  }
}

export interface LookedAtPage {
  readonly page: DiscoveredPage;
  readonly digest: string;
  /** Of the record that authorised it. */
  readonly fromSeq: number;
  readonly atMs: number;
}

export interface Look {
  readonly discoveryId: string;
  readonly connector: string;
  readonly target: string;
  readonly complete: boolean;
  readonly pages: readonly LookedAtPage[];
}

export interface Discoveries {
  /** @throws DiscoveryError, LedgerError */
  look(context: EngineContext, connector: string): Promise<Look>;
  /** Resolves when the answer is durable; one that nobody waits for is forgotten. @throws Error for one that contradicts what was asked: nothing was recorded */
  receive(context: EngineContext, report: DiscoveredReport, message: ReportMessage): Promise<void>;
  close(): void;
}

interface Asked {
  readonly audience: string;
  readonly discoveryId: string;
  readonly query: DiscoverQuery;
  readonly fromSeq: number;
  readonly settle: (answer: LookedAtPage | DiscoveryError) => void;
}

/** How long one page may take from its ticket to its answer. */
const PAGE_MS = 120_000;

export function createDiscoveries(): Discoveries {
  const waiting = new Map<string, Asked>();

  const ask = async (context: EngineContext, audience: string, discoveryId: string, number: number, query: DiscoverQuery): Promise<LookedAtPage> => {
    const { store, clock, log, limits } = context;
    const nowMs = clock.nowMs();
    const stepId = pageStepId(discoveryId, number);
    const ticket: DiscoverTicket = {
      kind: 'discover', v: 1, log: log.logId, discoveryId, stepId, issue: 1, audience, notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + limits.ticketSeconds * 1000),
      queryDigest: digestOf(canonicalBytes(query)), query,
    };
    const envelope = signDsse(TICKET_TYPE, ticket, context.ticketSigner);
    const fromSeq = store.record('discovery.authorised', { discoveryId, connector: query.connector, stepId, ticket: envelope });
    await store.durable();
    const answered = new Promise<LookedAtPage | DiscoveryError>((settle) => waiting.set(stepId, { audience, discoveryId, query, fromSeq, settle }));
    const send = async (): Promise<void> => {
      const sent = await publishEnvelope(context, audience, {
        ticket: envelope, seq: fromSeq,
        make: async (heads, checkpoint) => ({ v: 1, ticket: envelope, plan: null, order: null, approvals: [], receipt: await makeReceipt(log, fromSeq, heads, checkpoint) }),
      });
      if (!sent.taken && sent.why === 'seenMore') waiting.get(stepId)?.settle(new DiscoveryError('refused', `${audience} has seen ${sent.theirSize} records of this log, which has ${sent.size}`));
    };
    const untilMs = nowMs + Math.min(PAGE_MS, limits.ticketSeconds * 1000);
    const cancels: (() => void)[] = [];
    const after = (ms: number): Promise<null> => new Promise((resolve) => cancels.push(clock.after(ms, () => resolve(null))));
    try {
      for (;;) {
        // At least once, as every step is: an answer that was lost on its way is given again.
        send().catch((error: unknown) => context.logger.warn({ stepId, error: String(error) }, 'a look at a target could not be sent and is sent again'));
        const leftMs = untilMs - clock.nowMs();
        const answer = leftMs <= 0 ? new DiscoveryError('no-answer', `${audience} has not answered`) : await Promise.race([answered, after(Math.min(limits.republishMs, leftMs))]);
        if (answer instanceof DiscoveryError) throw answer;
        if (answer !== null) return answer;
      }
    } finally {
      waiting.delete(stepId);
      for (const cancel of cancels) cancel();
    }
  };

  return {
    async look(context, connector) {
      const audience = context.executorOf(connector);
      if (audience === undefined) throw new DiscoveryError('no-executor', `no executor serves ${connector}`);
      const discoveryId = newDiscoveryId(context.log.logId, context.clock.nowMs(), context.random);
      const pages: LookedAtPage[] = [];
      let after: string | null = null;
      do {
        const page: LookedAtPage = await ask(context, audience, discoveryId, pages.length + 1, { connector, after });
        pages.push(page);
        after = page.page.next;
      } while (after !== null && pages.length < PAGES_MAX);
      const [first] = pages;
      return { discoveryId, connector, target: first!.page.target, complete: after === null, pages };
    },
    async receive(context, report, message) {
      const { store, logger } = context;
      const asked = waiting.get(report.stepId);
      if (asked === undefined) return logger.info({ stepId: report.stepId }, 'an answer that nobody waits for any more');
      if (asked.audience !== report.executor || asked.discoveryId !== report.discoveryId) throw new Error(`${report.executor} answers for what ${asked.audience} was asked`);
      // The same answer may come twice at once: it is recorded once.
      waiting.delete(report.stepId);
      const { discoveryId } = asked;
      const body = { discoveryId, connector: asked.query.connector, report: message.report };
      if (report.outcome !== 'done') {
        store.record('discovery.read', body, [], report.executor);
        await store.durable();
        return asked.settle(new DiscoveryError('refused', `${report.executor}: ${report.code ?? report.outcome}${report.detail === null ? '' : `: ${report.detail}`}`));
      }
      const { page, bytes } = pageOf(report, message);
      if (page.connector !== asked.query.connector || page.after !== asked.query.after) {
        asked.settle(new DiscoveryError('refused', `${report.executor} answered with another page than was asked for`));
        throw new Error('the page is not the one that was asked for');
      }
      store.record('discovery.read', body, [bytes], report.executor);
      const atMs = context.clock.nowMs();
      await store.durable();
      asked.settle({ page, digest: digestOf(bytes), fromSeq: asked.fromSeq, atMs });
    },
    close() {
      for (const { settle } of waiting.values()) settle(new DiscoveryError('no-answer', 'closing'));
    },
  };
}

function pageOf(report: DiscoveredReport, message: ReportMessage): { readonly page: DiscoveredPage; readonly bytes: Uint8Array } {
  for (const text of message.objects) {
    const bytes = Buffer.from(text, 'utf8');
    if (digestOf(bytes) === report.page) return { page: discoveredPageSchema.parse(parseStrict(bytes)), bytes };
  }
  throw new Error('the page that the report names is missing');
}
