"""`python -m genoci`, the same as `genoci`."""

from __future__ import annotations

import sys

from genoci.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
