"""Importing the room loads neither PyAV nor Pillow nor DALI."""

from __future__ import annotations

import subprocess
import sys


def test_importing_loads_no_decoder() -> None:
    code = "import sys, fastswap.video; sys.exit(bool({'av', 'PIL', 'cv2', 'nvidia.dali'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
