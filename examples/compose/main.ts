/** `npm run compose:init`: what `docker-compose.yml` mounts, in ./installation, once. */
import { join } from 'node:path';
import { packageRoot } from '../demo/processes.ts';
import { say } from '../demo/say.ts';
import { layOutCompose } from './lay-out.ts';

/** Whom the containers run as where nothing else is said: keys are readable by their owner alone. */
const COMPOSE_UID = 1000;
const root = packageRoot(import.meta.dirname);
try {
  const { directory, tokens } = layOutCompose(root, join(root, 'installation'));
  say(`installation  ${directory}/`);
  say(`tokens        ${tokens}`);
  const uid = process.getuid?.() ?? COMPOSE_UID;
  say(`next:  ${uid === COMPOSE_UID ? '' : `COUNTERSIGN_UID=${uid} `}docker compose up --build`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
