/** What a block of shell names, without a shell that runs it. */

/** Lines as a shell has them: continued ones joined, here-documents and comments left out. */
function linesOf(block: string): string[] {
  const lines: string[] = [];
  let until: string | null = null;
  for (const line of block.replaceAll(/\\\n\s*/g, ' ').split('\n')) {
    if (until !== null) {
      if (line.trim() === until) until = null;
      continue;
    }
    until = /<<-?\s*'?(\w+)'?/.exec(line)?.[1] ?? null;
    lines.push(line);
  }
  return lines;
}

/** The words of each simple command of a line; a redirection is none of them, nor is a bare `…`, which stands for what is left out. */
function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]];
  const word = /\s*(?:(#.*$)|(&&|\|\||[;|()&])|(\d?>>?&?\s*\S+|<<?-?\s*\S+)|((?:'[^']*'|"(?:\\.|[^"])*"|\\.|[^\s'"\\;|()&<>])+))/gy;
  for (const [, , separator, , text] of line.matchAll(word)) {
    if (separator !== undefined) commands.push([]);
    else if (text !== undefined && text !== '…') commands.at(-1)!.push(text.replaceAll(/'([^']*)'|"((?:\\.|[^"])*)"/g, (_all, single?: string, double?: string) => single ?? double ?? ''));
  }
  return commands;
}

/** The arguments of each `countersign` of the block; a digest that is abridged is some digest. */
export function commandsIn(block: string): string[][] {
  const called = /\$\(([^()]*)\)/g;
  return linesOf(block).flatMap((line) => [line, ...[...line.matchAll(called)].map(([, inner]) => inner!)]).flatMap(simpleCommands).flatMap((words) => {
    const rest = words[0] === 'npx' ? words.slice(1) : words[0] === 'node' && words[1] === 'dist/src/main.js' ? ['countersign', ...words.slice(2)] : words;
    return rest[0] === 'countersign' ? [rest.slice(1).map((word) => word.replace(/^sha256:…$/, `sha256:${'0'.repeat(64)}`))] : [];
  });
}

export function namedScripts(block: string): string[] {
  return linesOf(block).flatMap(simpleCommands).flatMap(([program, verb, name]) => (program === 'npm' && verb === 'run' && name !== undefined ? [name] : []));
}
