"""`llmopt run` with a fault or with one rule of the host taken away.

CHAOS_FAULT=point:probability[:stage]   kill this process with SIGKILL at that point of a checkpoint
CHAOS_ABLATION=name                     of tests/chaos/ablations.py
"""

import os
import random
import signal
import time

from agents import cli
from agents import worker as assembly
from tests.chaos.ablations import BY_NAME


def injector(fault):
    if not fault:
        return lambda _stage, _point: None
    where, probability, *only = fault.split(":")
    dice, chance, began = random.Random(os.getpid()), float(probability), time.monotonic()

    def at(stage, point):
        if point != where or (only and only[0] != stage):
            return
        # A worker that dies before it has made anything durable would make no progress in any number of lives.
        if time.monotonic() - began > 1 and dice.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def main():
    real = assembly.run
    broken = {"at": injector(os.environ["CHAOS_FAULT"])}
    if name := os.environ["CHAOS_ABLATION"]:
        broken["host"] = BY_NAME[name]
    assembly.run = lambda *args, **kwargs: real(*args, **kwargs, **broken)
    cli.main()


if __name__ == "__main__":
    main()
