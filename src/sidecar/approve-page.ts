/** The page for approvers, as it was built: one file that asks this sidecar alone. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { defaultPolicyDirectory } from './default-policy.ts';

export interface ApprovePage {
  readonly html: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the package has it, once it is built. */
export function builtApprovePage(): string {
  return join(dirname(dirname(defaultPolicyDirectory())), 'dist', 'approve.html');
}

/** null where it is not built. The policy in its head holds in the answer's too, with what only a header can say: nobody frames it. */
export async function readApprovePage(path: string): Promise<ApprovePage | null> {
  const html = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (html === null) return null;
  const own = /<meta http-equiv="Content-Security-Policy" content="([^"]+)">/.exec(html.subarray(0, 2_048).toString('utf8'))?.[1];
  if (own === undefined) throw new Error(`${path} has no policy of its own`);
  return {
    html,
    headers: {
      'content-type': 'text/html; charset=utf-8', 'content-length': String(html.byteLength), 'content-security-policy': `${own}; frame-ancestors 'none'`,
      'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin',
      'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
    },
  };
}
