/** Where traces go: the same keys in `countersign.yaml` and `executor.yaml`. */
import { z } from 'zod';

export const tracingSchema = z.strictObject({
  /** Where a collector takes OTLP over HTTP, as JSON: `http://127.0.0.1:4318/v1/traces`. No user, query or fragment. */
  endpoint: z.string().max(2_048).refine((text) => isEndpoint(text), 'an http or https URL, without user, query or fragment'),
  /** So many of the traces that begin here are written down; those that come from a caller go by what that says. */
  percent: z.int().min(0).max(100).default(100),
});
export type TracingConfig = z.infer<typeof tracingSchema>;

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '' && search === '' && hash === '';
}
