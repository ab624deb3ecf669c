"""`python -m wiremask` is the command `wiremask`."""

import sys

from wiremask.proxy.cli import main

sys.exit(main())
