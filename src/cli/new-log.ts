/** `countersign restore --new-log`: the old log cannot be reproduced, so a new one goes on for it and adopts what is open. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { formatBase64, LedgerError, logIdOf, parseVerifier, type KnownHead, type LedgerSource, type LogSigner, type Signer, type Verifier } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import { AdoptError, adoptLedger } from '../sidecar/adopt.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readText } from './files.ts';
import { notRestored, UNTOUCHED } from './not-restored.ts';
import type { Session } from './world.ts';

interface Adopting {
  readonly old: Verifier;
  readonly signer: LogSigner;
  readonly ticketSigner: Signer;
  readonly sources: readonly LedgerSource[];
  readonly known: readonly KnownHead[];
  readonly keyLost: boolean;
}

/** The verifier key of the old log, given as it is or in a file. @throws CliError */
export function oldLog(session: Session, given: string): Verifier {
  const path = resolve(session.cwd, given);
  const text = existsSync(path) ? readText(path, 'the verifier key of the old log').trim() : given;
  try {
    return parseVerifier(text);
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.usage, 'usage', { cause: `--new-log takes the verifier key of the old log, or a file that holds it: ${cause.message}`, effect: UNTOUCHED, next: 'it is on the log line of trust.policy' }, { cause });
  }
}

export async function adopt(session: Session, config: Config, { old, signer, ticketSigner, sources, known, keyLost }: Adopting): Promise<ExitCode> {
  const { out } = session;
  if (signer.name !== config.origin) {
    throw new CliError(EXIT.usage, 'bad-key', { cause: `${config.keys.log} is the key of ${signer.name}, not of ${config.origin}`, effect: UNTOUCHED, next: 'countersign keygen   makes one; origin and keys.log in countersign.yaml are of the new log' });
  }
  await requireTrusted(config, old, ticketSigner);
  const done = await adoptLedger({ origin: config.origin, data: config.data, signer, ticketSigner, old, sources, known, keyLost, nowMs: session.nowMs }).catch((cause: unknown) => {
    throw notAdopted(cause);
  });
  const root = formatBase64(done.root);
  const ahead = done.ahead.map(({ by, size }) => ({ by, size }));
  out.document({ origin: config.origin, adopted: { origin: old.name, size: done.size, root, source: done.source, ahead }, changes: done.changes, records: done.records, locks: done.locks, kept: done.kept });
  out.line(`${config.origin} goes on for ${old.name}, from its ${done.size} records in ${done.source}; root ${root}`);
  out.line(`adopted ${done.changes} changes with ${done.records} records, and ${done.locks} locks`);
  for (const { by, size } of ahead) out.line(`lost ${size - done.size} records that ${by} has seen`);
  for (const kept of done.kept) out.line(`kept ${kept}`);
  return EXIT.ok;
}

/** Executors take orders about what the old log gave only from a key that is listed under it, and nothing new from one that is not listed under the new. */
async function requireTrusted(config: Config, old: Verifier, { vkey }: Signer): Promise<void> {
  const trust = await loadTrustFolder(config.trust).catch((cause: unknown) => {
    if (!(cause instanceof TrustError)) throw cause;
    throw new CliError(EXIT.notEstablished, 'no-trust', { cause: `the trust folder cannot be used: ${cause.message}`, effect: UNTOUCHED }, { cause });
  });
  const publicKey = parseVerifier(vkey).publicKey;
  for (const origin of [old.name, config.origin]) {
    if (trust.sidecars.get(logIdOf(origin))?.some((key) => Buffer.from(key.publicKey).equals(publicKey)) === true) continue;
    throw new CliError(EXIT.usage, 'untrusted-sidecar', {
      cause: `${config.trust}/sidecars.json does not list the ticket key under ${origin}`, effect: UNTOUCHED,
      next: 'list it under both origins there, and in the trust folder of every executor and auditor; and in trust.policy the new log beside the old',
    });
  }
}

function notAdopted(cause: unknown): CliError {
  if (!(cause instanceof AdoptError)) return notRestored(cause);
  const next: Record<AdoptError['code'], string> = {
    'same-log': 'countersign keygen   makes a key; give the new log an origin of its own',
    'already-there': 'name another place as data, or move what is there away',
    whole: 'countersign restore   with the old origin and key; or say --key-lost, or give what has seen more with --lease-book',
  };
  return new CliError(EXIT.usage, cause.code, { cause: cause.message, effect: UNTOUCHED, next: next[cause.code] }, { cause });
}
