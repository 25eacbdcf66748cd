/** Where the worker's program is, for code that runs compiled and for code that runs from its TypeScript source. */
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Everything the worker is made of: the compiled program stands in for the sources only while it is not older than any of these. */
const PARTS = ['worker', 'evaluator', 'fault'];

/**
 * The URL of a worker program that this Node can run.
 *
 * Compiled code has it beside itself. A Node that strips types runs the source; one that does not (Node 20 under a test runner)
 * takes the compiled program of the same sources.
 *
 * @throws Error when there is no compiled program, or it is older than its sources. No worker was started.
 */
export function workerFile(own: string = import.meta.url): URL {
  if (!own.endsWith('.ts')) return new URL('./worker.js', own);
  const { typescript } = process.features as { readonly typescript?: unknown };
  if (typescript === 'strip' || typescript === 'transform') return new URL('./worker.ts', own);
  const compiled = new URL('../../dist/src/pdp/worker.js', own);
  if (!existsSync(compiled)) throw new Error(`${fileURLToPath(compiled)} is missing: run \`npm run build\` first`);
  for (const part of PARTS) {
    const source = modifiedMs(new URL(`./${part}.ts`, own));
    if (modifiedMs(new URL(`../../dist/src/pdp/${part}.js`, own)) < source) {
      throw new Error(`${fileURLToPath(compiled)} is older than src/pdp/${part}.ts: run \`npm run build\` first`);
    }
  }
  return compiled;
}

function modifiedMs(file: URL): number {
  return statSync(file).mtimeMs;
}
