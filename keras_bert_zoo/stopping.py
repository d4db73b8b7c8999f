"""Ctrl-C under `kbz`: undo what is half done, and end at once.

An orderly end would unwind through `fit` and wait for TensorFlow's threads, some of which then abort or crash.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended
MESSAGE = "\nStopped. No half-written folder is left.\n"
PATIENCE = 10  # seconds that an orderly end may take once a worker is gone
_SHOW_CURSOR = "\x1b[?25h"  # a spinner hides it

_undo: list[Callable[[], object]] = []
_broken: list[bool] = []
_waiting: list[bool] = []  # one for each block that Ctrl-C must not cut; true when it came meanwhile


class Stopped(Exception):
    """A signal ended a training after `step`; where it has a folder, the same call goes on from there."""

    def __init__(self, signal: int, step: int) -> None:
        super().__init__(f"Signal {signal} stopped the training after step {step}.")
        self.signal, self.step = signal, step


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


@contextmanager
def told_to_stop(say: str) -> Iterator[Callable[[], int]]:
    """Let Ctrl-C and SIGTERM wait for a good moment: the function handed out gives the signal that came, 0 for none.

    The first one prints `say` on standard error, the second one does what it did before.  Only the main thread can
    have this; elsewhere nothing changes.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        for each, before in former.items():
            signal.signal(each, before)
        os.write(2, f"\n{say}\n".encode())

    def first() -> int:
        return came[0] if came else 0

    if threading.current_thread() is not threading.main_thread():
        yield first
        return
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in former:
        signal.signal(each, note)
    try:
        yield first
    finally:
        for each, before in former.items():
            signal.signal(each, before)


def cluster_is_broken() -> None:
    """Note that a worker is gone, for which TensorFlow may wait without end when this process is to end.

    So `kbz` then ends at once, and a script after some seconds, by SIGALRM.
    """
    if not _broken:
        atexit.register(signal.alarm, PATIENCE)
    _broken.append(True)


@contextmanager
def ended_at_once_if_broken() -> Iterator[None]:
    """Let the end of the block be that of the process, where a cluster is broken."""
    try:
        yield
    except SystemExit as end:
        if not _broken:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


def end_on_interrupt() -> None:
    """From now on, let Ctrl-C undo and end the process, without a KeyboardInterrupt."""
    signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: object) -> None:
    if _waiting:
        _waiting[0] = True
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for undo in reversed(_undo):
        with suppress(Exception):  # the rest is to be undone all the same
            undo()
    # Straight to the file: the interrupted code may be in the midst of a print.
    os.write(2, (MESSAGE + _SHOW_CURSOR * sys.stderr.isatty()).encode())
    os._exit(INTERRUPTED)
