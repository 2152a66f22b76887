
# `cargo xtask …` is completed as `cargo_xtask …`.
function __fish_complete_cargo_xtask
    set -l words (commandline -opc)
    set -e words[1..2]
    complete -C "cargo_xtask $words "(commandline -ct)
end
complete -c cargo -n '__fish_seen_subcommand_from xtask' -f -a '(__fish_complete_cargo_xtask)'
