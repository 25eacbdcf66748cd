/**
 * What the kit needs to know of a target, beside the connector under test: how to make an account there, use a credential, and list what is
 * there. An adapter asks the target itself, never the connector: it is what the connector's word is compared with.
 */
import type { StepAction } from '../../protocol/plan.ts';
import type { Connector } from '../connector.ts';

export interface TargetAdapter {
  /** Opens the connector under test, as another process with the same configuration would. The kit closes it. */
  open(): Connector | Promise<Connector>;
  /** The connector's id, as in plans. */
  readonly connector: string;
  readonly target: string;
  /** Two privileges or more that are there to be given. */
  readonly privileges: readonly string[];
  /** Whether the target takes an account of this name literally. A name that it does not take must be refused, and leave nothing behind. */
  takes(name: string): boolean;
  /** An account that somebody else made: the secret opens it, and it has these privileges. One of that name is removed first. */
  makeAccount(name: string, secret: string, privileges: readonly string[]): Promise<void>;
  /** An account that can be rotated by twins: the secret opens its one login in use. Left out where the target has none. */
  makeTwin?(name: string, secret: string): Promise<void>;
  /** Logs in as the account, or the login, of that name, and says which of {@link privileges} work; null where it is not let in. */
  use(name: string, secret: string): Promise<readonly string[] | null>;
  /** Whether a session that is opened so is let do anything still, each time it is asked. Left out where the target has no sessions. */
  openSession?(name: string, secret: string): Promise<() => Promise<boolean>>;
  /** Every account and every credential that is there, a line each. */
  list(): Promise<readonly string[]>;
}

/** What the connector under test does. `call` is nothing that a connector does. */
export type KitAction = Exclude<StepAction, 'call'>;

export interface Check {
  /** A sentence about the connector. */
  readonly title: string;
  /** @throws AssertionError where the sentence is not true */
  run(): Promise<void>;
}
