/**
 * What the bus is for beside executors: it is told what happens, and brings what people have decided at another sidecar, where the
 * configuration says so; and it holds the locks of every sidecar. None of it holds anything up.
 */
import { logIdOf, type Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../engine/engine.ts';
import { newSalt } from '../engine/ids.ts';
import type { Clock, LockBoard, Logger, RandomBytes } from '../engine/ports.ts';
import type { Receiver } from '../notify/queue.ts';
import { commitmentTo, type Disclosure } from '../protocol/disclosure.ts';
import { signDsse } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { openRelayedVerdict, RELAYED_VERDICT_TYPE, type RelayContext, type RelayedMessage, type RelayedVerdict } from '../protocol/relayed-verdict.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { formatTime } from '../protocol/values.ts';
import type { VerdictAnswer } from '../transport/nats/verdicts.ts';
import { problemOf } from './context.ts';
import { openNatsBus } from './reach.ts';

/** A person's verdict on a change of another log. */
export type Verdict = Pick<RelayedVerdict, 'changeId' | 'planDigest' | 'verdict' | 'approver'> & { readonly comment: string | null };

export interface Relay {
  /** Told of what happens, where the configuration names events. */
  readonly receivers: readonly Receiver[];
  readonly locks: LockBoard;
  /** Lets other sidecars' verdicts in, where the configuration names any. */
  listen(engine: Pick<Engine, 'decideApproval'>): void;
  /** @throws TransportError `unreachable` */
  send(verdict: Verdict): Promise<VerdictAnswer>;
  close(): Promise<void>;
}

export interface RelayOptions {
  readonly log: string;
  readonly trust: Trust;
  readonly ticketSigner: Signer;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly logger: Logger;
}

/** Good for: long enough for a clock that differs and a bus that is slow. */
const GOOD_MS = 60_000;

/** @throws PrivateFileError when the seed of the bus cannot be had */
export async function openRelay(nats: NonNullable<Config['nats']>, options: RelayOptions): Promise<Relay> {
  const { log, trust, ticketSigner, clock, random, logger } = options;
  const { BUS_RECEIVER, eventSender } = await import('../transport/nats/events.ts');
  const { openLockBoard } = await import('../transport/nats/lock-board.ts');
  const { answerVerdicts, sendVerdict } = await import('../transport/nats/verdicts.ts');
  const bus = await openNatsBus(nats, { name: `sidecar ${log}, approvals and locks`, inboxPrefix: `_INBOX_${log}_approvals`, logger });
  const locks = openLockBoard({ bus, clock, logger });
  return {
    locks,
    receivers: nats.events === undefined ? [] : [{ name: BUS_RECEIVER, events: nats.events, consumers: null, send: eventSender(bus, log) }],
    listen(engine) {
      const relays = new Set(nats.relays.map(logIdOf));
      if (relays.size > 0) answerVerdicts({ bus, log, logger, take: verdictTaker(engine, () => ({ trust, log, relays, nowMs: clock.nowMs() }), logger) });
    },
    send({ comment, ...verdict }) {
      const to = verdict.changeId.slice('chg_'.length, 'chg_'.length + log.length);
      const nowMs = clock.nowMs();
      const content = { log: to, ...verdict, relayedBy: log, notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + GOOD_MS) };
      return sendVerdict(bus, to, relayedMessage(content, comment, newSalt(random), ticketSigner));
    },
    close() {
      locks.close();
      return bus.close();
    },
  };
}

/** The verdict, signed, and beside it what the person wrote. @param salt 16 random bytes, for this alone */
export function relayedMessage(content: Omit<RelayedVerdict, 'v' | 'comment'>, comment: string | null, salt: string, by: Signer): RelayedMessage {
  const disclosure: Disclosure | null = comment === null ? null : { v: 1, salt, kind: 'disclosure', name: 'comment', value: comment };
  const signed: RelayedVerdict = { v: 2, ...content, comment: disclosure === null ? null : commitmentTo(disclosure) };
  return { v: 1, verdict: signDsse(RELAYED_VERDICT_TYPE, signed, by), disclosure };
}

/** Has each verdict decided as if its approver had come here, and answers with what came of it. The same again changes nothing, as it does there. */
export function verdictTaker(engine: Pick<Engine, 'decideApproval'>, context: () => RelayContext, logger: Logger): (message: unknown) => Promise<VerdictAnswer> {
  return async (received) => {
    try {
      const { content, envelope, comment } = openRelayedVerdict(received, context());
      const { approver, changeId, verdict, planDigest, relayedBy } = content;
      if (verdict === 'reject' && comment === null) return no('invalid-request', 'a rejection says why');
      const answer = await engine.decideApproval(approver, changeId, verdict, planDigest, comment?.value ?? null, { relayed: { envelope, salt: comment?.salt ?? null } });
      logger.info({ changeId, approver, relayedBy, code: answer.ok ? null : answer.code }, 'a relayed verdict');
      return answer.ok ? { v: 1, ok: true, state: answer.value.name } : no(answer.code, answer.message);
    } catch (error) {
      if (error instanceof ProtocolError) {
        logger.warn({ code: error.code, reason: error.message.slice(0, 500) }, 'turned away a relayed verdict');
        return no(error.code, error.message);
      }
      const { code, message } = problemOf(error);
      logger.error({ code, error: String(error) }, 'a relayed verdict could not be decided');
      return no(code, message);
    }
  };
}

function no(code: string, message: string): VerdictAnswer {
  return { v: 1, ok: false, code, message: message.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 500) || code };
}
