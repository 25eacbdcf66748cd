import { simulate } from './simulate.ts';
const [from = '1', to = from] = process.argv.slice(2);
const start = process.cpuUsage();
let events = 0;
const bad: number[] = [];
const seen: Record<string, number> = {};
for (let seed = Number(from); seed <= Number(to); seed += 1) {
  const trace = from === to && process.env['TRACE'] !== undefined ? (line: string) => console.log(line) : undefined;
  const result = await simulate(seed, trace === undefined ? {} : { trace });
  events += result.events;
  for (const [k, v] of Object.entries(result.seen)) seen[k] = (seen[k] ?? 0) + v;
  if (result.violations.length > 0) {
    bad.push(seed);
    const [v] = result.violations;
    console.log(`seed ${seed} at ${v!.atMs - Date.parse('2026-11-23T09:00:00.000Z')}: [${v!.invariant}] ${v!.message.slice(0, 600)}`);
  }
}
const used = process.cpuUsage(start);
console.log(`${events} events, ${(used.user + used.system) / 1e3 / (Number(to) - Number(from) + 1)} ms CPU a seed, bad ${bad.length}`, JSON.stringify(seen));
