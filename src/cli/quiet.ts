import type { Logger } from '../engine/ports.ts';

/** For what a command opens: it says itself what went wrong, once. */
export const QUIET: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
