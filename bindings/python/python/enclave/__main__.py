"""`python -m enclave`."""

import sys

from enclave._cli import main

if __name__ == "__main__":
    sys.exit(main())
