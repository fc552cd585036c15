"""How the engine is started; that it labels is shown where commands are tested."""

import pytest

from training.child_programs import Programs
from training.engine import EngineOptions, label_images


class Done:
    """A program that has ended well."""

    def wait(self):
        return 0


@pytest.mark.parametrize(
    ("device", "gpus", "told"),
    [
        (None, (3,), ["--device", "cuda"]),
        ("auto", (3,), ["--device", "cuda"]),
        ("cpu", (3,), ["--device", "cpu"]),
        (None, (), []),
        ("auto", (), ["--device", "auto"]),
    ],
)
def test_gpus_that_are_named_must_work(tmp_path, monkeypatch, device, gpus, told):
    """Else the engine would go on with the processor where there is no GPU."""
    calls = []
    monkeypatch.setattr(Programs, "start", lambda _, words, gpus: calls.append(list(words)) or Done())
    label_images([tmp_path / "0"], tmp_path / "out", tmp_path / "b", EngineOptions(device=device), gpus)
    (words,) = calls
    at = words.index("--device") if "--device" in words else len(words)
    assert words[at : at + 2] == told
