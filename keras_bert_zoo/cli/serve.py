"""`kbz serve`: a local server with TensorFlow Serving's APIs."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import print_json


class _Label(click.ParamType):
    """[MODEL:]LABEL=VERSION."""

    name = "[MODEL:]LABEL=VERSION"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str | None, str, int]:
        left, _, version = value.rpartition("=")
        model, _, label = left.rpartition(":")
        if not label or not version.isdecimal():
            self.fail(f"{value!r} is not [MODEL:]LABEL=VERSION, such as stable=1 or mood:stable=1.", param, ctx)
        return model or None, label, int(version)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(), metavar="FOLDER...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="REST; 0 is any free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=8500, show_default=True, help="gRPC; 0 as above.")
@click.option("--no-grpc", is_flag=True, help="REST alone.")
@click.option("--keep", type=click.IntRange(1), default=1, show_default=True, help="Newest versions served at once.")
@click.option("--label", "labels", type=_Label(), multiple=True, help="A name for a version, which is served besides.")
@click.option("--max-batch-rows", type=click.IntRange(1), default=32, show_default=True, help="Rows answered at once.")
@click.option("--max-rows", type=click.IntRange(1), default=256, show_default=True, help="Rows of one request.")
@click.option("--max-body-mb", type=click.IntRange(1), default=16, show_default=True, help="MiB of one request.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Seconds.")
@click.option("--print", "printed", is_flag=True, help="Print what runs the models in production, and serve nothing.")
@click.option("--to", type=click.Path(file_okay=False), help="With --print: write the files into this folder.")
@click.option("--image", help="With --print: TensorFlow Serving's image; a tag known to run exports unless given.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the addresses as one JSON object once requests are answered."
)
def command(
    folders: tuple[str, ...],
    host: str,
    port: int,
    grpc_port: int,
    no_grpc: bool,
    keep: int,
    labels: tuple[tuple[str | None, str, int], ...],
    max_batch_rows: int,
    max_rows: int,
    max_body_mb: int,
    timeout: float,
    printed: bool,
    to: str | None,
    image: str | None,
    as_json: bool,
) -> None:
    """Serve exported models over REST and gRPC, to try them.

    FOLDER is a model's folder or a folder of models, such as saved_models.  The APIs are TensorFlow Serving's, which
    is what to run in production: --print gives its configuration (versions, labels, batching, metrics), a compose.yaml
    and a Kubernetes manifest.  New versions are served as they appear.  SIGTERM or Ctrl-C lets requests in flight end.
    Needs the extra [server], --print does not.

    \b
    Examples:
      kbz serve saved_models
      kbz serve saved_models/mood --keep 2 --label stable=1 --label canary=2
      kbz serve saved_models/mood --label stable=1 --label canary=2 --print --to deploy
      curl http://127.0.0.1:8501/v1/models/mood:predict -d '{"instances": ["a film to keep"]}'
    """
    from keras_bert_zoo.serving.server.folders import find_models

    named: dict[str, dict[str, int]] = {}
    for model, label, version in labels:
        models = list(find_models(folders))
        if model is None and len(models) > 1:
            raise click.UsageError(f"There are several models: write --label MODEL:{label}={version}.")
        named.setdefault(model or models[0], {})[label] = version

    if printed:
        _print_kit(folders, named, keep, to, image, as_json=as_json)
        return
    for option, value in (("--to", to), ("--image", image)):
        if value is not None:
            raise click.UsageError(f"{option} is for files that run the models elsewhere: give --print too.")

    from keras_bert_zoo.serving.server.limits import Limits
    from keras_bert_zoo.serving.server.run import Addresses, serve

    def ready(addresses: Addresses) -> None:
        if as_json:
            print_json(addresses._asdict())
            return
        click.echo(f"REST   {addresses.rest}/v1/models/NAME:predict")
        if addresses.grpc:
            click.echo(f"gRPC   {addresses.grpc.removeprefix('grpc://')}")
        click.echo(f"Look   {addresses.rest}/")
        click.echo("For trying on this machine: in production run TensorFlow Serving on the same folders. Ctrl-C ends.")

    serve(
        folders,
        host=host,
        port=port,
        grpc_port=None if no_grpc else grpc_port,
        keep=keep,
        labels=named,
        limits=Limits(batch=max_batch_rows, rows=max_rows, body=max_body_mb * 2**20, timeout=timeout),
        say=lambda sentence: click.echo(sentence, err=True),
        ready=ready,
    )


def _print_kit(
    folders: tuple[str, ...],
    labels: dict[str, dict[str, int]],
    keep: int,
    to: str | None,
    image: str | None,
    *,
    as_json: bool,
) -> None:
    """Print or write the files that TensorFlow Serving runs the models with."""
    from keras_bert_zoo.serving.configs import IMAGE, deploy_kit, write_deploy_kit

    files = deploy_kit(folders, labels=labels, keep=keep, image=image or IMAGE, beside=to or ".")
    if to is not None:
        paths = [str(path) for path in write_deploy_kit(to, files)]
        if as_json:
            print_json({"files": paths})
        else:
            click.echo("\n".join(paths))
    elif as_json:
        print_json(files)
    else:
        for name, text in files.items():
            click.echo(f"#### {name}\n{text}")
