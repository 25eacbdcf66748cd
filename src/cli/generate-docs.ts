/**
 * Writes the documents that are made from the code: `docs/records.md`, `docs/connectors/README.md`, `docs/openapi.json`, `docs/asyncapi.json`,
 * `docs/schemas/*.json`, `docs/policy-contract.md`, `policy/schemas/*.json`; and from the policy: `policy/schemas/limits.json`, `docs/controls.md` and the codes in `docs/policy.md`. `npm run docs:build`.
 *
 * A test holds what is committed to what this makes.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { changeEventBodies } from '../change/events.ts';
import { configSchema } from '../config/schema.ts';
import { webhookAnswerSchema, webhookRequestSchema } from '../connectors/webhook/protocol.ts';
import { adoptedPartSchema } from '../evidence/adoption.ts';
import { saltedObjectSchema } from '../evidence/record.ts';
import { exceptionsFileSchema } from '../facts/exceptions.ts';
import { calendarSchema, catalogueSchema, directorySchema, inventoryFileSchema, usageFileSchema } from '../facts/schemas.ts';
import { tokensFileSchema } from '../identity/tokens.ts';
import { coalescedSchema, notificationSchema } from '../notify/payload.ts';
import { INPUTS, inputSchema, type InputName } from '../pdp/contract.ts';
import { limitsSchema } from '../pdp/limits-schema.ts';
import { acceptInputSchema, changeInputSchema, proposalSchema, reconcileInputSchema, scheduleSchema, verificationInputSchema } from '../pdp/policy-input.ts';
import { proposalStatementSchema } from '../protocol/activation.ts';
import { acceptanceSchema, decisionSchema, redecisionSchema, verificationSchema } from '../protocol/decision.ts';
import { discoveredPageSchema, discoveredReportSchema, discoverTicketSchema } from '../protocol/discovery.ts';
import { reportMessageSchema, stepEnvelopeSchema } from '../protocol/envelope.ts';
import { breakGlassStatementSchema } from '../protocol/break-glass.ts';
import { lockStatementSchema } from '../protocol/lock.ts';
import { passkeysFileSchema } from '../protocol/passkeys.ts';
import { planSchema, targetStateSchema } from '../protocol/plan.ts';
import { bundleStatementSchema } from '../protocol/policy-bundle.ts';
import { apiAnswerHeadSchema, apiCallSchema, apiRecipientSchema } from '../protocol/api-call.ts';
import { relayedMessageSchema, relayedVerdictSchema } from '../protocol/relayed-verdict.ts';
import { disclosureSchema } from '../protocol/disclosure.ts';
import { changeRequestSchema } from '../protocol/request.ts';
import { approvalSchema, approvalStatementSchema, dsseSchema, reportSchema, revokeOrderSchema, ticketSchema } from '../protocol/signed.ts';
import { standingStatementSchema } from '../protocol/standing-approval.ts';
import { executorsFileSchema, requirementsFileSchema, sidecarsFileSchema } from '../protocol/trust.ts';
import { reportLineSchema } from '../reports/jsonl.ts';
import { openApiDocument } from '../sidecar/openapi.ts';
import { approvalBodySchema, changeViewSchema, evidenceSchema, problemSchema, recordSchema } from '../sidecar/schemas.ts';
import { asyncApiDocument } from '../transport/nats/asyncapi.ts';
import { cloudEventSchema } from '../transport/nats/events.ts';
import { VERSION } from '../version.ts';
import { connectorsPage } from './connectors-page.ts';
import { controlsPage } from './controls-page.ts';
import { packageRoot } from './package.ts';
import { policyContractPage } from './policy-contract-page.ts';
import { readPolicyCodes, renderPolicyCodes } from './policy-codes.ts';
import { recordsPage } from './records-page.ts';
import { verifyDocumentSchema } from '../evidence/verification-document.ts';
import { WORDS } from './words.ts';

/** Each published schema by the name of its file. */
export const PUBLISHED_SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  'change-request': changeRequestSchema,
  'change': changeViewSchema,
  'approval-body': approvalBodySchema,
  'record': recordSchema,
  'evidence': evidenceSchema,
  'verify-output': verifyDocumentSchema,
  'problem': problemSchema,
  'plan': planSchema,
  'target-state': targetStateSchema,
  'decision': decisionSchema,
  'verification': verificationSchema,
  'schedule': scheduleSchema,
  'redecision': redecisionSchema,
  'acceptance': acceptanceSchema,
  'dsse': dsseSchema,
  'ticket': ticketSchema,
  'revoke-order': revokeOrderSchema,
  'lock-statement': lockStatementSchema,
  'approval-statement': approvalStatementSchema,
  'break-glass-statement': breakGlassStatementSchema,
  'standing-approval-statement': standingStatementSchema,
  'policy-approval-statement': proposalStatementSchema,
  'approval': approvalSchema,
  'relayed-verdict': relayedVerdictSchema,
  'relayed-message': relayedMessageSchema,
  'api-recipient': apiRecipientSchema,
  'api-call': apiCallSchema,
  'api-answer-head': apiAnswerHeadSchema,
  'cloud-event': cloudEventSchema,
  'report': reportSchema,
  'report-line': reportLineSchema,
  'discover-ticket': discoverTicketSchema,
  'discovered-page': discoveredPageSchema,
  'discovered-report': discoveredReportSchema,
  'step-envelope': stepEnvelopeSchema,
  'step-authorised': changeEventBodies['step.authorised'],
  'report-message': reportMessageSchema,
  'notification': notificationSchema,
  'notifications-coalesced': coalescedSchema,
  'webhook-request': webhookRequestSchema,
  'webhook-answer': webhookAnswerSchema,
  'object': saltedObjectSchema,
  'policy-bundle': bundleStatementSchema,
  'adopted-records': adoptedPartSchema,
  'disclosure': disclosureSchema,
  'policy-input-decide': changeInputSchema,
  'policy-input-accept': acceptInputSchema,
  'policy-input-verify': verificationInputSchema,
  'policy-input-reconcile': reconcileInputSchema,
  'proposal': proposalSchema,
  'facts-inventory': inventoryFileSchema,
  'facts-catalogue': catalogueSchema,
  'facts-directory': directorySchema,
  'facts-usage': usageFileSchema,
  'facts-calendar': calendarSchema,
  'facts-exceptions': exceptionsFileSchema,
  'trust-sidecars': sidecarsFileSchema,
  'trust-executors': executorsFileSchema,
  'trust-requirements': requirementsFileSchema,
  'trust-passkeys': passkeysFileSchema,
  'tokens': tokensFileSchema,
  'countersign.yaml': configSchema,
};

