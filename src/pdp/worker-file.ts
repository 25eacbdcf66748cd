/** Where the worker's program is, for code that runs compiled and for code that runs from its TypeScript source. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The URL of a worker program that this Node can run.
 *
 * Compiled code has it beside itself. A Node that strips types runs the source; one that does not (Node 20 under a test runner)
 * takes what was last compiled of it: a test says when that is not the source any more.
 *
 * @throws Error when nothing was compiled. No worker was started.
 */
export function workerFile(own: string = import.meta.url): URL {
  if (!own.endsWith('.ts')) return new URL('./worker.js', own);
  const { typescript } = process.features as { readonly typescript?: unknown };
  if (typescript === 'strip' || typescript === 'transform') return new URL('./worker.ts', own);
  const compiled = new URL('../../dist/src/pdp/worker.js', own);
  if (!existsSync(compiled)) throw new Error(`${fileURLToPath(compiled)} is missing: run \`npm run build\` first`);
  return compiled;
}
