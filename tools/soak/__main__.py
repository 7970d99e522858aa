"""`python -m tools.soak`, or the path of this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when it is run by its path

from tools.soak.cli import main

sys.exit(main())
