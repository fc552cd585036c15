"""One predictor in several threads, watched, ended in the middle of a case, and closed by a block."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference.predictor import Predictor
from inference.runtime.session_pool import Sessions
from model.manifest.tiling import CentreFirst
from tests.inference.bundles import abdomen, hu, make_bundle, member
from tests.inference.small_cases import volume_of

SPACING = (2.5, 1.5, 1.0)


@pytest.mark.parametrize("device", ["onnxruntime", "openvino"])
def test_each_thread_gets_the_labels_of_its_own_image(device, tmp_path):
    """Two images, the second one the first upside down; each four times, two at a time."""
    pytest.importorskip(device)
    upright = abdomen((24, 80, 96))
    truths = [upright, np.ascontiguousarray(upright[::-1])] * 4
    predictor = Predictor(make_bundle(tmp_path / "b"), device=device, threads=1)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda truth: predictor.predict(volume_of(hu(truth), SPACING)).labels, truths)
        for labels, truth in zip(found, truths, strict=True):
            np.testing.assert_array_equal(labels, truth)
    predictor.close()


class CancelledError(Exception):
    """What a program of its own raises."""


def test_progress_is_told_from_window_to_window(tmp_path):
    """12 x 40 x 48 voxels by windows of 8 x 16 x 16 that overlap by half: 2 x 4 x 5 of them."""
    told = []
    with Predictor(make_bundle(tmp_path / "b"), device="onnxruntime", threads=1) as predictor:
        segmented = predictor.predict(
            volume_of(hu(abdomen()), SPACING), progress=lambda *windows: told.append(windows)
        )
    assert told == [(done, 40) for done in range(41)]
    assert segmented.windows.seen == 40


def test_progress_of_windows_that_are_skipped(tmp_path):
    """Three levels around the middle; each centre holds nothing, so that none of the others is run."""
    order = CentreFirst(least_foreground=10**6, least_anterior=0)
    bundle = make_bundle(tmp_path / "b", [member(order=order)])
    told = []
    with Predictor(bundle, device="onnxruntime", threads=1) as predictor:
        predictor.predict(volume_of(hu(abdomen()), SPACING), progress=lambda *windows: told.append(windows))
    done, most = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert (done[0], done[-1], set(most)) == (0, most[0], {most[0]})


def test_a_case_that_its_progress_ended_is_followed_by_others(tmp_path):
    image = volume_of(hu(abdomen()), SPACING)

    def cancel(done, most):
        if done == 3:
            raise CancelledError

    with Predictor(make_bundle(tmp_path / "b"), device="onnxruntime", threads=1) as predictor:
        with pytest.raises(CancelledError):
            predictor.predict(image, progress=cancel)
        np.testing.assert_array_equal(predictor.predict(image).labels, abdomen())


def test_a_predictor_that_is_at_work_cannot_be_used_by_what_watches_it(tmp_path):
    predictor = Predictor(make_bundle(tmp_path / "b"), device="onnxruntime", threads=1)
    with pytest.raises(RuntimeError, match="end that case first"):
        predictor.predict(volume_of(hu(abdomen()), SPACING), progress=lambda *_: predictor.close())


def test_a_block_closes_its_predictor(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Sessions, "close", lambda sessions: closed.append(sessions))
    with Predictor(make_bundle(tmp_path / "b"), device="onnxruntime", threads=1):
        assert closed == []
    assert len(closed) == 1


def test_a_result_is_shown_without_its_voxels(tmp_path):
    with Predictor(make_bundle(tmp_path / "b"), device="onnxruntime", threads=1) as predictor:
        shown = repr(predictor.predict(volume_of(hu(abdomen()), SPACING)))
    assert shown.startswith("Segmented(plan=")
    assert "array(" not in shown
