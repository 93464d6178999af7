# shellcheck shell=bash
# DESTDIR stands before everything and appears in no file; LIBDIR may lie elsewhere, and below it the paths still hold.

root=$WORK/root
make -s install DESTDIR="$root" PREFIX=/opt/enclave LIBDIR=/opt/enclave/lib/multi/arch
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
version=$(manifest version)

cat >"$WORK/expected_files" <<EOF
/opt/enclave/include/enclave.h
/opt/enclave/lib/multi/arch/cmake/Enclave/EnclaveConfig.cmake
/opt/enclave/lib/multi/arch/cmake/Enclave/EnclaveConfigVersion.cmake
/opt/enclave/lib/multi/arch/libenclave.so
/opt/enclave/lib/multi/arch/libenclave.so.${version%.*}
/opt/enclave/lib/multi/arch/libenclave.so.$version
/opt/enclave/lib/multi/arch/pkgconfig/enclave.pc
/opt/enclave/lib/multi/libexec/enclave/enclave-worker
/opt/enclave/share/doc/enclave/LICENSE-APACHE
/opt/enclave/share/doc/enclave/LICENSE-MIT
/opt/enclave/share/doc/enclave/NOTICE
EOF
(cd "$root" && find . ! -type d | sed 's/^\.//' | sort) | diff -u "$WORK/expected_files" -

pc=$(PKG_CONFIG_PATH=$root/opt/enclave/lib/multi/arch/pkgconfig pkg-config --cflags --libs enclave)
[[ $(xargs <<<"$pc") == "-I/opt/enclave/include -L/opt/enclave/lib/multi/arch -lenclave" ]]
grep -q '/\.\./\.\./\.\./include"' "$root/opt/enclave/lib/multi/arch/cmake/Enclave/EnclaveConfig.cmake"
if grep -rlE "@|$root|$PWD" "$root" --include='*.pc' --include='*.cmake'; then
    echo "    the files above hold a path of the build, or what was not filled in"
    false
fi
