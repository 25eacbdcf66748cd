/** `countersign evidence ocsf`: the records of a ledger or a pack as OCSF events, offline, once it is verified. */
import type { Command } from 'commander';
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { logIdOf, REQUIRED_BY_DEFAULT, type Checkpoint, type JsonObject } from '../../ledger/index.ts';
import { conclusionOf } from '../evidence/verification-document.ts';
import { lineOf, OCSF_VERSION } from '../reports/ocsf/event.ts';
import { toldEvents } from '../reports/ocsf/told-events.ts';
import { VERSION } from '../version.ts';
import { archives } from './archived.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import { spanOf, type SpanFlags } from './span.ts';
import { verifiedBefore, type FactsFlags } from './verified-facts.ts';
import { threadCount } from './verify-path.ts';
import type { Session } from './world.ts';
import { requirePlace, writePieces } from './write-pieces.ts';

type OcsfFlags = FactsFlags & SpanFlags & { readonly out?: string };

export function addEvidenceOcsf(evidence: Command, run: Runner): void {
  evidence
    .command('ocsf')
    .argument('<path>', 'a ledger folder, or its parent; or an evidence pack')
    .description(`tell its records as OCSF ${OCSF_VERSION} events, a line of JSON each, offline, once it is verified under your own trust`)
    .requiredOption('--trust <folder>', 'your trust folder')
    .option('--from <time>', 'of what was recorded from then on, a day or a time in UTC …')
    .option('--to <time>', '… to then, which is not included')
    .option('-o, --out <file>', 'where to write it (default: standard output)')
    .option('--as-of <time>', 'judge lateness as of then (default: the last record)')
    .option('--archive <dir>', 'where bundles and object files of it were moved to; may be given again', archives)
    .option('--no-replay', 'run no recorded policy again')
    .option('--accept-observed', 'take effects under observe as they are: WORKFLOW may hold')
    .option('--threads <n>', 'threads beside the one that has the last word (default: one for each other core, at most 8)', threadCount)
    .action(run(ocsf));
}

async function ocsf(session: Session, path: string, flags: OcsfFlags): Promise<ExitCode> {
  const { out, cwd, stdout } = session;
  const span = spanOf(flags);
  if (out.json && flags.out === undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--json goes with --out: the events themselves are lines of JSON', effect: 'Nothing was verified.' });
  const file = flags.out === undefined ? null : resolve(cwd, flags.out);
  if (file !== null) requirePlace(file, 'Nothing was verified.');
  const scratch = await mkdtemp(join(tmpdir(), 'countersign-ocsf-'));
  try {
    // What was told is known to hold only once the last record is verified: until then nobody sees it.
    const told = openLines(join(scratch, 'events.jsonl'));
    const { verification, exit } = await verifiedBefore(session, path, flags, (_isPack, claimed) => toldEvents({ log: logOf(claimed), version: VERSION, span, take: told.restarted() })).finally(told.close);
    const events = told.count();
    if (file === null) for await (const text of told.text()) stdout.write(text);
    else {
      const { bytes, sha256 } = await writePieces(file, told.pieces());
      out.document({ v: 1, file, bytes, sha256, ocsf: OCSF_VERSION, events, size: verification.head!.size, root: rootOf(verification.head!), exit });
      out.line(`${file}  ${events} events  ${bytes} bytes  sha256:${sha256}`);
    }
    if (exit !== EXIT.ok) out.say(out.bad(conclusionOf(verification, REQUIRED_BY_DEFAULT, exit)));
    return exit;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const rootOf = ({ root }: Pick<Checkpoint, 'root'>): string => `sha256:${Buffer.from(root).toString('hex')}`;
const logOf = (claimed: Checkpoint): Parameters<typeof toldEvents>[0]['log'] => ({ logId: logIdOf(claimed.origin), origin: claimed.origin, size: claimed.size, root: rootOf(claimed) });

const CHUNK_CHARS = 65_536;

interface Lines {
  /** Takes events from the first on, whatever there was before. */
  restarted(): (event: JsonObject) => void;
  count(): number;
  /** All of it is in the file. */
  readonly close: () => void;
  pieces(): AsyncIterable<Buffer>;
  text(): AsyncIterable<string>;
}

/** Lines in a file that only its owner reads. */
function openLines(path: string): Lines {
  let descriptor: number | null = null;
  let waiting = '';
  let events = 0;
  const flush = (): void => {
    for (let bytes = Buffer.from(waiting); bytes.byteLength > 0;) bytes = bytes.subarray(writeSync(descriptor!, bytes));
    waiting = '';
  };
  const close = (): void => {
    if (descriptor === null) return;
    flush();
    closeSync(descriptor);
    descriptor = null;
  };
  return {
    restarted() {
      close();
      descriptor = openSync(path, 'w', 0o600);
      events = 0;
      return (event) => {
        events += 1;
        waiting += lineOf(event);
        if (waiting.length >= CHUNK_CHARS) flush();
      };
    },
    count: () => events,
    close,
    pieces: () => createReadStream(path),
    // A character may be in two pieces.
    text: () => createReadStream(path, 'utf8'),
  };
}
