/** What can be seen of an installation from its files. Nothing is opened for writing, so the sidecar may be running. */
import { bundlePath, LedgerError, nodeDisk, openOwnCheckpoint, overArchives, parseVerifier, readMoved, TILE_WIDTH, type LogSigner } from '../../ledger/index.ts';
import { exceptionAsking } from '../config/exception-asking.ts';
import type { Config } from '../config/schema.ts';
import { lintFacts } from '../facts/check.ts';
import { grantedOnly, NOBODY_ASKED } from '../facts/granted.ts';
import { loadFacts } from '../facts/load.ts';
import { scopesAt } from '../facts/observe.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { openLogKey, openOwnKey } from '../identity/signing-key.ts';
import { loadTokens } from '../identity/tokens.ts';
import { openPdp } from '../pdp/engine.ts';
import { policySignersOf } from '../protocol/policy-bundle.ts';
import { loadTrustFolder } from '../protocol/trust-folder.ts';
import { defaultPolicyDirectory } from '../sidecar/default-policy.ts';
import { openPolicy } from '../sidecar/open-policy.ts';
import { systemClock, systemRandom } from '../sidecar/system.ts';
import { checking, failed, ok, type Checked } from './check.ts';

const WARNINGS_SHOWN = 5;

/** In the order in which they matter. */
export async function checkInstallation(config: Config, nowMs: number): Promise<Checked[]> {
  return [await checkSecrets(config), await checkTokens(config), await checkTrust(config), await checkLedger(config), await checkPolicy(config), await checkFacts(config, nowMs)];
}

/** Keys and secrets are there, and their owner's alone. */
function checkSecrets({ keys, nats, webhooks, slack }: Config): Promise<Checked> {
  const paths = [keys.log, keys.ticket, ...(nats === undefined ? [] : [nats.seed]), ...webhooks.map(({ secret }) => secret), ...(slack === undefined ? [] : [slack.token, slack.signingSecret])];
  return checking('secrets', 'put the file in its place, owned by who runs the sidecar, with mode 600', async () => {
    for (const path of paths) await readPrivateFile(path);
    return ok('secrets', `${paths.length} files, each its owner’s alone`);
  });
}

function checkTokens({ tokens }: Config): Promise<Checked> {
  return checking('tokens', 'correct the file of token digests', async () => {
    await loadTokens(tokens);
    return ok('tokens', tokens);
  });
}

/** Every executor may speak for its connectors, and the log and its ticket key are known. */
function checkTrust({ trust: path, executors, origin, keys }: Config): Promise<Checked> {
  const name = 'trust';
  return checking(name, `correct ${path}`, async () => {
    const trust = await loadTrustFolder(path, { actedOn: true });
    const wrong = executors.flatMap(({ id, connectors }) => connectors.filter((connector) => trust.executors.get(id)?.connectors.includes(connector) !== true).map((connector) => `${id} for ${connector}`));
    if (wrong.length > 0) return failed(name, `executors.json does not trust ${wrong.join(', ')}`, `add it to ${path}/executors.json`);
    const [log, ticket] = [await openLogKey(keys.log, keys.unlock), await openOwnKey(keys.ticket, keys.unlock)];
    if (!trust.policy.logs.some(({ verifier }) => verifier.vkey === log.vkey)) return failed(name, `trust.policy does not list the key of ${origin}`, `add it to ${path}/trust.policy: log ${log.vkey}`);
    const isKnown = [...trust.sidecars.values()].flat().some(({ vkey }) => vkey === ticket.vkey);
    return isKnown ? ok(name, `${executors.length} executors, the log and its ticket key`) : failed(name, 'sidecars.json does not have the ticket key', `add it to ${path}/sidecars.json: ${ticket.vkey}`);
  });
}

/** The checkpoint on disk is signed by the log's key. What is under it, `countersign verify` says. */
function checkLedger({ data, origin, keys }: Config): Promise<Checked> {
  const name = 'ledger';
  return checking(name, `countersign verify ${data}/ledger --trust FOLDER   says what is wrong; countersign restore   puts a lost ledger back`, async () => {
    const size = await ownSize(data, await openLogKey(keys.log, keys.unlock));
    const unreachable = await whyUnreachable(data);
    if (unreachable !== null) return failed(name, unreachable, 'bring it back before the next upgrade: a start that must read everything does not come up without it');
    return ok(name, size === null ? `nothing is recorded yet in ${data}` : `${size} records of ${origin} under a signed checkpoint`);
  });
}

