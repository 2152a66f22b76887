
# `cargo xtask …` is completed as `cargo_xtask …`; all else as it was before.
declare -F _completion_loader >/dev/null && _completion_loader cargo
_cargo_before_xtask=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[[ $_cargo_before_xtask == _cargo_with_xtask ]] && _cargo_before_xtask=

_cargo_with_xtask() {
    if [[ $COMP_CWORD -ge 2 && ${COMP_WORDS[1]} == xtask ]]; then
        COMP_WORDS=(cargo_xtask "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _cargo_xtask cargo_xtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    elif [[ -n $_cargo_before_xtask ]]; then
        "$_cargo_before_xtask" "$@"
    fi
}
complete -o bashdefault -o default -F _cargo_with_xtask cargo
