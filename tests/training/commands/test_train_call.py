"""A call of `train` is what its options say."""

import argparse
from pathlib import Path

from training.commands import train
from training.commands.train_call import TrainCall


def call_of(*words):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return TrainCall.of(parser.parse_args(["demo", "--data", "a", "--output", "run", *words]))


def test_what_is_not_given_is_as_in_a_call_from_python():
    assert call_of("--data", "b") == TrainCall(
        recipe="demo", data=[Path("a"), Path("b")], output=Path("run"), overrides=[]
    )


def test_every_option_has_its_field():
    call = call_of("--seed", "3", "--steps", "9", "--set", "x=1", "--cache-mb", "80", "--resume", "auto")
    assert (call.seed, call.steps, call.overrides, call.cache_mb, call.resume) == (3, 9, ["x=1"], 80, "auto")