/** Every generated document: path below the package's root → text. */
export function generateDocs(): ReadonlyMap<string, string> {
  const documents = new Map<string, string>([
    ['docs/records.md', recordsPage()],
    ['docs/connectors/README.md', connectorsPage()],
    ['docs/policy-contract.md', policyContractPage()],
    ['docs/openapi.json', toText(openApiDocument())],
    ['docs/asyncapi.json', toText(asyncApiDocument(VERSION))],
  ]);
  for (const [name, schema] of Object.entries(PUBLISHED_SCHEMAS)) {
    // `io: input`: what a person may write; a default is not something she must.
    documents.set(`docs/schemas/${name}.json`, toText(z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any', io: 'input', metadata: WORDS })));
  }
  for (const name of Object.keys(INPUTS) as InputName[]) documents.set(`policy/schemas/${name}.json`, toText(inputSchema(name)));
  return documents;
}

/** Writes them, and removes schemas that are published no more. */
export async function writeDocs(root: string): Promise<void> {
  const documents = generateDocs();
  const schemas = join(root, 'docs/schemas');
  await mkdir(schemas, { recursive: true });
  for (const name of await readdir(schemas)) if (!documents.has(`docs/schemas/${name}`)) await rm(join(schemas, name));
  for (const [path, text] of documents) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  await writeFile(join(root, 'policy/schemas/limits.json'), await limitsSchemaFile(root));
  await writeFile(join(root, 'docs/controls.md'), await controlsPage(root));
  const page = join(root, 'docs/policy.md');
  const codes = renderPolicyCodes(await readPolicyCodes(root));
  await writeFile(page, (await readFile(page, 'utf8')).replace(/(<!-- codes -->\n)[^]*(\n<!-- \/codes -->)/, (_all, start: string, end: string) => `${start}${codes}${end}`));
}

/** What `policy/schemas/limits.json` is to hold. */
export async function limitsSchemaFile(root: string): Promise<string> {
  const { limits } = parse(await readFile(join(root, 'policy/data/limits.yaml'), 'utf8')) as { readonly limits: unknown };
  return toText(limitsSchema(limits));
}

function toText(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeDocs(packageRoot());
