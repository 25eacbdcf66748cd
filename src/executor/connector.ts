/**
 * The connector SPI: the only code that touches a target.
 *
 * A connector never sees a ticket, decides nothing and keeps nothing: the worker has checked the proof, and what a connector made is
 * found again at the target by the client token. Each method has a deadline (`signal`); after it, the outcome is unknown and is probed.
 */
import type { DiscoverQuery, Found } from '../protocol/discovery.ts';
import type { PlanStep, TargetState } from '../protocol/plan.ts';
import type { Query, RevokeOrder } from '../protocol/signed.ts';

/** A target that could not be reached or asked: nothing was changed by this call, or the call says `ambiguous`. */
export class TargetError extends Error {
  /**
   * `unreachable`: nothing was sent. `rejected`: the target refused, nothing changed. `ambiguous`: it may have happened.
   * `notYet`: what the step waits for is not so yet, nothing changed, ask again; the message says what it is.
   */
  readonly kind: 'unreachable' | 'rejected' | 'ambiguous' | 'notYet';
  constructor(kind: TargetError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TargetError';
    this.kind = kind;
  }
}

/** A page as a connector gives it. `next`: the key after which the next one begins; null after the last. Pages that are too large are cut by the worker. */
export interface DiscoveredEntries {
  readonly target: string;
  readonly entries: readonly Found[];
  readonly next: string | null;
}

export type StateWithoutSalt = Omit<TargetState, 'salt' | 'v'>;

export interface ApplyInput {
  readonly step: PlanStep;
  /** Until when the access lives, for targets that can end it themselves; null for standing access. Of an `extend`, the later end. */
  readonly validUntil: string | null;
  /**
   * The secret of a `provision`, `stage` or `replace`: chosen by the worker, already sealed and durable. Never logged, never sent in clear where avoidable.
   * Null for {@link Connector.issue}.
   */
  readonly secret: string | null;
  /** For `cutover` and `retire`: sessions of the old login do not keep it, they are ended. */
  readonly endSessions: boolean;
  readonly signal: AbortSignal;
}

/** What a target chose itself. It is in nobody else's hands until the worker has sealed it. */
export interface Issued {
  readonly secret: string;
  /** Where the secret is a document, the part of it that opens something and leaks alone: evidence knows it by a fingerprint of this. The secret itself unless it is given. */
  readonly credential?: string;
}

export interface Described {
  /** `native`: the target ends the access itself at `validUntil`. `external`: only a revoke does. */
  readonly expiry: 'native' | 'external';
  /** Whether open sessions are ended on revoke. */
  readonly endsSessions: boolean;
  /** How long a target may honour a revoked credential, in ms: verification by use goes on until then. */
  readonly residualMs: number;
  /** Whether what is made can be found again by its client token. */
  readonly findable: boolean;
  /**
   * The target chooses the secret of this action: it is made by `issue`, which answers with it, and not by `apply`. One whose answer was lost is taken back by its client token and made
   * again: so only what is findable, and can be undone, may say this.
   */
  readonly choosesSecret?: boolean;
}

export interface Connector {
  /** What the action comes to at this target; null where it is not done there. */
  describe(action: PlanStep['action']): Described | null;
  /**
   * The account's state as the change would touch it. Changes nothing. For the action `rotate`, `touched` says how: `overlap` (`twin` or
   * `none`), and for twins `currentName`, `nextName` and `privilege`, what the next login is to be given; the steps' own reads answer
   * a part of the same attributes. @throws TargetError
   */
  read(query: Query, signal: AbortSignal): Promise<StateWithoutSalt>;
  /**
   * A page of what is there that is access of somebody, in an order of the target's own that does not change while it is read: accounts with
   * what they hold in their own name, credentials and last use as far as the target knows them, and grants of Countersign whoever's ledger they
   * are in. Changes nothing, and tells no secret. A connector that cannot tell has no such method. @throws TargetError
   */
  discover?(query: DiscoverQuery, signal: AbortSignal): Promise<DiscoveredEntries>;
  /**
   * Makes the change, wholly or not at all, marked with the client token in the same transaction as the effect. An `extend` gives what is
   * there and bears the token a later end, and makes nothing: what has been taken back stays so, however late it arrives.
   * @throws TargetError `unreachable`, `rejected` or `notYet`: nothing happened; `ambiguous`: probe.
   */
  apply(input: ApplyInput): Promise<void>;
  /** As `apply`, for actions whose secret the target chooses (`describe` says `choosesSecret`), with the secret. @throws TargetError as of `apply` */
  issue?(input: ApplyInput): Promise<Issued>;
  /**
   * Whether what `apply` would have made for this client token is there; of an `extend`, the access itself, ending at the target no earlier than
   * `validUntil` where that ends it. Changes nothing. @throws TargetError
   */
  probe(step: Pick<PlanStep, 'action' | 'target' | 'account' | 'other' | 'privileges' | 'clientToken' | 'gave'>, signal: AbortSignal, validUntil?: string | null): Promise<'applied' | 'absent'>;
  /** Uses the new credential. `notTried` where the action made none. @throws TargetError */
  tryUse(step: PlanStep, secret: string | null, signal: AbortSignal): Promise<'works' | 'fails' | 'notTried'>;
  /**
   * Takes back what the order names and reads that it is gone, sessions included. Idempotent.
   * `mismatch`: something of that name is there but is not ours (another native id or token): untouched.
   * @throws TargetError when it is not known to be gone.
   */
  revoke(order: Pick<RevokeOrder, 'action' | 'target' | 'account' | 'privileges' | 'clientToken'>, signal: AbortSignal): Promise<'done' | 'already-absent' | 'mismatch'>;
  close(): Promise<void>;
}
