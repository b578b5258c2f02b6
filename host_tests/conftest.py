"""Helpers that stand beside the tests are importable from every test folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in ("unit", "property"):
    sys.path.insert(0, str(HERE / folder))
