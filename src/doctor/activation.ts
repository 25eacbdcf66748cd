/** Whether a policy bundle waits for people: where somebody is asked at all, the running sidecar says. */
import { connect } from '../client/index.ts';
import type { Config } from '../config/schema.ts';
import { loadTrustFolder } from '../protocol/trust-folder.ts';
import { failed, ok, unknown, type Checked } from './check.ts';

const NAME = 'activation';
const ASKED_MS = 5_000;

/** Nothing where nobody is asked. */
export async function checkActivation({ listen, policyActivation, trust }: Config): Promise<Checked[]> {
  // What is wrong with the trust folder is said where that is looked at.
  const floor = await loadTrustFolder(trust).then(({ requirements }) => requirements.policyActivation, () => undefined);
  if (policyActivation === undefined && floor === undefined) return [];
  const where = listen.socket === undefined ? { url: `http://${listen.host}:${listen.port}` } : { socket: listen.socket };
  try {
    // What is asked takes no token.
    const { checks } = await connect({ ...where, token: 'none', timeoutMs: ASKED_MS }).ready();
    const said = checks.find(({ check }) => check === 'policyActivation');
    if (said === undefined) return [unknown(NAME, 'the sidecar that runs asks nobody whether a policy bundle comes into force', 'start it again: it runs by an earlier configuration or trust folder')];
    return [said.ok ? ok(NAME, said.message) : failed(NAME, said.message, 'have them look at it and decide:  countersign policy proposed   then   countersign policy approve DIGEST   (--ssh-key FILE where ssh is asked for)')];
  } catch (error) {
    return [unknown(NAME, `the sidecar does not answer: ${error instanceof Error ? error.message : String(error)}`, 'start it: it says whether a policy bundle waits for people')];
  }
}
