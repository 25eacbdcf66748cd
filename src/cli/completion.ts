/** `countersign completion SHELL`: a script that completes commands and options. Made from the commands themselves, it starts nothing at a keystroke. */
import { Argument, type Command, type Option } from 'commander';
import { EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What can come after a command: of one without commands of its own, arguments, of which the shell completes files. */
export interface Outline {
  /** `countersign`, `countersign changes`, `countersign changes list`, … */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  /** What may stand for an argument of it that is one of few: `population` of `report`. */
  readonly values: readonly string[];
  readonly options: readonly OutlinedOption[];
}
export interface OutlinedOption {
  /** `--json`; both, where there is a short one. */
  readonly flags: readonly string[];
  readonly description: string;
  /** `nothing` follows it, or one of these values, or something that only who types it knows. */
  readonly takes: 'nothing' | 'anything' | readonly string[];
}

export function addCompletion(program: Command, run: Runner): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which shell the script is for').choices(SHELLS))
    .description('print a script that completes commands and options in your shell')
    .addHelpText('after', '\nbash: source <(countersign completion bash)\nzsh:  source <(countersign completion zsh)   # after compinit\nfish: countersign completion fish | source')
    .action(run((session: Session, shell: Shell) => Promise.resolve(printScript(session, shell, program))));
}

function printScript(session: Session, shell: Shell, program: Command): ExitCode {
  const script = completionScript(shell, outlineOf(program));
  session.out.document({ shell, script });
  session.out.line(script);
  return EXIT.ok;
}

/** Every command with what can come after it, the program first. */
export function outlineOf(command: Command, path = command.name()): Outline[] {
  const commands = command.commands.filter((inner) => inner.name() !== 'help');
  const help: OutlinedOption = { flags: ['-h', '--help'], description: 'what it does, and what it takes', takes: 'nothing' };
  const here: Outline = {
    path,
    commands: commands.map((inner) => ({ name: inner.name(), description: firstLine(inner.description()) })),
    values: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    options: [...command.options.filter(({ hidden }) => !hidden).map(optionOf), help],
  };
  return [here, ...commands.flatMap((inner) => outlineOf(inner, `${path} ${inner.name()}`))];
}

function optionOf({ short, long, description, argChoices, required, optional }: Option): OutlinedOption {
  const flags = [short, long].filter((flag) => flag !== undefined);
  return { flags, description: firstLine(description), takes: argChoices ?? (required || optional ? 'anything' : 'nothing') };
}

const firstLine = (text: string): string => text.split('\n')[0]!;

/** The whole script, to be sourced. */
export function completionScript(shell: Shell, outlines: readonly Outline[]): string {
  switch (shell) {
    case 'bash':
      return forBash(outlines);
    case 'zsh':
      return forZsh(outlines);
    case 'fish':
      return forFish(outlines);
  }
}

const inner = (outlines: readonly Outline[]): Outline[] => outlines.slice(1);
/** For bash, zsh and sh: nothing in it is expanded. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const wordsOf = ({ commands, values, options }: Outline): string => [...commands.map(({ name }) => name), ...values, ...options.flatMap(({ flags }) => flags)].join(' ');

function forBash(outlines: readonly Outline[]): string {
  const valued = (takes: (option: OutlinedOption) => boolean): string[] => outlines.flatMap(({ path, options }) => options.filter(takes).flatMap(({ flags }) => flags.map((flag) => quoted(`${path} ${flag}`))));
  const anything = valued(({ takes }) => takes === 'anything');
  const chosen = outlines.flatMap(({ path, options }) =>
    options.flatMap(({ flags, takes }) => (typeof takes === 'string' ? [] : flags.map((flag) => `    ${quoted(`${path} ${flag}`)}) words=${quoted(takes.join(' '))} ;;`))));
  return `_countersign() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path=countersign words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${inner(outlines).map(({ path }) => quoted(path)).join('|')}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$path \${COMP_WORDS[COMP_CWORD-1]}" in
${anything.length === 0 ? '' : `    ${anything.join('|')}) return ;;\n`}${chosen.join('\n')}
  esac
  [[ -n $words ]] || case "$path" in
${outlines.map((outline) => `    ${quoted(outline.path)}) words=${quoted(wordsOf(outline))} ;;`).join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _countersign countersign`;
}

/** @see `man zshcompsys`, `_describe`: a colon ends the word, and one in it is escaped */
function forZsh(outlines: readonly Outline[]): string {
  const item = (word: string, description: string): string => quoted(`${word.replaceAll(':', '\\:')}:${description}`);
  const itemsOf = ({ commands, values, options }: Outline): string => [
    ...commands.map(({ name, description }) => item(name, description)), ...values.map(quoted),
    ...options.flatMap(({ flags, description }) => flags.map((flag) => item(flag, description))),
  ].join(' ');
  const cases = outlines.flatMap(({ path, options }) => options.flatMap(({ flags, takes }) => (takes === 'nothing' ? [] : flags.map((flag) =>
    `    ${quoted(`${path} ${flag}`)}) ${takes === 'anything' ? '_files' : `compadd -- ${takes.map(quoted).join(' ')}`}; return ;;`))));
  return `#compdef countersign
_countersign() {
  local at=countersign word
  local -a items
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      ${inner(outlines).map(({ path }) => quoted(path)).join('|')}) at="$at $word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${cases.join('\n')}
  esac
  case "$at" in
${outlines.map((outline) => `    ${quoted(outline.path)}) items=(${itemsOf(outline)}) ;;`).join('\n')}
  esac
  _describe countersign items || _files
}
compdef _countersign countersign`;
}

function forFish(outlines: readonly Outline[]): string {
  const fish = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const at = (path: string): string => `-n ${fish(`__countersign_at ${path}`)}`;
  const lines = outlines.flatMap(({ path, commands, values, options }) => [
    ...commands.map(({ name, description }) => `complete -c countersign -f ${at(path)} -a ${fish(name)} -d ${fish(description)}`),
    ...values.map((value) => `complete -c countersign ${at(path)} -a ${fish(value)}`),
    ...options.map(({ flags, description, takes }) => {
      const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
      return `complete -c countersign ${at(path)} ${named}${takes === 'nothing' ? '' : takes === 'anything' ? ' -r' : ` -x -a ${fish(takes.join(' '))}`} -d ${fish(description)}`;
    }),
  ]);
  return `function __countersign_at
  set -l here countersign
  for word in (commandline -opc)[2..-1]
    contains -- "$here $word" ${inner(outlines).map(({ path }) => fish(path)).join(' ')}; and set here "$here $word"
  end
  test "$here" = "$argv"
end
${lines.join('\n')}`;
}
