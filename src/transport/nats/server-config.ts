/**
 * The part of a nats-server configuration that keeps workers apart: an account for the sidecars, and one for each executor, which reaches no
 * more than its own two consumers, its reports, and what is said to it.
 *
 * Tried: in an account that all share, a worker disarms another's revoke with the reply subject of its own publish, takes steps that are not
 * its, and wipes the schedules with a roll-up.
 */
import { API_PREFIX, consoleInboxOf, consumerOf, laneOf, STREAMS, WIRE_BYTES_MAX } from './bus-layout.ts';

export interface ServerConfigOptions {
  /** nkey public keys (`U…`) of the sidecars. */
  readonly sidecars: readonly string[];
  /** Those of each executor's workers, by executor id. */
  readonly executors: ReadonlyMap<string, readonly string[]>;
  /** Those of whoever may hear what happens, and nothing else. */
  readonly listeners?: readonly string[];
  /** Those of consoles, which may call the API of sidecars, and nothing else. */
  readonly consoles?: readonly string[];
}

const EVENTS = 'cs.event.>';
const API = 'cs.api.>';

/** Accounts and limits, to be included by a server configuration that says where it listens and stores. */
export function formatAccounts({ sidecars, executors, listeners = [], consoles = [] }: ServerConfigOptions): string {
  const lanes = [...executors].map(([id, keys]) => ({ lane: laneOf(id), account: accountOf(id), keys }));
  return [
    `max_payload: ${WIRE_BYTES_MAX}`,
    'accounts {',
    '  CS {',
    '    jetstream: enabled',
    `    users: [${sidecars.map((key) => `{nkey: ${key}}`).join(', ')}]`,
    '    exports: [',
    ...(listeners.length === 0 ? [] : [`      {stream: "${EVENTS}", accounts: [LISTENERS]}`]),
    ...(consoles.length === 0 ? [] : [`      {service: "${API}", response_type: stream, accounts: [CONSOLES]}`]),
    ...lanes.flatMap(({ lane, account }) => [
      ...servicesOf(lane).map(({ subject, streams }) => `      {service: "${subject}",${streams ? ' response_type: stream,' : ''} accounts: [${account}]}`),
      `      {stream: "cs.ack.${lane}.>", accounts: [${account}]}`,
    ]),
    '    ]',
    '  }',
    ...(listeners.length === 0 ? [] : [
      '  LISTENERS {',
      '    users: [',
      ...listeners.map((key) => `      {nkey: ${key}, permissions: {publish: {deny: [">"]}, subscribe: {allow: ["${EVENTS}"]}}}`),
      '    ]',
      `    imports: [{stream: {account: CS, subject: "${EVENTS}"}}]`,
      '  }',
    ]),
    ...(consoles.length === 0 ? [] : [
      '  CONSOLES {',
      '    users: [',
      ...consoles.map((key) => `      {nkey: ${key}, permissions: {publish: {allow: ["${API}"]}, subscribe: {allow: ["${consoleInboxOf(key)}.>"]}}}`),
      '    ]',
      `    imports: [{service: {account: CS, subject: "${API}"}}]`,
      '  }',
    ]),
    ...lanes.flatMap(({ lane, account, keys }) => [
      `  ${account} {`,
      '    users: [',
      ...keys.map((key) => `      {nkey: ${key}, permissions: {publish: {allow: [${servicesOf(lane).map(({ to }) => `"${to}"`).join(', ')}]}, subscribe: {allow: ["${inboxOf(lane)}.>", "cs.ack.${lane}.>"]}}}`),
      '    ]',
      '    imports: [',
      ...servicesOf(lane).map(({ subject, to }) => `      {service: {account: CS, subject: "${subject}"}${to === subject ? '' : `, to: "${to}"`}}`),
      `      {stream: {account: CS, subject: "cs.ack.${lane}.>"}}`,
      '    ]',
      '  }',
    ]),
    '}',
    '',
  ].join('\n');
}

/** Inboxes of a lane's workers are below it. */
export const inboxOf = (lane: string): string => `_INBOX_${lane}`;

/** Account names are letters, digits, dashes and underscores. Injective, as lanes are: an underscore is written `_u`, a dot `_d`. */
function accountOf(executor: string): string {
  return `W_${laneOf(executor).replaceAll('_', '_u').replaceAll('=2e', '_d')}`;
}

interface Service {
  /** In the sidecars' account. */
  readonly subject: string;
  /** In the worker's. */
  readonly to: string;
  /** Whether it answers with more than one message. */
  readonly streams: boolean;
}

function servicesOf(lane: string): Service[] {
  const consumers = (['act', 'revoke'] as const).map((kind) => consumerOf(lane, kind));
  const api = (rest: string, streams: boolean): Service => ({ subject: `$JS.API.${rest}`, to: `${API_PREFIX}.${rest}`, streams });
  const same = (subject: string): Service => ({ subject, to: subject, streams: false });
  return [
    ...consumers.flatMap((consumer) => [api(`CONSUMER.INFO.${STREAMS.steps}.${consumer}`, false), api(`CONSUMER.MSG.NEXT.${STREAMS.steps}.${consumer}`, true)]),
    // Both spellings of acknowledgements: servers are changing from the first to the second.
    ...consumers.flatMap((consumer) => [same(`$JS.ACK.${STREAMS.steps}.${consumer}.>`), same(`$JS.ACK.*.*.${STREAMS.steps}.${consumer}.>`)]),
    api(`DIRECT.GET.${STREAMS.claims}.cs.claim.${lane}.>`, false),
    same(`cs.claim.${lane}.>`), same(`cs.result.${lane}.>`), same(`cs.delivery.${lane}.>`), same(`cs.say.${lane}.>`),
  ];
}
