"""Ctrl-C under `kbz`: undo what is half done, and end at once.

An orderly end would unwind through `fit` and wait for TensorFlow's threads, some of which then abort or crash.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended
MESSAGE = "\nStopped. No half-written folder is left.\n"
_SHOW_CURSOR = "\x1b[?25h"  # a spinner hides it

_undo: list[Callable[[], object]] = []
_waiting: list[bool] = []  # one for each block that Ctrl-C must not cut; true when it came meanwhile


@contextmanager
def undone_at_stop(undo: Callable[[], object]) -> Iterator[None]:
    """Have `undo` called if Ctrl-C ends the process inside the block; what else ends the block must undo itself."""
    _undo.append(undo)
    try:
        yield
    finally:
        _undo.remove(undo)


@contextmanager
def uncut() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block.

    Blocking the signal would not do: another thread takes it, and Python handles it in this one all the same.
    """
    _waiting.append(False)
    try:
        yield
    finally:
        if _waiting.pop():
            _stop(signal.SIGINT, None)


def end_on_interrupt() -> None:
    """From now on, let Ctrl-C undo and end the process, without a KeyboardInterrupt."""
    signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: object) -> None:
    if _waiting:
        _waiting[0] = True
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for undo in reversed(_undo):
        with suppress(OSError):
            undo()
    # Straight to the file: the interrupted code may be in the midst of a print.
    os.write(2, (MESSAGE + _SHOW_CURSOR * sys.stderr.isatty()).encode())
    os._exit(INTERRUPTED)