/** Why a bundle that was moved to an archive cannot be read; null where all can be. */
async function whyUnreachable(data: string): Promise<string | null> {
  const site = { disk: nodeDisk(data), directory: 'ledger', journal: 'journal', archive: nodeDisk };
  const below = (await readMoved(site))?.below ?? 0;
  const files = await overArchives(site);
  try {
    for (let index = 0; index * TILE_WIDTH < below; index += 1) await files.size(`ledger/${bundlePath(index)}`);
    return null;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'archived') return error.message;
    throw error;
  }
}

/** Records under the checkpoint on disk; null where there is none. @throws LedgerError for one that the log's key has not signed */
export async function ownSize(data: string, signer: LogSigner): Promise<number | null> {
  const note = await nodeDisk(data).read('ledger/checkpoint');
  if (note === null) return null;
  return openOwnCheckpoint(Buffer.from(note).toString('utf8'), parseVerifier(signer.vkey)).size;
}

function checkPolicy(config: Config): Promise<Checked> {
  const { policy, policySource, trust, limits } = config;
  if (policySource !== undefined) return checkPolicySource(config);
  const directory = policy ?? defaultPolicyDirectory();
  return checking('policy', 'countersign policy build   makes the bundle; countersign policy sign   signs it', async () => {
    // What is wrong with the trust folder is said where that is looked at.
    const trusted = await loadTrustFolder(trust).catch(() => null);
    const signers = trusted === null ? [] : policySignersOf(trusted.requirements);
    const pdp = await openPdp({ directory, signers, deadlineMs: limits.policyDeadlineMs });
    await pdp.close();
    return ok('policy', `${pdp.bundle ?? directory}${signers.length === 0 ? '' : ', signed'}`);
  });
}

/** A bundle in OPA's format: the folder's, or the one that was fetched last. Nothing is fetched. */
function checkPolicySource(config: Config): Promise<Checked> {
  return checking('policy', 'countersign policy pack   writes a bundle that is signed', async () => {
    let why = 'no bundle was fetched yet';
    const logger = { info: () => undefined, warn: () => undefined, error: (_fields: object, message: string) => void (why = message) };
    const { pdp } = await openPolicy(config, { trust: await loadTrustFolder(config.trust), disk: nodeDisk(config.data), clock: systemClock, random: systemRandom, logger });
    await pdp.close();
    return pdp.bundle === null ? failed('policy', why, 'start the sidecar where it reaches policySource.url, or mend what is there') : ok('policy', `${pdp.bundle}, signed${pdp.revision === undefined ? '' : `, revision ${pdp.revision}`}`);
  });
}

/** They can be read, and nothing in them will strand a change later. */
function checkFacts(config: Config, nowMs: number): Promise<Checked> {
  return checking('facts', 'correct the file', async () => {
    const facts = await loadFacts(config.facts, nowMs);
    // What is wrong with the trust folder is said where that is looked at.
    const asking = (await exceptionAsking(config, nowMs)) ?? NOBODY_ASKED;
    const { held } = grantedOnly(facts.exceptions ?? { v: 1, exceptions: [] }, facts.value, { ...asking, atMs: [nowMs] });
    const warnings = [...held.map(({ id, lacks }) => ({ about: id, message: `it is not in force: ${lacks}` })), ...lintFacts(facts.value)];
    const observed = scopesAt(facts.exceptions?.observe ?? [], nowMs).map(({ id, until }) => `; ${id} is under observe until ${until}: policy is not enforced there`).join('');
    if (warnings.length === 0) return ok('facts', `${facts.inventory.size} identities${observed}`);
    const shown = warnings.slice(0, WARNINGS_SHOWN).map(({ about, message }) => `${about}: ${message}`).join('; ');
    return failed('facts', warnings.length > WARNINGS_SHOWN ? `${shown}; and ${warnings.length - WARNINGS_SHOWN} more` : shown, held.length > 0 ? 'have those who are asked sign it:  countersign exceptions sign FILE ID --ssh-key KEY --approver PERSON' : 'what names lead nowhere will deny or strand changes: correct them');
  });
}
