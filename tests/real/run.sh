#!/bin/sh
# Runs libraries from npm in the pool and compares what they do there with what they do in Node.
#
# ENCLAVE_INCLUDE and ENCLAVE_LIB are the directories of enclave.h and libenclave.so; CC, NODE and NPM the programs.
# It needs the network once: the packages stay in node_modules, which git ignores.
set -eu

start=$(pwd)
cd "$(dirname "$0")"
from_start() { case $1 in /*) echo "$1" ;; *) echo "$start/$1" ;; esac; }
include=${ENCLAVE_INCLUDE:+$(from_start "$ENCLAVE_INCLUDE")}
lib=${ENCLAVE_LIB:+$(from_start "$ENCLAVE_LIB")}
include=${include:-$(cd ../../include && pwd)}
lib=${lib:-$(cd ../../target/release && pwd)}
cc=${CC:-cc} node=${NODE:-node} npm=${NPM:-npm}
build=../../target/real

for program in "$cc" "$node" "$npm"; do
    command -v "$program" >/dev/null || {
        echo "tests/real: $program is needed and not there; on Debian: apt-get install gcc nodejs npm" >&2
        exit 1
    }
done
[ -e "$lib/libenclave.so" ] || {
    echo "tests/real: no libenclave.so in $lib; build it with: cargo build --release -p enclave-capi" >&2
    exit 1
}

# The copy of the lock file says what is installed: it is written last.
if ! cmp -s package-lock.json node_modules/.installed; then
    echo "Installing the libraries (about 70 MB, some seconds)"
    "$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi

rm -rf "$build"
mkdir -p "$build"
"$cc" -std=c99 -O1 -Wall -Wextra -Wpedantic -Werror -I"$include" run_real.c -o "$build/run_real" -L"$lib" -lenclave
# A library that is not installed has no file of the name that programs look for.
soname=$(LC_ALL=C readelf -d "$lib/libenclave.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
ln -s "$lib/libenclave.so" "$build/${soname:-libenclave.so}"
"$node" sources.js "$build"

for preset in strict secure standard permissive; do
    [ -e "$build/$preset.files" ] || continue
    # One word a line: the build directory and the names hold no white space.
    files=$(cat "$build/$preset.files")
    # shellcheck disable=SC2086
    TZ=UTC "$node" run_node.js "$preset" $files >>"$build/node.jsonl"
    # shellcheck disable=SC2086
    LD_LIBRARY_PATH="$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$build/run_real" "$preset" $files >>"$build/pool.jsonl" || {
        echo "tests/real: run_real has ended with $? under $preset" >&2
    }
done
"$node" check.js "$build" "$build/node.jsonl" "$build/pool.jsonl"
