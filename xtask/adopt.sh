#!/bin/sh
# Brings the tool into another repository: sh slipway/xtask/adopt.sh [--aws] FOLDER
#
# Nothing that is there is written over: a file of the same name with other content ends it before anything is
# written, and to `.gitignore` and `.dockerignore` only lines are added. See docs/existing-repository.md.
set -eu

fail() {
    echo "error: $1" >&2
    exit "${2:-3}"
}

aws=
if [ "${1:-}" = --aws ]; then
    aws=1
    shift
fi
[ $# -eq 1 ] || fail "expected one folder: sh $0 [--aws] FOLDER" 2
from=$(cd "$(dirname "$0")/.." && pwd -P)
[ -d "$1" ] || fail "there is no folder \`$1\`"
to=$(cd "$1" && pwd -P)
[ "$from" != "$to" ] || fail "\`$1\` is the repository that this belongs to"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What is copied as it is. The tool's own tests are about the services of its repository.
paths='.cargo/config.toml xtask/Cargo.toml xtask/clippy.toml xtask/src xtask/benches xtask/crates helm
deploy/images.toml deploy/tools.toml deploy/environments/local.toml deploy/environments/containers.toml
deploy/environments/cluster.toml docs/reference.md docs/system.schema.json docs/environment.schema.json'
[ -z "$aws" ] || paths="$paths deploy/environments/aws.toml deploy/prices.toml terraform"
for path in $paths; do
    [ -e "$from/$path" ] || fail "\`$path\` is missing where this comes from"
done
# shellcheck disable=SC2086 # a list of words, none of which has a space
files=$(cd "$from" && find $paths -type f ! -name '*.local.toml' ! -name '*.tfstate*' ! -path '*/.terraform/*' | sort)

# A workspace of the tool alone, made of the one that it comes from: its packages by name, and what these share.
shared=$(cd "$from" && cat xtask/Cargo.toml xtask/crates/*/Cargo.toml | sed -n 's/^\([a-z0-9_-]*\)\.workspace = true.*/\1/p' | sort -u)
awk -v shared="$shared" '
    BEGIN { count = split(shared, names, "\n"); for (i = 1; i <= count; i++) takes[names[i]] = 1 }
    /^\[/ {
        section = $0
        kept = section ~ /^\[workspace/ || section ~ /^\[profile\.xtask/
        if (kept && section != "[workspace]") print (section ~ /^\[profile.*package/ ? "" : "\n") section
        if (section == "[workspace]") print "[workspace]\nresolver = \"3\"\nmembers = ["
        next
    }
    section == "[workspace]" {
        if (/^default-members/) { print "]\ndefault-members = [\"xtask\"]"; section = "" }
        else if (/^ *"xtask/) print
        next
    }
    !kept || /^#/ || /^$/ { next }
    section == "[workspace.dependencies]" && !($1 in takes) { next }
    section != "" { print }
' "$from/Cargo.toml" >"$made/Cargo.toml"

taken=
for file in $files; do
    if [ -e "$to/$file" ] && ! cmp -s "$from/$file" "$to/$file"; then
        taken="$taken $file"
    fi
done
own=
if [ -e "$to/Cargo.toml" ] && ! cmp -s "$made/Cargo.toml" "$to/Cargo.toml"; then
    own=1
    # What `cargo build` means there stays theirs.
    sed -i.bak '/^default-members/d' "$made/Cargo.toml"
    [ ! -e "$to/xtask/workspace.toml" ] || cmp -s "$made/Cargo.toml" "$to/xtask/workspace.toml" || taken="$taken xtask/workspace.toml"
fi
config=
case " $taken " in
*' .cargo/config.toml '*)
    # Theirs stays, and is told what it lacks.
    config=1
    taken=$(echo "$taken" | sed 's| \.cargo/config\.toml||')
    files=$(echo "$files" | grep -vx '\.cargo/config\.toml')
    ;;
esac
[ -z "$taken" ] || fail "there already, and other than here:$taken; nothing was written"

# What an image at the root would otherwise be made of: what is the tool's alone.
hidden='.slipway target/xtask target/*/xtask'
for folder in xtask deploy helm; do
    [ -e "$to/$folder" ] || hidden="$hidden $folder"
done

for file in $files; do
    mkdir -p "$to/$(dirname "$file")"
    [ -e "$to/$file" ] || cp -p "$from/$file" "$to/$file"
done
mkdir -p "$to/deploy/systems"
if [ -n "$own" ]; then
    cp "$made/Cargo.toml" "$to/xtask/workspace.toml"
else
    cp "$made/Cargo.toml" "$to/Cargo.toml"
    # The versions that the tool was tested with; cargo drops those that are the services' alone.
    [ -e "$to/Cargo.lock" ] || cp "$from/Cargo.lock" "$to/Cargo.lock"
fi
# Adds lines to a file, each once.
add() {
    touch "$to/$1"
    # Its last line may have no end.
    [ -z "$(tail -c 1 "$to/$1")" ] || echo >>"$to/$1"
    while read -r line; do
        grep -qxF -e "$line" "$to/$1" || echo "$line" >>"$to/$1"
    done
}
add .gitignore <"$from/.gitignore"
if [ -e "$to/Dockerfile" ]; then
    echo "$hidden" | tr ' ' '\n' | add .dockerignore
fi

echo "the tool is in $to"
if [ -n "$own" ]; then
    echo "its Cargo.toml stays as it is: add what xtask/workspace.toml has (members, dependencies, lints, profiles), then remove that file"
fi
if [ -n "$config" ]; then
    echo "its .cargo/config.toml stays as it is: add what follows"
    cat "$from/.cargo/config.toml"
fi
echo "next, there: cargo xtask add FOLDER_WITH_A_DOCKERFILE, or the path of a compose file"
