/** `--interactive`: whoever sits at the terminal decides, as the approver whose turn it is, on the plan as an approver sees it. */
import { stderr, stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline/promises';
import { describeChange } from '../../src/cli/describe.ts';
import { openOutput, plain } from '../../src/cli/output.ts';
import { differingField } from '../../src/cli/shown-plan.ts';
import type { ChangeView, Client } from '../../src/client/index.ts';
import { tellStory } from '../../src/evidence/story.ts';
import { check } from './check.ts';
import { bold, dim, say } from './say.ts';

/** She has said no: the change is rejected, and its case is over. */
export class Rejected extends Error {
  readonly who: string;
  constructor(who: string, changeId: string) {
    super(`${who} has rejected ${changeId}`);
    this.name = 'Rejected';
    this.who = who;
  }
}

/** Resolves when the person approves. @throws Rejected once her rejection is on record */
export type Ask = (client: Client, who: string, change: ChangeView) => Promise<void>;

/** Whether there is anybody to ask: who pipes something in, or what is said away, is not at a terminal. */
export const atTerminal = (): boolean => stdin.isTTY && stderr.isTTY;

const CHOICES = 'approve, reject, or show the evidence? [a/r/e] ';

/** @param leave what becomes of it where nobody answers any more (Ctrl-D) */
export function askAtTerminal({ signal, leave }: { readonly signal: AbortSignal; readonly leave: () => void }): Ask {
  const out = openOutput({ stdout, stderr, env: process.env, json: false });
  return async (client, who, change) => {
    const differing = differingField(change);
    check('what is shown beside the plan is what the plan says', differing === null, differing);
    say();
    say(`   ${bold(`You are ${who}.`)} This is the plan; you would approve exactly this, by its digest:`);
    for (const line of describeChange(change, out, { nowMs: Date.now() })) say(`   ${line}`);
    for (;;) {
      const answer = await question(`   ${who}: ${CHOICES}`, signal, leave);
      if (/^a(pprove)?$/i.test(answer)) return;
      if (/^r(eject)?$/i.test(answer)) {
        await client.reject(change.id, change.planDigest!, 'rejected at the terminal');
        throw new Rejected(who, change.id);
      }
      if (/^e(vidence)?$/i.test(answer)) await showEvidence(client, change.id);
      else say('   a: it is done · r: it is not, and nothing is given · e: what is on record so far · Ctrl-C ends the demo');
    }
  };
}

async function showEvidence(client: Client, id: string): Promise<void> {
  const { records, disclosures } = await client.evidence(id);
  for (const { record, at, text } of tellStory(records, disclosures)) say(`   ${String(record).padStart(4)}  ${dim(at)}  ${plain(text)}`);
}

/** A line of the terminal, which edits it and makes a signal of Ctrl-C. Never resolves once there is none. */
function question(text: string, signal: AbortSignal, leave: () => void): Promise<string> {
  const terminal = createInterface({ input: stdin, output: stderr, terminal: false });
  return new Promise((resolve) => {
    terminal.once('close', leave);
    terminal.question(text, { signal }).then((answer) => {
      terminal.off('close', leave);
      terminal.close();
      resolve(answer.trim());
    }, () => terminal.close());
  });
}
