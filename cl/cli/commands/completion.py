"""`clbench completion`: the script that makes a shell complete names, options and keys."""

from __future__ import annotations

import click

_BASH = """
# What click's function lacks: bash gives it --stream=NAME as three words, and puts a space after a key or a family.
_clbench_completion_bash() {
    local COMP_CWORD=$COMP_CWORD COMP_WORDS=("${COMP_WORDS[@]}") i
    for ((i = COMP_CWORD - 1; i > 0; i--)); do
        if [[ ${COMP_WORDS[i]} == "=" && ${COMP_WORDS[i - 1]} == --* ]]; then
            COMP_WORDS=("${COMP_WORDS[@]:0:i}" "${COMP_WORDS[@]:i+1}")
            COMP_CWORD=$((COMP_CWORD - 1))
        fi
    done
    _clbench_completion "$@"
    [[ ${COMPREPLY[0]-} == *[=:/] ]] && compopt -o nospace 2> /dev/null
    return 0
}
complete -o nosort -F _clbench_completion_bash clbench
"""

_EPILOG = """\b
Enable it for good:
  bash   echo 'eval "$(clbench completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(clbench completion zsh)"' >> ~/.zshrc
  fish   clbench completion fish > ~/.config/fish/completions/clbench.fish

\b
Examples:
  clbench run -s sl<Tab>                        slca (in a new shell)
  clbench run -s slca,fi<Tab>                   slca,finetune
  clbench run -s slca --stream split-d<Tab>     split-digits
  clbench run -s slca --set ca_<Tab>            ca_epochs= ca_lr= ..."""


@click.command("completion", epilog=_EPILOG, short_help="the script that makes a shell complete names")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that completes commands, names, presets and keys in SHELL (bash needs 4.4 or newer)."""
    from click.shell_completion import get_completion_class

    from cl.cli.app import cli

    found = get_completion_class(shell)
    assert found is not None  # the choices above are click's
    script = found(cli, {}, "clbench", "_CLBENCH_COMPLETE").source()
    click.echo(script + _BASH if shell == "bash" else script)
    return 0
