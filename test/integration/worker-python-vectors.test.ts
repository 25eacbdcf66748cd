/** The worker in Python, which has none of our code, gives the answers that the vectors ask for. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasPython, runPython } from '../support/python.ts';

const VECTORS = join(import.meta.dirname, '../vectors/protocol');

describe.skipIf(!hasPython())('the worker in Python', () => {
  test('passes every vector', () => {
    const { exitCode, stdout } = runPython(['-m', 'countersign_worker.vectors', VECTORS]);
    expect(stdout).toMatch(/^[1-9]\d{2,} vectors, 0 failed\n$/);
    expect(exitCode).toBe(0);
  });

  test('and would not pass them with another answer in one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-vectors-'));
    try {
      await cp(VECTORS, folder, { recursive: true });
      const one = join(folder, 'steps/admitted-grant.json');
      await writeFile(one, (await readFile(one, 'utf8')).replace('"now": "2026-11-23T19:00:01.000Z"', '"now": "2026-11-24T19:00:01.000Z"'));
      const { exitCode, stdout } = runPython(['-m', 'countersign_worker.vectors', folder]);
      expect(stdout).toContain('steps/admitted-grant.json');
      expect(stdout).toMatch(/ vectors, 1 failed\n$/);
      expect(exitCode).toBe(1);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
