/** The secrets that a webhook is signed with: a private file, a line each. */
import { readSecretLines } from '../identity/private-file.ts';

/** While a receiver changes from one secret to the next, both sign. */
const SECRETS_MAX = 2;
/** The standard's bounds. */
const SECRET_BYTES = { least: 24, most: 64 };

/**
 * `whsec_…`, one or two.
 *
 * @throws PrivateFileError when the file is not its owner's alone, or holds anything else; what it holds is not quoted
 */
export function readWebhookSecrets(path: string): Promise<string[]> {
  const trouble = `holds no webhook secret: one or two lines of whsec_ and the base64 of ${SECRET_BYTES.least} to ${SECRET_BYTES.most} bytes`;
  return readSecretLines(path, { most: SECRETS_MAX, isSecret, trouble });
}

function isSecret(line: string): boolean {
  const text = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(line)?.[1];
  if (text === undefined) return false;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text && bytes.byteLength >= SECRET_BYTES.least && bytes.byteLength <= SECRET_BYTES.most;
}
