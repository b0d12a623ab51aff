/** `tapswitch completion`: a script for the shell, made from the commands themselves. */
import { Argument, Command } from 'commander';
import { examples } from './connection.ts';
import { write } from './output.ts';

interface Words {
  /** Commands that lead here, such as "vm add"; empty for the program itself */
  readonly path: string;
  readonly words: readonly string[];
}

/** What may follow each command: its subcommands, options and fixed arguments. */
function wordsOf(command: Command, path = ''): Words[] {
  const options = command.options.flatMap(({ short, long }) => [short, long]).filter((one) => one != null);
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const names = command.commands.map((one) => one.name());
  const inherited = path === '' ? [] : ['--socket'];
  const words = [...new Set([...names, ...choices, ...options, ...inherited, '--help'])];
  return [
    { path, words },
    ...command.commands.flatMap((one) => wordsOf(one, `${path} ${one.name()}`.trimStart())),
  ];
}

function branches(tree: readonly Words[]): string {
  return tree.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`).join('\n');
}

/** The commands before the word that is completed, and those after them. */
function bashScript(program: Command): string {
  return `# bash completion of tapswitch: source <(tapswitch completion bash)
_tapswitch() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' words='' word i
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    -o|--output) COMPREPLY=($(compgen -W 'table json yaml' -- "$current")); return ;;
    --socket|--config|--file) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) continue ;; esac
    case "\${path:+$path }$word" in
      ${knownPaths(program)}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${branches(wordsOf(program))}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _tapswitch tapswitch
`;
}

function knownPaths(program: Command): string {
  return wordsOf(program)
    .filter(({ path }) => path !== '')
    .map(({ path }) => `'${path}'`)
    .join('|');
}

function zshScript(program: Command): string {
  return `#compdef tapswitch
# zsh completion of tapswitch: source <(tapswitch completion zsh)
autoload -Uz bashcompinit && bashcompinit
${bashScript(program)}`;
}

export function completionCommand(): Command {
  return new Command('completion')
    .description('print a completion script')
    .addArgument(new Argument('<shell>', 'of which shell').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      examples('source <(tapswitch completion bash)', 'source <(tapswitch completion zsh)'),
    )
    .action((shell: 'bash' | 'zsh', _options: object, command: Command) => {
      const program = command.parent as Command;
      write(shell === 'bash' ? bashScript(program) : zshScript(program));
    });
}
