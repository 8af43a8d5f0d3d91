"""From raw reviews to a distilled student: every script runs as `python -m training.<name> --help`."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")  # before tqdm is first imported: the scripts write their own short lines
