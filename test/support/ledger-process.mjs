// A process that writes a small ledger into the directory it is given, and says on stdout what it has promised: each head it signs, each record
// that was acknowledged, each erasure that is done. It begins when told to, on stdin.
import { writeSync } from 'node:fs';
import { digestOf, generateSignerKey, nodeDisk, openLog, parseSigner, sha256 } from '../../dist/ledger/index.js';

const [directory, origin, records] = process.argv.slice(2);
const say = (...words) => writeSync(1, `${words.join(' ')}\n`);
const signer = parseSigner(generateSignerKey(origin, sha256(Buffer.from(origin))).skey);
const noting = {
  ...signer,
  sign(message) {
    const text = Buffer.from(message).toString('utf8');
    if (!text.startsWith('countersign/base/')) say('signed', ...text.split('\n').slice(1, 3));
    return signer.sign(message);
  },
};

const objectOf = (i) => Buffer.from(JSON.stringify({ salt: `salt ${i}` }));
const draftOf = (i, more) => ({ v: 1, change: `chg_${i % 3}`, type: 'policy.decided', at: new Date(1_790_000_000_000 + i).toISOString(), actor: 'sidecar:test', body: { i }, objects: [], ...more });

async function live() {
  const log = await openLog({
    origin, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: noting, now: () => Date.now(),
    pace: { baseEveryRunning: 4, baseEveryClosing: 2, journalFileBytes: 2_000 }, reserveBytes: 65_536,
  });
  say('opened', log.size);
  try {
    for (let i = log.size; i < Number(records); i++) {
      if (i === 4) {
        await log.append([draftOf(i, { change: null, type: 'erasure', body: { i, erased: [digestOf(objectOf(2))] } })]).durable;
        say('acknowledged', i);
        await log.erase([digestOf(objectOf(2))]);
        say('erased', 2);
        continue;
      }
      const objects = i % 2 === 0 ? [objectOf(i)] : [];
      await log.append([draftOf(i, { objects: objects.map((object) => digestOf(object)) })], { objects, checkpoint: i % 3 === 0 }).durable;
      say('acknowledged', i);
    }
  } finally {
    await log.close();
  }
}

say('ready');
process.stdin.once('data', () => {
  live().then(() => say('closed'), (error) => say('stopped', error.code ?? error.name)).finally(() => process.stdin.destroy());
});
