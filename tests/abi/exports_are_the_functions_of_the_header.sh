# shellcheck shell=bash
# The library exports what the header declares, all of it under a version, and nothing else: neither the engine's
# symbols nor those of Rust.

# A function is a name before a parenthesis; a callback's type has its name before a closing one.
cc -E -P "$STAGE/include/enclave.h" | grep -oE '\benclave_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u >"$WORK/declared"
nm -D --defined-only --with-symbol-versions "$STAGE/lib/libenclave.so" | awk '$2 != "A" { print $3 }' | sort -u \
    >"$WORK/exported"
sed 's/$/@@ENCLAVE_0.1/' "$WORK/declared" >"$WORK/expected"

[[ $(wc -l <"$WORK/declared") -gt 100 ]]
diff -u --label declared --label exported "$WORK/expected" "$WORK/exported"
