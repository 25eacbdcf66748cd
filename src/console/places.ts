/** The sidecars that people decide at, and the way to each: over HTTP, or over the bus, sealed to the key that the trust folder has for its log. */
import { Buffer } from 'node:buffer';
import { logIdOf } from '../../ledger/index.ts';
import { connect } from '../client/index.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
import type { ConsoleConfig } from './config.ts';
import type { ConsoleLogger, Place } from './context.ts';

export interface Places {
  readonly all: readonly Place[];
  close(): Promise<void>;
}

export interface PlacesOptions {
  readonly nowMs: () => number;
  readonly random: (length: number) => Uint8Array;
  readonly logger: ConsoleLogger & { warn(fields: object, message: string): void };
}

/** How long a sidecar may take to answer a page. */
const SIDECAR_MS = 5_000;

/** @throws TrustError, PrivateFileError, or Error where a log is none of the trust folder's; nothing was opened */
export async function openPlaces({ sidecars, nats, trust }: Pick<ConsoleConfig, 'sidecars' | 'nats' | 'trust'>, options: PlacesOptions): Promise<Places> {
  if (nats === undefined || trust === undefined) return { all: sidecars === 'bus' ? [] : sidecars.map(({ name, url }) => ({ name, open: overHttp(url!) })), close: () => Promise.resolve() };
  const believed = await loadTrustFolder(trust, { actedOn: true });
  const entries: readonly Entry[] = sidecars === 'bus' ? namedByOrigin(believed) : sidecars;
  const keysOf = new Map(entries.flatMap(({ log }) => (log === undefined ? [] : [[log, keysFor(believed, log, trust)]])));
  const seed = Buffer.from(await readPrivateFile(nats.seed)).toString('utf8').trim();
  const [{ openBus }, { callOverBus }, { consoleInboxOf }, { publicKeyOf }] = await Promise.all([
    import('../transport/nats/connection.ts'), import('../transport/nats/api-calls.ts'), import('../transport/nats/bus-layout.ts'), import('../transport/nats/bus-user.ts'),
  ]);
  const inboxPrefix = consoleInboxOf(publicKeyOf(seed));
  const bus = openBus({ servers: nats.servers, seed, caFile: nats.caFile, name: 'console', inboxPrefix, logger: options.logger });
  const overBus = (origin: string): Place['open'] => {
    const carry = callOverBus({ bus, inboxPrefix, log: logIdOf(origin), keys: keysOf.get(origin)!, ...options });
    return (token) => connect({ carry, token, timeoutMs: SIDECAR_MS });
  };
  return { all: entries.map(({ name, url, log }) => ({ name, open: url === undefined ? overBus(log!) : overHttp(url) })), close: () => bus.close() };
}

/** `url`, or `log`. */
type Entry = Exclude<ConsoleConfig['sidecars'], 'bus'>[number];

function overHttp(url: string): Place['open'] {
  return (token) => connect({ url, token, timeoutMs: SIDECAR_MS });
}

function keysFor({ sidecars }: Trust, origin: string, folder: string): NonNullable<ReturnType<Trust['sidecars']['get']>> {
  const keys = sidecars.get(logIdOf(origin));
  if (keys === undefined) throw new Error(`${folder}/sidecars.json has no key for the log ${origin}: nothing that says to be its sidecar could be believed`);
  return keys;
}

/** Every log whose sidecar has a key there: by its origin, as far as that can be in an address; otherwise by its id. @throws Error where there is none */
export function namedByOrigin({ policy, sidecars }: Pick<Trust, 'policy' | 'sidecars'>): { readonly name: string; readonly log: string }[] {
  const origins = [...new Set(policy.logs.map(({ verifier }) => verifier.name))].filter((origin) => sidecars.has(logIdOf(origin)));
  if (origins.length === 0) throw new Error('sidecars.json of the trust folder names no sidecar');
  const names = origins.map((origin) => origin.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, ''));
  return origins.map((log, index) => {
    const name = names[index]!;
    const isGood = name !== '' && name.length <= 32 && names.indexOf(name) === names.lastIndexOf(name);
    return { name: isGood ? name : logIdOf(log), log };
  });
}
