"""The README's lines of Python, in a clone; `test_installed.py` runs them with the installed package."""

import os
import re
import shutil
import subprocess
import sys

from tests.places import ROOT, real_data


def test_the_readmes_lines_of_python(tmp_path):
    shutil.copy(real_data("ct_abdomen/ct_0000.nii.gz"), tmp_path / "my_ct.nii.gz")
    (source,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    ran = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "labels.nii.gz").exists()
