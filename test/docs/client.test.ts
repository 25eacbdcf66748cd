/** `docs/client.md`: what it shows is what the client takes, by its types. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGE = readFileSync(join(ROOT, 'docs/client.md'), 'utf8');
/** What a reader has of her own. */
const HERS = 'declare const token: string;\ndeclare const runId: string;\n';

/** What the compiler has against these modules, each with the place in it. */
function troublesOf(modules: readonly string[]): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: { compilerOptions: object } };
  const { options } = ts.convertCompilerOptionsFromJson({
    ...config.compilerOptions, noEmit: true, incremental: false, tsBuildInfoFile: undefined, noUnusedLocals: false,
    paths: { countersign: ['./src/client/index.ts'], 'countersign/ledger': ['./ledger/index.ts'] },
  }, ROOT);
  const texts = new Map(modules.map((text, index) => [join(ROOT, `docs/client-${index}.ts`), text]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path) ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => (texts.has(path) ? ts.createSourceFile(path, texts.get(path)!, version) : getSourceFile(path, version, ...rest));
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  });
}

it('shows what the client takes and gives', () => {
  const blocks = [...PAGE.matchAll(/^```ts\n([^]*?)\n```$/gm)].map(([, text]) => `${HERS}${text!}\n`);
  expect(blocks.length).toBeGreaterThan(4);
  // The last is wrong: a compiler that looks at nothing would have nothing against it.
  const said = troublesOf([...blocks, `import type { Client } from 'countersign';\nexport const wrong = (client: Client) => client.approve('chg', 'sha256:', 'why', { passkey: 'no' });\n`]);
  expect(said).toEqual([expect.stringContaining("Type 'string' is not assignable to type") as string]);
}, 60_000);
