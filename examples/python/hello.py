"""The smallest program: one pool, one script, its result or its error.

python hello.py '[1, 2, 3].map(n => n * n)'
"""

from __future__ import annotations

import sys

import enclave


def main() -> int:
    source = sys.argv[1] if len(sys.argv) > 1 else "`1 + 1 is ${1 + 1}`"
    with enclave.Pool("secure") as pool:
        try:
            print(pool.run(source))
        except enclave.EnclaveError as error:
            print(f"{error.status.name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
