/** The end: nothing runs any more, and the evidence is verified from its files alone; then one byte of a copy is flipped. */
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundlePath, TILE_WIDTH } from '../../../ledger/index.ts';
import { check } from '../check.ts';
import { readLedger } from '../ledger-on-disk.ts';
import { bold, say } from '../say.ts';
import type { World } from '../world.ts';

interface Verified {
  readonly exitCode: number;
  readonly output: string;
}

export async function audit(world: World): Promise<void> {
  say();
  say(bold('Verified offline: the sidecar is stopped, only files are left'));
  const { ledger, trust } = world.paths;
  const clean = await verify(world, ledger, trust);
  check('countersign verify exits 0', clean.exitCode === 0, clean.output);
  for (const line of clean.output.trimEnd().split('\n')) say(`   ${line}`);

  const copy = join(world.paths.run, 'altered-copy');
  rmSync(copy, { recursive: true, force: true });
  cpSync(ledger, copy, { recursive: true });
  const seq = flipOneByte(copy);
  const altered = await verify(world, copy, trust);
  rmSync(copy, { recursive: true, force: true });
  check('after one flipped byte, countersign verify exits 1', altered.exitCode === 1, altered.output);
  const named = altered.output.split('\n').find((line) => new RegExp(`\\brecord ${seq}\\b`).test(line));
  check(`it names record ${seq}`, named !== undefined, altered.output);
  say();
  say(bold(`One byte flipped in a copy, in record ${seq}`));
  say(`   ${named.trim()}`);
}

/** Flips one bit of the record that authorised the last step, or of the last record where nothing was authorised; returns that record's index. */
function flipOneByte(directory: string): number {
  const { records, entries } = readLedger(directory);
  const authorised = records.findLastIndex(({ type, body }) => type === 'step.authorised' && body['kind'] === 'act');
  const seq = authorised >= 0 ? authorised : records.length - 1;
  const index = Math.floor(seq / TILE_WIDTH);
  const path = join(directory, bundlePath(index, Math.min(TILE_WIDTH, records.length - index * TILE_WIDTH)));
  const bytes = readFileSync(path);
  let at = 0;
  for (let entry = index * TILE_WIDTH; entry < seq; entry += 1) at += 2 + entries[entry]!.length;
  const middle = at + 2 + Math.floor(entries[seq]!.length / 2);
  bytes[middle] = bytes[middle]! ^ 1;
  writeFileSync(path, bytes);
  return seq;
}

function verify(world: World, ledger: string, trust: string): Promise<Verified> {
  return new Promise((resolve) => {
    execFile(process.execPath, [world.paths.cli, 'verify', ledger, '--trust', trust], { timeout: 60_000 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ exitCode, output: exitCode === 0 ? stdout : `${stdout}${stderr}` });
    });
  });
}
