import type { Refusal } from './signed.ts';

/** A document that cannot be believed. `code` says which check it failed; nothing was done on its account. */
export class ProtocolError extends Error {
  readonly code: Refusal;
  constructor(code: Refusal, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProtocolError';
    this.code = code;
  }
}
