/**
 * What a worker must be able to do, tried as that worker, and nothing of it left: what it publishes is asked to come after a message that is
 * not there, what it pulls with cannot be read, what it acknowledges was never handed out, and what is said is about a log that nobody has.
 */
import { jetstream, JetStreamApiError } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { canonicalBytes } from '../../../ledger/index.ts';
import { failed, ok, type Checked } from '../../doctor/check.ts';
import { ack, API_PREFIX, claim, consumerOf, delivery, NOT_THE_LAST, result, say, STREAMS } from './bus-layout.ts';
import { ACCOUNTS_REMEDY, PROBE_MS, within, type ProbeOptions } from './bus-probes.ts';

const NAME = 'reach';
const SETUP = 'countersign nats setup   makes streams and consumers';
/** No stream comes so far. */
const NEVER_HANDED_OUT = 2 ** 52;

interface Duty {
  /** After "it cannot". */
  readonly what: string;
  /** Null where it can; otherwise why not. */
  readonly attempt: () => Promise<string | null>;
  readonly remedy: string;
}

/** Tries all of it. Each that does not get through is one failed check. */
export async function probeDuties(options: ProbeOptions): Promise<Checked[]> {
  const hex = (length: number): string => Buffer.from(options.randomBytes(length)).toString('hex');
  const duties = dutiesOf(options, hex(8), hex(16));
  const wrong: Checked[] = [];
  for (const { what, attempt, remedy } of duties) {
    const why = await attempt().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (why !== null) wrong.push(failed(NAME, `it cannot ${what}: ${why}`, remedy));
  }
  return wrong.length > 0 ? wrong : [ok(NAME, `${duties.length} things that ${options.lane} must do got through`)];
}

function dutiesOf({ worker, sidecar, lane, clock }: ProbeOptions, log: string, token: string): Duty[] {
  const asked = (subject: string, body: string): Promise<Msg> => worker.request(subject, body, { timeout: PROBE_MS });
  const published = async (subject: string): Promise<string | null> => {
    try {
      await jetstream(worker, { apiPrefix: API_PREFIX, checkAPI: false }).publish(subject, 'x', { timeout: PROBE_MS, expect: { lastSubjectSequence: 1 } });
      return 'the stream does not compare what it is told to';
    } catch (error) {
      return error instanceof JetStreamApiError && error.code === NOT_THE_LAST ? null : error instanceof Error ? error.message : String(error);
    }
  };
  const heard = (listener: NatsConnection, speaker: NatsConnection, subject: string, body: Uint8Array | string): (() => Promise<string | null>) => async () => {
    const heardOf = { isHeard: false, refusal: 'nothing arrives' };
    const subscription = listener.subscribe(subject, {
      callback: (error) => {
        if (error === null) heardOf.isHeard = true;
        else heardOf.refusal = error.message;
      },
    });
    await listener.flush();
    // Again and again: what was just asked for may not be known on every server yet.
    await within(clock, PROBE_MS, async () => {
      speaker.publish(subject, body);
      await speaker.flush();
      return heardOf.isHeard;
    });
    subscription.unsubscribe();
    return heardOf.isHeard ? null : heardOf.refusal;
  };
  const queue = (kind: 'act' | 'revoke', what: string): Duty[] => {
    const consumer = `${STREAMS.steps}.${consumerOf(lane, kind)}`;
    return [
      {
        what: `see its own queue of ${what}`, remedy: SETUP,
        attempt: async () => (await asked(`${API_PREFIX}.CONSUMER.INFO.${consumer}`, '')).json<{ readonly error?: { readonly description?: string } }>().error?.description ?? null,
      },
      {
        what: `pull ${what}`, remedy: ACCOUNTS_REMEDY,
        attempt: async () => {
          const { headers } = await asked(`${API_PREFIX}.CONSUMER.MSG.NEXT.${consumer}`, '{');
          return headers?.code === 400 ? null : `${headers?.code ?? 'no'} ${headers?.description ?? 'answer'}`;
        },
      },
      {
        what: `acknowledge ${what}`, remedy: ACCOUNTS_REMEDY,
        attempt: async () => {
          await asked(`$JS.ACK.${consumer}.1.${NEVER_HANDED_OUT}.${NEVER_HANDED_OUT}.1.0`, '+WPI');
          return null;
        },
      },
    ];
  };
  return [
    ...queue('act', 'steps'), ...queue('revoke', 'orders'),
    {
      what: 'read claims', remedy: ACCOUNTS_REMEDY,
      attempt: async () => {
        const { headers } = await asked(`${API_PREFIX}.DIRECT.GET.${STREAMS.claims}.${claim(lane, token)}`, '');
        return headers?.code === 404 ? null : `${headers?.code ?? 'no'} ${headers?.description ?? 'answer'}`;
      },
    },
    { what: 'post claims', remedy: ACCOUNTS_REMEDY, attempt: () => published(claim(lane, token)) },
    { what: 'report', remedy: ACCOUNTS_REMEDY, attempt: () => published(result(lane, log, token)) },
    { what: 'deliver', remedy: ACCOUNTS_REMEDY, attempt: () => published(delivery(lane, log, token)) },
    { what: 'answer sidecars', remedy: ACCOUNTS_REMEDY, attempt: heard(sidecar, worker, say(lane, log), 'x') },
    { what: 'hear what became of its reports', remedy: ACCOUNTS_REMEDY, attempt: heard(worker, sidecar, ack(lane, log), canonicalBytes({ t: 'taken', token })) },
  ];
}
