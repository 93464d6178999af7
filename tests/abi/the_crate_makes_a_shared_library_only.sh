# shellcheck shell=bash
# A static library would carry the engine's `abort` and `getenv` into the host, and exist twice in a process.
kinds=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "enclave-capi":
        for target in package["targets"]:
            if "custom-build" not in target["kind"]:
                print(target["name"], *target["crate_types"])')
[[ $kinds == "enclave cdylib" ]] || {
    echo "    the targets of enclave-capi are: $kinds"
    false
}
