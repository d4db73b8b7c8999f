"""The server as a whole: sockets, loading, both protocols, and an orderly end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.serving.server.folders import find_models
from keras_bert_zoo.serving.server.limits import Limits

HOST, PORT, GRPC_PORT = "127.0.0.1", 8501, 8500  # TensorFlow Serving's ports
# Seconds after which a thread of Python makes way: a runner that comes back from the model has others waiting for it.
_SWITCH = 0.0005
Labels = Mapping[str, Mapping[str, int]]


class Addresses(NamedTuple):
    """Where a server listens; `grpc` is None where it speaks REST alone."""

    rest: str
    grpc: str | None


def serve(
    folders: str | Path | Sequence[str | Path],
    *,
    host: str = HOST,
    port: int = PORT,
    grpc_port: int | None = GRPC_PORT,
    keep: int = 1,
    labels: Labels | None = None,
    limits: Limits | None = None,
    watch_every: float = 1.0,
    say: Callable[[str], None] = print,
    ready: Callable[[Addresses], None] | None = None,
) -> None:
    """Serve exported models with TensorFlow Serving's REST and gRPC APIs until SIGTERM or Ctrl-C.

    `folders` are models' folders or folders of models; each model is named as its folder.  The newest `keep` versions
    are served, and those that `labels` names: {model: {label: version}}.  Folders are looked at every `watch_every`
    seconds.  Port 0 is any free one; without a `grpc_port` there is no gRPC.  `say` is told in a sentence what
    happens, and `ready` where the server listens, once it answers.  On SIGTERM new connections are refused, what is
    in flight is answered, and the function returns; a second signal ends the process at once.

    Raises: ConfigError where the extra [server] is not installed, a port is taken or an argument is out of range;
    ExportError where a folder holds no model, or no model can be loaded.
    """
    server = _Server(
        folders,
        host=host,
        port=port,
        grpc_port=grpc_port,
        keep=keep,
        labels=labels,
        limits=limits,
        watch_every=watch_every,
        say=say,
    )

    def listen(addresses: Addresses) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop_on, number)
        if ready is not None:
            ready(addresses)

    former = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        server.run(listen)
    finally:
        sys.setswitchinterval(former)


@contextmanager
def running(folders: str | Path | Sequence[str | Path], **options: Any) -> Iterator[Addresses]:
    """Serve inside the block, from a thread of this process, and hand out the addresses; takes what `serve` takes.

    Ports are any free ones unless told.  Raises: what `serve` raises.
    """
    options = {"port": 0, "grpc_port": 0, "say": lambda sentence: None, **options}
    listening: list[Addresses] = []
    begun = threading.Event()
    if unknown := options.keys() - inspect.signature(_Server).parameters.keys():
        raise TypeError(f"running() takes no {', '.join(sorted(unknown))}")
    server = _Server(folders, **options)

    def listen(addresses: Addresses) -> None:
        listening.append(addresses)
        begun.set()

    with ThreadPoolExecutor(1, thread_name_prefix="server") as threads:
        work = threads.submit(server.run, listen)
        work.add_done_callback(lambda ended: begun.set())
        begun.wait()
        try:
            if not listening:
                work.result()
            yield listening[0]
        finally:
            server.stop()


class _Server:
    """One server, from its sockets to its end."""

    def __init__(
        self,
        folders: str | Path | Sequence[str | Path],
        *,
        host: str = HOST,
        port: int,
        grpc_port: int | None,
        keep: int = 1,
        labels: Labels | None = None,
        limits: Limits | None = None,
        watch_every: float = 1.0,
        say: Callable[[str], None],
    ) -> None:
        if keep < 1:
            raise ConfigError(f"keep is {keep}, at least 1 version of a model must be served.")
        if not watch_every > 0:
            raise ConfigError(f"watch_every is {watch_every}, it must be more than 0 seconds.")
        _check_installed()
        self._folders = [folders] if isinstance(folders, str | Path) else list(folders)
        self._host, self._grpc_port, self._limits = host, grpc_port, limits or Limits()
        self._keep, self._labels, self._watch_every, self._say = keep, labels or {}, watch_every, say
        # What can go wrong shows before TensorFlow is imported.
        find_models(self._folders)
        if port and port == grpc_port:
            raise ConfigError(f"REST and gRPC cannot share port {port}. Choose another (--grpc-port).")
        if grpc_port is not None:
            _listening(host, grpc_port, "--grpc-port").close()
        self._socket = _listening(host, port, "--port")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = False

    def run(self, listen: Callable[[Addresses], None]) -> None:
        """Load, serve until `stop`, and end in order; `listen` is called once requests are answered."""
        self._say(f"Loading {', '.join(sorted(find_models(self._folders)))} ...")
        import tensorflow as tf
        import uvloop

        from keras_bert_zoo.serving.server.models import Models
        from keras_bert_zoo.serving.server.service import Service
        from keras_bert_zoo.serving.server.watching import Watcher

        tf.get_logger().setLevel("ERROR")  # it warns of sessions, TensorFlow Serving's own way in
        models = Models()
        watcher = Watcher(
            self._folders, models, keep=self._keep, labels=self._labels, timeout=self._limits.timeout, say=self._say
        )
        service = Service(models, self._limits)
        try:
            watcher.begin()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(service, watcher, listen))
        finally:
            watcher.close()
            service.batcher.close()
            models.close()
            self._socket.close()

    async def _serve(self, service: Any, watcher: Any, listen: Callable[[Addresses], None]) -> None:
        import uvicorn

        from keras_bert_zoo.serving.server.app import build_app
        from keras_bert_zoo.serving.server.connections import guarded

        class Web(uvicorn.Server):
            def capture_signals(self) -> Any:  # ours are the signals: both protocols end together
                return nullcontext()

        limits = self._limits
        config = uvicorn.Config(
            build_app(service),
            http=guarded(limits.patience),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level=logging.WARNING,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle,  # type: ignore[arg-type]  # any number will do
            timeout_graceful_shutdown=limits.drain,  # type: ignore[arg-type]
        )
        web = Web(config)
        rpc, address = await self._begin_rpc(service)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping:  # already told to
            return
        rest = f"http://{_shown(self._host)}:{self._socket.getsockname()[1]}"
        working = asyncio.ensure_future(web.serve(sockets=[self._socket]))
        while not web.started and not working.done():
            await asyncio.sleep(0.001)
        if working.done():  # another has begun to listen meanwhile
            try:
                working.result()
            except OSError as error:
                raise ConfigError(f"{rest} cannot be listened on: {error}. Choose another port (--port).") from error
        watcher.watch(self._watch_every)
        listen(Addresses(rest, address))
        await self._stop.wait()
        service.draining = True
        web.should_exit = True
        await asyncio.gather(working, *([rpc.stop(limits.drain)] if rpc else []))

    async def _begin_rpc(self, service: Any) -> tuple[Any, str | None]:
        if self._grpc_port is None:
            return None, None
        from keras_bert_zoo.serving.server.rpc import build_rpc

        rpc, port = build_rpc(service, _shown(self._host), self._grpc_port)
        await rpc.start()
        return rpc, f"grpc://{_shown(self._host)}:{port}"

    def stop(self) -> None:
        """Have the server end; from any thread."""
        self._stopping = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def stop_on(self, number: int) -> None:
        """End on a signal: in order on the first, at once on the second."""
        if self._stopping:
            os._exit(128 + number)
        self._say("Stopping: requests in flight are answered. Once more ends at once.")
        self.stop()


def _listening(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that is bound already.  Raises: ConfigError where the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"{host}:{port} cannot be listened on: {error}. Choose another port ({option}).") from error
    return bound


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_installed() -> None:
    needed = ("httptools", "prometheus_client", "starlette", "uvicorn", "uvloop")
    missing = [name for name in needed if not find_spec(name)]
    if missing:
        raise ConfigError(f"The server needs {', '.join(missing)}: pip install 'keras-bert-zoo[server]'")
