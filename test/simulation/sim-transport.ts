/** Messages between hosts: late, lost, doubled, out of order, and cut off for a while. Hosts share nothing: all that arrives is text. */
import { TransportError, type Acceptance, type Transport } from '../../src/engine/ports.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { ReportMessage, StepEnvelope } from '../../src/protocol/envelope.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { ASKS_NOTHING } from '../support/scripted-executor.ts';
import type { Rng } from './rng.ts';
import type { Process, Scheduler } from './scheduler.ts';

/** What an executor's host offers to the wire. */
export interface ExecutorEnd {
  readonly process: Process;
  arm(order: Dsse): Promise<void>;
  disarm(order: Dsse): Promise<void>;
  step(envelope: StepEnvelope): Promise<Acceptance>;
  revoke(order: Dsse): Promise<void>;
  lock(statement: Dsse): Promise<void>;
  locks(): readonly Dsse[];
  connected(): void;
}

export interface SimNetwork {
  /** The sidecar's end; one process of it at a time. */
  transport(process: Process): Transport;
  /** Carries a report to the sidecar; resolves when it was acknowledged. @throws TransportError */
  report(process: Process, audience: string, message: ReportMessage): Promise<void>;
  listen(audience: string, end: ExecutorEnd): void;
  /** An order from an operator who stands at the executor's own door. */
  sendOrder(audience: string, order: Dsse): void;
  /** A lock from one who does the same; `held` is called once it is. */
  sendLock(audience: string, lock: Dsse, held: () => void): void;
  /** An executor shows a lock to the sidecar that is there. */
  showLock(audience: string, lock: Dsse): void;
  /** A message that somebody else puts on the wire. */
  inject(audience: string, envelope: StepEnvelope, answered?: (acceptance: Acceptance) => void): void;
  /** Somebody on the line: sees each step that the sidecar sends, and may send another before it arrives. */
  setEavesdropper(heard: (audience: string, envelope: StepEnvelope) => void): void;
  /** Cuts or mends the line to an executor. */
  setPartition(audience: string, cut: boolean): void;
  setQuality(quality: { readonly loss: number; readonly double: number; readonly slowestMs: number }): void;
  /** Whether a message to this executor may fail to arrive now. */
  isTroubled(audience: string): boolean;
  /** Whether anything between the two got lost since then: who had no answer need not be in trouble any more. */
  hasLostSince(audience: string, sinceMs: number): boolean;
  /** Every step envelope that a sidecar sent: what a thief on the wire has. */
  readonly seen: readonly { readonly audience: string; readonly envelope: StepEnvelope }[];
}

const ANSWER_TIMEOUT_MS = 2_000;

