"""What each shell is given to complete `railyard` with; all of them ask `railyard __complete`."""

from __future__ import annotations

_BASH = r"""# bash completion for railyard: source <(railyard completion bash)
_railyard() {
    local line directive="" IFS=$'\n'
    COMPREPLY=()
    for line in $(railyard __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
        case $line in
            :*) directive=$line ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done
    if [[ $directive == :0 && ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o default 2>/dev/null
    fi
}
complete -F _railyard railyard
"""

_ZSH = r"""#compdef railyard
# zsh completion for railyard: source <(railyard completion zsh)
_railyard() {
    local line directive
    local -a found
    for line in "${(@f)$(railyard __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            :*) directive=$line ;;
            *) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    if (( $#found )); then
        _describe railyard found
    fi
    if [[ $directive == :0 ]]; then
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _railyard "$@"
else
    compdef _railyard railyard
fi
"""

_FISH = r"""# fish completion for railyard: railyard completion fish | source
function __railyard_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (railyard __complete $words[2..-1] 2>/dev/null)
        switch $line
            case ':0'
                __fish_complete_path (commandline -ct)
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c railyard -f -a '(__railyard_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
