# shellcheck shell=bash
# Sourced by the other scripts.

say() {
    printf 'enclave: %s\n' "$*"
}

die() {
    printf 'enclave: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# manifest FIELD: what the workspace's Cargo.toml says, the first time.
manifest() {
    sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1
}

# locked_version CRATE: the version in Cargo.lock.
locked_version() {
    awk -v crate="$1" '$1 == "name" { name = $3 } $1 == "version" && name == "\"" crate "\"" { gsub(/"/, "", $3); print $3 }' Cargo.lock
}
