/**
 * The sink SPI: a store of secrets, where who uses a credential finds it, and an executor keeps it.
 *
 * A secret is staged before it is applied, so that it is durable and nobody looks there yet; published once what it opens is there; and
 * withdrawn when that is taken back, so that who looks finds what was there before: by whichever worker, for it is found by its client token.
 * Once what was there before opens nothing any more, it is settled, and never comes back. Each may be repeated. A sink decides nothing.
 */

export interface Place {
  readonly path: string;
  /** The machine identity: what is kept at a path for one is not written over for another. */
  readonly subject: string;
  readonly clientToken: string;
}

export interface Sink {
  /** Durable, and not where anybody looks. @throws TargetError `rejected`: something else is kept at the path, or it may not be written; else ask again */
  stage(place: Place, secret: string, signal: AbortSignal): Promise<void>;
  /** Whoever looks at the path finds what was staged. @throws TargetError */
  publish(place: Place, signal: AbortSignal): Promise<void>;
  /** What was there before what is published for this client token does not come back. @throws TargetError */
  settle(clientToken: string, signal: AbortSignal): Promise<void>;
  /**
   * What was staged or published for this client token is not found any more, wherever that was; what was there before it is, if anything.
   * Done where nothing was. @throws TargetError
   */
  withdraw(clientToken: string, signal: AbortSignal): Promise<void>;
}
