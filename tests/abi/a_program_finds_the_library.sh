# shellcheck shell=bash
# By pkg-config and by CMake's find_package, each also when the installation has been moved.

program=examples/c/hello/hello.c
moved=$WORK/moved
cp -a "$STAGE" "$moved"

by_pkg_config() {
    local flags
    flags=$(PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --define-prefix --cflags --libs enclave)
    # shellcheck disable=SC2086
    cc -std=c99 $program $flags -Wl,-rpath,"$1/lib" -o "$WORK/by_pkg_config"
    [[ $("$WORK/by_pkg_config" '6 * 7') == 42 ]]
}

mkdir "$WORK/project"
cat >"$WORK/project/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(Enclave 0.1 REQUIRED)
find_package(Enclave 0.1 REQUIRED)
add_executable(by_cmake $PWD/$program)
target_link_libraries(by_cmake PRIVATE Enclave::enclave)
EOF

by_cmake() {
    rm -rf "$WORK/cmake"
    cmake -S "$WORK/project" -B "$WORK/cmake" -DCMAKE_PREFIX_PATH="$1" >/dev/null
    cmake --build "$WORK/cmake" >/dev/null
    [[ $("$WORK/cmake/by_cmake" '6 * 7') == 42 ]]
}

# refuses VERSION
refuses() {
    sed "s/Enclave 0.1/Enclave $1/" "$WORK/project/CMakeLists.txt" >"$WORK/refused/CMakeLists.txt"
    ! cmake -S "$WORK/refused" -B "$WORK/refused/build" -DCMAKE_PREFIX_PATH="$STAGE" >/dev/null 2>&1
}

for installation in "$STAGE" "$moved"; do
    by_pkg_config "$installation"
    by_cmake "$installation"
done
mkdir "$WORK/refused"
for version in 0.2 0.0.9 1.0; do
    refuses $version || {
        echo "    CMake takes it for version $version"
        false
    }
done
