/** At the end of a run: what an auditor would find in `ledger/`, with nothing but the trust folder (invariant 8). */
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { Oracle } from './oracle.ts';
import { instantDisk } from './sim-disk.ts';
import type { World } from './world.ts';

/** Lateness is judged by the oracle, which knows who was dead; for the verifier any end counts that came at all. */
const GRACE_MS = 86_400_000;

export async function judgeEvidence(world: World, oracle: Oracle): Promise<void> {
  const disk = instantDisk(world.sidecar.disk.image('seen'));
  const observed = oracle.observing.changes();
  const options = { disk, directory: 'ledger', trust: world.trust, wholeFolder: true, graceMs: GRACE_MS };
  const undone = oracle.glass.undone();
  if (observed > 0 && undone.length === 0 && !world.wildClock) {
    const workflow = (await verifyEvidence(options)).verdicts.find(({ name }) => name === 'WORKFLOW');
    const said = `${observed} effect${observed === 1 ? '' : 's'} under observe until `;
    // What an honest executor has turned down was authorised below its floor all the same.
    if (world.isLax && workflow?.status === 'fails' && workflow.message.includes('(below-floor)')) return;
    if (workflow?.status !== 'notEstablished' || !workflow.message.includes(said)) oracle.broken(21, `${said.trim()}, and WORKFLOW ${workflow?.status ?? 'is missing'}: ${workflow?.message ?? ''}`);
  }
  const { verdicts, head, replay, workflow: found } = await verifyEvidence({ ...options, acceptObserved: observed > 0, replayer: world.replayer });
  const erased = oracle.view.records().some(({ type }) => type === 'erasure');
  for (const name of ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS', 'WORKFLOW', 'REPLAY']) {
    // Where the sidecar's clock was wrong, its records say so: executors acted before they were authorised, by their own clocks.
    if (name === 'WORKFLOW' && world.wildClock) continue;
    const verdict = verdicts.find((one) => one.name === name);
    if (name === 'WORKFLOW' && undone.length > 0) {
      const said = (found?.violations ?? []).filter(({ code }) => !(world.isLax && code === 'below-floor')).map(({ code, changeId }) => `${code} ${changeId ?? ''}`);
      if (said.toSorted().join() !== undone.toSorted().join()) oracle.broken(23, `undone is ${undone.join(', ')}, and WORKFLOW says ${said.join(', ') || 'nothing'}`);
      continue;
    }
    // What an honest executor has turned down was authorised below its floor all the same.
    if (name === 'WORKFLOW' && world.isLax && verdict?.status === 'fails' && verdict.message.includes('(below-floor)')) continue;
    // A policy that was made to lie is found out by what it does, and by this as well.
    if (name === 'REPLAY' && world.liesAboutPolicy) continue;
    // Of what was erased it can be said no more; of nothing that it came out otherwise.
    if (name === 'REPLAY' && replay?.differing === 0 && (replay.same === 0 || erased)) continue;
    if (name === 'WORKFLOW' && erased && verdict?.status === 'notEstablished' && verdict.message.includes('erased') && verdict.message.includes('all else holds')) continue;
    if (verdict?.status !== 'holds') oracle.broken(8, `${name} ${verdict?.status ?? 'is missing'}: ${verdict?.message ?? ''}`);
  }
  const durable = oracle.view.records().length;
  if (head?.size !== durable) oracle.broken(8, `the published ledger has ${head?.size ?? 'no'} records, the journal ${durable}`);
}
