"""`python -m tools.mutants`."""

import sys

from tools.mutants.cli import main

sys.exit(main())
