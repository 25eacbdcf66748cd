/** Verdicts that people give at another sidecar, on their way to the log that owns the change: a request and its answer, held by nobody. */
import { z } from 'zod';
import { canonicalBytes } from '../../../ledger/index.ts';
import { TransportError, type Logger } from '../../engine/ports.ts';
import { relayedMessageSchema, type RelayedMessage } from '../../protocol/relayed-verdict.ts';
import { plainTextSchema } from '../../protocol/values.ts';
import { verdict } from './bus-layout.ts';
import { hear, type Bus } from './connection.ts';
import { readMessage } from './said.ts';

/** What became of it. Nobody has signed it: it is for the person who decided, and the change itself says what holds. */
export const verdictAnswerSchema = z.discriminatedUnion('ok', [
  z.strictObject({ v: z.literal(1), ok: z.literal(true), /** Of the change, after it. */ state: z.string().regex(/^[a-z]{1,32}$/) }),
  z.strictObject({ v: z.literal(1), ok: z.literal(false), code: z.string().regex(/^[a-z][a-z-]{1,63}$/), message: plainTextSchema(500) }),
]);
export type VerdictAnswer = z.infer<typeof verdictAnswerSchema>;

const VERDICT_BYTES_MAX = 16_384;
const ANSWER_MS = 10_000;

/** Answers verdicts on changes of `log`, for as long as the bus is open. */
export function answerVerdicts({ bus, log, take, logger }: { readonly bus: Bus; readonly log: string; readonly take: (message: unknown) => Promise<VerdictAnswer>; readonly logger: Logger }): void {
  let listening = false;
  bus.onUp((connection) => {
    if (listening) return;
    listening = true;
    hear(connection, verdict(log), logger, (message) => {
      const relayed = readMessage(message.data, relayedMessageSchema, VERDICT_BYTES_MAX);
      void take(relayed).then((answer) => message.respond(canonicalBytes(answer))).catch((error: unknown) => logger.warn({ error: String(error) }, 'a relayed verdict could not be answered'));
    });
  });
}

/** The answer of the sidecar that owns the log. @throws TransportError `unreachable`: whether it was taken is not known; the same again is harmless */
export async function sendVerdict(bus: Bus, log: string, message: RelayedMessage): Promise<VerdictAnswer> {
  let data: Uint8Array;
  try {
    ({ data } = await bus.up().request(verdict(log), canonicalBytes(message), { timeout: ANSWER_MS }));
  } catch (cause) {
    throw cause instanceof TransportError ? cause : new TransportError('unreachable', `the sidecar of log ${log} has not answered`, { cause });
  }
  const answer = readMessage(data, verdictAnswerSchema, VERDICT_BYTES_MAX);
  if (answer === null) throw new TransportError('unreachable', `what came for an answer of log ${log} is none`);
  return answer;
}
