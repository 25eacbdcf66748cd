/** `npm run compose:init`: what `docker-compose.yml` mounts, in ./installation, once. */
import { join } from 'node:path';
import { packageRoot } from '../demo/processes.ts';
import { say } from '../demo/say.ts';
import { layOutCompose } from './lay-out.ts';

const root = packageRoot(import.meta.dirname);
try {
  const { directory, tokens } = layOutCompose(root, join(root, 'installation'));
  say(`installation  ${directory}/`);
  say(`tokens        ${tokens}`);
  say('next:  docker compose up --build');
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