export function createNetwork(scheduler: Scheduler, rng: Rng, watch: (text: string) => void): SimNetwork {
  const ends = new Map<string, ExecutorEnd>();
  const cut = new Set<string>();
  const lostAtMs = new Map<string, number>();
  const lose = (audience: string): void => void lostAtMs.set(audience, scheduler.nowMs());
  const seen: { audience: string; envelope: StepEnvelope }[] = [];
  let eavesdropper: (audience: string, envelope: StepEnvelope) => void = () => undefined;
  let quality = { loss: 0, double: 0, slowestMs: 20 };
  let sidecar: { process: Process; receive: (audience: string, message: ReportMessage) => Promise<void>; connected: (audience: string) => void; hearLock: (lock: Dsse) => void; knows: (audience: string, run: string) => void } | null = null;
  const runOf = (audience: string): string => (ends.get(audience)?.process.incarnation ?? 0).toString(16).padStart(16, '0');

  const reachable = (audience: string): boolean => !cut.has(audience) && ends.get(audience)?.process.alive === true;
  /** Both ends find that they are connected, some time after whatever happened to the line. */
  /** A socket that is reset twice before it is there again comes up once. */
  const comingUp = new Set<string>();
  const reconnect = (audience: string): void => {
    if (comingUp.has(audience)) return;
    comingUp.add(audience);
    scheduler.after(rng.between(5, 300), `line to ${audience} is up`, () => {
      comingUp.delete(audience);
      if (!reachable(audience) || sidecar?.process.alive !== true) return;
      sidecar.connected(audience);
      sidecar.knows(audience, runOf(audience));
      for (const lock of ends.get(audience)!.locks()) showLock(audience, lock);
      ends.get(audience)!.connected();
    });
  };
  const showLock = (audience: string, lock: Dsse): void => carry(audience, `${audience} → sidecar lock`, JSON.stringify(lock), (text) => {
    if (sidecar?.process.alive === true) sidecar.hearLock(JSON.parse(text) as Dsse);
  });
  /** Puts text on the line: it arrives never, once or twice. A socket that loses something is reset. */
  const carry = (audience: string, label: string, text: string, arrive: (text: string) => void): void => {
    watch(text);
    if (cut.has(audience)) return lose(audience);
    if (rng.chance(quality.loss)) {
      lose(audience);
      scheduler.trace(`lost: ${label}`);
      return reconnect(audience);
    }
    for (let copies = rng.chance(quality.double) ? 2 : 1; copies > 0; copies -= 1) {
      const delayMs = rng.between(0, rng.chance(0.1) ? quality.slowestMs * 10 : quality.slowestMs);
      // As good as lost to who waits for an answer.
      if (delayMs * 2 > ANSWER_TIMEOUT_MS) lose(audience);
      scheduler.after(delayMs, label, () => {
        if (cut.has(audience)) lose(audience);
        else arrive(text);
      });
    }
  };
  /** A question and its answer; the asker gives up after a while. */
  const ask = <T>(process: Process, audience: string, label: string, question: object, answer: (question: string) => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const giveUp = scheduler.after(ANSWER_TIMEOUT_MS, `${label}: no answer`, () => reject(new TransportError('unreachable', 'simulated: no answer')), process);
      const settle = (how: () => void): void => {
        giveUp();
        how();
      };
      carry(audience, label, JSON.stringify(question), (text) => {
        const back = (say: string, how: () => void): void =>
          carry(audience, `${label}: ${say}`, say, () => {
            if (process.alive) settle(how);
          });
        answer(text).then(
          (value) => back(JSON.stringify(value ?? 'ok'), () => resolve(value)),
          (error: unknown) => {
            // As both transports say it.
            const said = error instanceof ProtocolError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
            back(`refused: ${said}`, () => reject(new TransportError('rejected', `${audience}: ${said}`, { cause: error })));
          },
        );
      });
    });
  const endOf = (process: Process): NonNullable<typeof sidecar> => (sidecar?.process === process ? sidecar : { process, receive: never, connected: () => undefined, hearLock: () => undefined, knows: () => undefined });
  const never = <T>(): Promise<T> => new Promise(() => undefined);
  const end = (audience: string): ExecutorEnd | undefined => {
    const there = ends.get(audience);
    if (there?.process.alive === true) return there;
    lose(audience);
    return undefined;
  };

  return {
    transport(process) {
      return {
        arm: (audience, order) => ask(process, audience, `sidecar → ${audience} arm`, order, (text) => end(audience)?.arm(JSON.parse(text) as Dsse) ?? never()),
        disarm: (audience, order) => ask(process, audience, `sidecar → ${audience} disarm`, order, (text) => end(audience)?.disarm(JSON.parse(text) as Dsse) ?? never()),
        publishStep(audience, envelope) {
          const copy = JSON.parse(JSON.stringify(envelope)) as StepEnvelope;
          seen.push({ audience, envelope: copy });
          eavesdropper(audience, copy);
          return ask(process, audience, `sidecar → ${audience} step`, envelope, (text) => end(audience)?.step(JSON.parse(text) as StepEnvelope) ?? never());
        },
        publishRevoke: (audience, order) => ask(process, audience, `sidecar → ${audience} revoke`, order, (text) => end(audience)?.revoke(JSON.parse(text) as Dsse) ?? never()),
        publishLock: (audience, lock) => ask(process, audience, `sidecar → ${audience} lock`, lock, (text) => end(audience)?.lock(JSON.parse(text) as Dsse) ?? never()),
        onLock(hearLock) {
          sidecar = { ...endOf(process), hearLock };
        },
        onReport(receive) {
          sidecar = { ...endOf(process), receive };
        },
        onConnected(connected) {
          sidecar = { ...endOf(process), connected };
          for (const audience of ends.keys()) reconnect(audience);
        },
        states: () => [],
        onRefused: () => undefined,
        // What workers of these worlds say is laxer than what they do: what their floors do not count is turned away.
        knows: (audience) => [{ ...ASKS_NOTHING, run: runOf(audience) }],
        onKnows(knows) {
          sidecar = { ...endOf(process), knows };
        },
        isConnected: reachable,
        close: async () => undefined,
      };
    },
    report: (process, audience, message) => ask(process, audience, `${audience} → sidecar report`, message, (text) =>
      sidecar?.process.alive === true ? sidecar.receive(audience, JSON.parse(text) as ReportMessage) : never()),
    listen(audience, executorEnd) {
      ends.set(audience, executorEnd);
      reconnect(audience);
    },
    sendOrder(audience, order) {
      const text = JSON.stringify(order);
      watch(text);
      scheduler.after(5, `operator → ${audience} revoke`, () => void end(audience)?.revoke(JSON.parse(text) as Dsse).catch(() => undefined));
    },
    sendLock(audience, lock, held) {
      const text = JSON.stringify(lock);
      watch(text);
      scheduler.after(5, `operator → ${audience} lock`, () => void end(audience)?.lock(JSON.parse(text) as Dsse).then(held, () => undefined));
    },
    showLock,
    inject(audience, envelope, answered) {
      const text = JSON.stringify(envelope);
      scheduler.after(rng.between(0, 10), `thief → ${audience} step`, () => void end(audience)?.step(JSON.parse(text) as StepEnvelope).then(answered, () => undefined));
    },
    setEavesdropper(heard) {
      eavesdropper = heard;
    },
    setPartition(audience, isCut) {
      if (isCut) cut.add(audience);
      else if (cut.delete(audience)) reconnect(audience);
    },
    setQuality(next) {
      quality = next;
    },
    hasLostSince: (audience, sinceMs) => (lostAtMs.get(audience) ?? -Infinity) >= sinceMs,
    isTroubled: (audience) => !reachable(audience) || quality.loss > 0 || quality.slowestMs > 100,
    seen,
  };
}
