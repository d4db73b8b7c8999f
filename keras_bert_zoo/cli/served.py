"""Options of commands that ask a model server, or an export on this machine, in a run's stead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from keras_bert_zoo.cli.options import together

if TYPE_CHECKING:
    from keras_bert_zoo.serving.answerer import Answerer
    from keras_bert_zoo.serving.client import Client


class _Header(click.ParamType):
    """NAME: VALUE of an HTTP header."""

    name = "NAME: VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, sign, text = str(value).partition(":")
        if not sign or not name.strip() or not (name + text).isprintable():
            self.fail("a header is like 'Authorization: Bearer abc'.", param, ctx)
        return name.strip(), text.strip()


server_options = together(
    click.option("--url", help="A model server's, such as http://127.0.0.1:8501 or grpc://127.0.0.1:8500."),
    click.option("--model", metavar="NAME", help="With --url: the model's name there."),
    click.option(
        "--version", type=click.IntRange(0), help="With --url: this version; the server's newest unless given."
    ),
    click.option("--version-label", metavar="LABEL", help="With --url: the version of this label, such as canary."),
    click.option("--header", "headers", type=_Header(), multiple=True, help="With --url: sent with every request."),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="With --url: how long one request may take.",
    ),
)


def client(
    url: str | None,
    model: str | None,
    version: int | None,
    version_label: str | None,
    headers: tuple[tuple[str, str], ...],
    timeout: float,
) -> Client | None:
    """Return the client that the options name, None without --url.

    Raises: UsageError on options that belong to --url; ConfigError, see `Client`.
    """
    if url is None:
        alone = {"--model": model, "--version": version, "--version-label": version_label, "--header": headers or None}
        for option, value in alone.items():
            if value is not None:
                raise click.UsageError(f"{option} belongs to a model server: give --url too.")
        return None
    from keras_bert_zoo.serving.client import Client

    return Client(url, model, version=version, label=version_label, headers=dict(headers), timeout=timeout)


def is_export(source: str | None) -> bool:
    """Tell whether a source is an export, a version's folder or a model's."""
    from keras_bert_zoo.serving.exported import zoo_folder

    return source is not None and zoo_folder(source) is not None


def told(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """Return the `progress` of an `Answerer` that says how far it is, where there is more than one batch."""
    return lambda done, count: say(f"{what}: {done:,} of {count:,}") if done < count else None


def exported(source: str) -> Answerer:
    """Return an export on this machine."""
    from keras_bert_zoo.serving.exported import Exported

    return Exported(source)
