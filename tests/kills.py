"""A training that is killed at a chosen moment, in a process of its own, or by the test that watches it."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path


def main(loop, between, train):
    """Run `train(root, out)` for a command line ROOT OUT [KILLED_AFTER_STEP].

    With a step the process kills itself, in the midst of writing the first checkpoint after it or, where the step is
    negative, right after that many updates.  `loop` is the module that saves checkpoints, `between` the callback that
    counts its steps.  Prints a line for every call of steps, so that another process can kill it.
    """
    root, out = map(Path, sys.argv[1:3])
    last = int(sys.argv[3]) if len(sys.argv) > 3 else None
    save, moved = loop.save_checkpoint, between.on_train_batch_end

    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    def saving(model, folder, step, kept, **options):
        if last is not None and 0 <= last < step:
            whole = save(model, folder, step, kept, **options).read_bytes()
            (folder / f"step-{step:09}.safetensors").write_bytes(whole[: len(whole) // 2])  # as a full disk leaves it
            killed()
        return save(model, folder, step, kept, **options)

    def stepping(self, batch, logs=None):
        moved(self, batch, logs)
        print("step", self.step, flush=True)
        if last is not None and last < 0 and self.step >= -last:
            killed()

    loop.save_checkpoint, between.on_train_batch_end = saving, stepping
    train(root, out)
    print("done", flush=True)


def at_three_random_moments(script, root, out, calls):
    """Begin a script three times, going on with what the last one left, and kill it after 1 to `calls` calls."""
    moments = random.Random(11)
    for _ in range(3):
        with subprocess.Popen([sys.executable, script, root, out], stdout=subprocess.PIPE, text=True) as process:
            for _ in range(moments.randint(1, calls)):  # so many calls, and then some of what is between them
                assert process.stdout.readline().startswith("step ")
            try:
                process.wait(timeout=moments.random() / 20)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL
