# shellcheck shell=bash
library=$STAGE/lib/libenclave.so
dynamic=$(readelf -dW "$library")

expect() {
    grep -qE "$1" <<<"$dynamic" || {
        echo "    $2"
        false
    }
}

expect 'SONAME.*\[libenclave\.so\.0\.1\]' "the SONAME is wrong"
expect 'FLAGS_1.*\bNODELETE\b' "it could be unloaded, under threads of the engine"
expect 'FLAGS_1.*\bNOW\b' "its symbols are bound lazily"
expect '\(SYMBOLIC\)|FLAGS.*\bSYMBOLIC\b' "another library's symbols could take the place of its own"
if grep -qE 'TEXTREL|RPATH|RUNPATH' <<<"$dynamic"; then
    echo "    it has text relocations or a search path"
    false
fi
if readelf -lW "$library" | grep -qE 'GNU_STACK.* RWE|LOAD.* RWE'; then
    echo "    it asks for memory that is writable and executable"
    false
fi
readelf -lW "$library" | grep -q GNU_RELRO
# Static TLS is scarce for a library that is loaded late.
if grep -q STATIC_TLS <<<"$dynamic"; then
    echo "    it needs static TLS"
    false
fi
# What every Linux has, and nothing that came along by accident.
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
if grep -vE '^(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|libz|ld-linux-[a-z0-9-]+)\.so\.[0-9]+$' <<<"$needed"; then
    echo "    it needs the libraries above"
    false
fi
# Stripped of all but what the loader needs.
if readelf -SW "$library" | grep -qE '\.(symtab|debug_info)\b'; then
    echo "    it is not stripped"
    false
fi
