# shellcheck shell=bash
# shellcheck disable=SC2164 # tests run with -e
# Alone, twice, and in two translation units of one program, by gcc and clang, without a warning.

cd "$WORK"
clang=$(command -v clang-19 || command -v clang)
printf '#include "enclave.h"\n' >alone.c
printf '#include "enclave.h"\n#include "enclave.h"\nint twice(void);\nint twice(void) { return ENCLAVE_OK; }\n' >twice.c
printf '#include <enclave.h>\nint twice(void);\nint main(void) { return twice(); }\n' >main.c
sed 's/^int twice/extern "C" int twice/; s/(void)/()/g' twice.c >twice.cc
sed 's/^int twice/extern "C" int twice/; s/(void)/()/g' main.c >main.cc
cp alone.c alone.cc

# check COMPILER LANGUAGE STANDARD
check() {
    local options=(-std="$3" -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Werror -I"$STAGE/include") suffix=c
    if [[ $2 == c++ ]]; then
        suffix=cc
        options+=(-Wold-style-cast -Wzero-as-null-pointer-constant)
    else
        options+=(-Wstrict-prototypes -Wmissing-prototypes)
    fi
    if ! "$1" "${options[@]}" -fsyntax-only "alone.$suffix" ||
        ! "$1" "${options[@]}" "twice.$suffix" "main.$suffix" -o program || ! ./program; then
        echo "    with $1 -std=$3"
        false
    fi
}

for standard in c99 c11 c17 c2x; do
    check gcc c $standard
    check "$clang" c $standard
done
for standard in c++11 c++14 c++17 c++20 c++2b; do
    check g++ c++ $standard
    check "${clang/clang/clang++}" c++ $standard
done
