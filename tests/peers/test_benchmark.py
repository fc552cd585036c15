"""The benchmark of peers from end to end, with a model that takes seconds."""

import sys

from tests.peers.nnunet_models import model_of
from tests.peers.programs import NEED_PEERS, PEERS, call

pytestmark = NEED_PEERS
CONTESTANTS = (
    "nnU-Net",
    "nnU-Net, not mirrored",
    "MONAI",
    "LeanSeg exact",
    "LeanSeg exact, not mirrored",
    "LeanSeg fast",
)


def test_all_label_one_ct_and_are_set_side_by_side(theirs, tmp_path):
    output, image = tmp_path / "out", theirs / "images" / "phantom_0000.nii.gz"
    words = ["--output", output, "--model", model_of("isotropic", theirs), "--image", image]
    words += ["--python", PEERS, "--repeats", 1, "--threads", 1, "--contestants", *CONTESTANTS]
    table = call(sys.executable, "-m", "eval", "benchmark", "peers", *words)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    agreement = {row[0]: float(row[11]) for row in rows if row[0] in CONTESTANTS and len(row) > 11}
    assert agreement.keys() == set(CONTESTANTS)
    assert agreement["nnU-Net"] == 1.0
    assert agreement["LeanSeg exact"] > 0.99
    # MONAI mirrors nothing and resamples otherwise, but it is the same network on the same CT.
    assert agreement["MONAI"] > 0.85
    assert (output / "peers.png").is_file()
    assert (output / "peers.md").read_text(encoding="utf-8") == table
