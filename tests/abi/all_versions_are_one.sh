# shellcheck shell=bash
# The crates, the header, enclave.pc, the CMake package, the Go modules and the loaded library say the same; NOTICE names the engine
# that is linked.

# shellcheck source=scripts/lib.sh
. scripts/lib.sh
version=$(manifest version)
IFS=. read -r major minor patch <<<"$version"

cat >"$WORK/version.c" <<EOF
#include <stdio.h>
#include <string.h>
#include "enclave.h"
int main(void) {
    printf("%s %d %d.%d.%d\n", enclave_version(), enclave_version_number() == ENCLAVE_VERSION_NUMBER,
           ENCLAVE_VERSION_MAJOR, ENCLAVE_VERSION_MINOR, ENCLAVE_VERSION_PATCH);
    return 0;
}
EOF
cc "$WORK/version.c" -I"$STAGE/include" -L"$STAGE/lib" -lenclave -Wl,-rpath,"$STAGE/lib" -o "$WORK/version"
[[ $("$WORK/version") == "$version 1 $version" ]]

[[ $(PKG_CONFIG_PATH=$STAGE/lib/pkgconfig pkg-config --modversion enclave) == "$version" ]]
[[ -f $STAGE/lib/libenclave.so.$major.$minor.$patch ]]
[[ $(readlink "$STAGE/lib/libenclave.so.$major.$minor") == "libenclave.so.$version" ]]
[[ $(readlink "$STAGE/lib/libenclave.so") == "libenclave.so.$major.$minor" ]]
grep -q "ENCLAVE_$major\.$minor {" capi/libenclave.map

notice=$(tr -s ' \n' ' ' <NOTICE)
[[ $notice == *"crate mozjs_sys, version $(locked_version mozjs_sys),"* ]]
[[ $notice == *"crate mozjs, version $(locked_version mozjs),"* ]]
[[ $notice == *"tag mozjs-sys-v$(locked_version mozjs_sys)."* ]]

# The Go modules are released together with the library.
[[ $(sed -n 's|^\tgithub.com/enclave/enclave/bindings/go v||p' bindings/go/prometheus/go.mod) == "$version" ]]
