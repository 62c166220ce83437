"""`python -m inference`: the command line."""

import sys

from inference.cli import main

sys.exit(main())
