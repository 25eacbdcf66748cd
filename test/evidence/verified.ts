/** Writes a story as a real ledger and verifies it, as an auditor would; and what every planted violation is held to. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import type { ViolationCode } from '../../src/evidence/violation.ts';
import { storyTrust, writeStory, type Beat, type TrustEdit } from '../support/story.ts';

export type Change = (beats: readonly Beat[]) => Beat[];

export interface Case {
  readonly title: string;
  readonly code: ViolationCode;
  /** What is done to the usual story. */
  readonly change?: Change;
  /** Another story. */
  readonly beats?: () => readonly Beat[];
  readonly trust?: TrustEdit;
  readonly asOfMs?: number;
  readonly extra?: readonly DraftWithObjects[];
  readonly first?: readonly DraftWithObjects[];
  /** Where what comes before it cannot but be wrong as well. */
  readonly amongOthers?: true;
}

interface Options {
  readonly asOfMs?: number;
  readonly extra?: readonly DraftWithObjects[];
  readonly first?: readonly DraftWithObjects[];
  readonly wholeFolder?: boolean;
  readonly acceptObserved?: boolean;
}

export async function verified(beats: readonly Beat[], edit: TrustEdit = {}, { asOfMs, extra, first, wholeFolder = true, acceptObserved }: Options = {}): Promise<EvidenceVerification> {
  const directory = mkdtempSync(join(tmpdir(), 'cs-story-'));
  try {
    await writeStory(directory, beats, extra, first);
    return await verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust: storyTrust(edit), wholeFolder, ...(asOfMs === undefined ? {} : { asOfMs }), ...(acceptObserved === undefined ? {} : { acceptObserved }) });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function workflowOf({ verdicts }: EvidenceVerification): EvidenceVerification['verdicts'][number] {
  return verdicts.find(({ name }) => name === 'WORKFLOW')!;
}

/** The ledger itself holds; WORKFLOW fails, at the record and with the code that the case says. */
export async function expectCaught({ code, change = (beats) => [...beats], beats, trust = {}, amongOthers, ...options }: Case, usual: () => readonly Beat[]): Promise<void> {
  const verification = await verified(beats?.() ?? change(usual()), trust, options);
  expect(verification.verdicts.find(({ name }) => name === 'INTEGRITY')?.status).toBe('holds');
  const verdict = workflowOf(verification);
  expect(verdict.status).toBe('fails');
  const found = verification.workflow!.violations.map((violation) => violation.code);
  if (amongOthers) expect(found).toContain(code);
  else expect(found[0]).toBe(code);
  const first = verification.workflow!.violations[0]!;
  expect(verdict.seq).toBe(first.seq);
  expect(verdict.message).toContain(`record ${first.seq}: `);
}
