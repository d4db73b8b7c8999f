"""Processes that share the steps: each takes the next one when it is done with the last.

The parent speaks to them through pipes, a line of JSON each way:

    {"do": "rows", "number": 3}  ->  {"more": 1} any number of times, then {"done": {"instances": ...}}
                                     or {"failed": "...", "errno": 28}

When their input ends, so do they: nobody is left behind, however the parent ends.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from keras_bert_zoo.data.pretraining.steps import Steps, Tell, Work
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.files import cleared
from keras_bert_zoo.stopping import uncut

_PATIENCE = 60.0  # seconds that the end of a killed process may take


class Crew:
    """Does steps, in this process or in several others; end it with its block."""

    MODULE: ClassVar[list[str]] = ["-m", __name__]

    def __init__(self, work: Work, workers: int) -> None:
        self._alone = Steps(work, 0) if workers == 1 else None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping = cleared(self._end)
        self._folder, self._workers = work.folder, workers

    def __enter__(self) -> Crew:
        self._stopping.__enter__()
        for number in range(self._workers if self._alone is None else 0):
            with uncut():  # until the new process is on the list
                self._processes.append(_started(self._folder, number))
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.__exit__(*error)  # type: ignore[arg-type]

    def do(self, step: str, count: int, tell: Tell) -> list[dict[str, int]]:
        """Do a step for each number below `count`; return what each counted, in the order of the numbers.

        Raises: DataError where a process is lost, OSError where one cannot write.
        """
        if self._alone is not None:
            return [self._alone.do(step, number, tell) for number in range(count)]
        results: list[dict[str, int]] = [{}] * count
        numbers = iter(range(count))
        with selectors.DefaultSelector() as waiting:
            for process in self._processes:
                self._next(process, step, numbers, waiting)
            while waiting.get_map():
                for chosen, _ in waiting.select():
                    process, number = chosen.data
                    reply = self._reply(process)
                    if "more" in reply:
                        tell(reply["more"])
                        continue
                    waiting.unregister(chosen.fileobj)
                    results[number] = reply["done"]
                    self._next(process, step, numbers, waiting)
        return results

    def _next(
        self, process: subprocess.Popen[bytes], step: str, numbers: Iterator[int], waiting: selectors.BaseSelector
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in numbers:
            with suppress(BrokenPipeError):  # it ended: the reply tells
                process.stdin.write(json.dumps({"do": step, "number": number}).encode() + b"\n")
            waiting.register(process.stdout, selectors.EVENT_READ, (process, number))
            break

    def _reply(self, process: subprocess.Popen[bytes]) -> dict:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            code = process.wait(_PATIENCE)
            why = " It may have been short of memory; try fewer workers." if code == -9 else ""
            raise DataError(f"one of {self._workers} worker processes ended by itself, with code {code}.{why}")
        reply = json.loads(line)
        if "failed" in reply:
            raise OSError(reply["errno"], reply["failed"])
        return dict(reply)

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(_PATIENCE)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._processes = []


def _started(folder: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *Crew.MODULE, str(folder), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the others
    )


def main() -> None:
    """Be one of the processes."""
    steps = Steps(Work.load(Path(sys.argv[1])), int(sys.argv[2]))

    def say(**reply: object) -> None:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()

    for line in sys.stdin:
        order = json.loads(line)
        try:
            say(done=steps.do(order["do"], order["number"], lambda count: say(more=count)))
        except OSError as error:
            say(failed=error.strerror or str(error), errno=error.errno or 0)


if __name__ == "__main__":
    main()
