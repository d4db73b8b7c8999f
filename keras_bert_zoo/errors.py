"""The errors a user can meet.  Each message says what, where, got, want and what to do."""


class ZooError(Exception):
    """Base of every error raised on purpose; the commands print it as one line and exit 1."""


class ConfigError(ZooError):
    """A model, head or run was described in a way that cannot be built."""


class CheckpointError(ZooError):
    """A weight file is missing, damaged or does not fit the model."""


class VocabularyError(ZooError):
    """A vocabulary file or the tokenizer's settings cannot be used."""


class DataError(ZooError):
    """A data file, a row or a text handed in cannot be used."""


class ExportError(ZooError):
    """A model cannot be exported, or an exported model cannot be read."""


class DownloadError(ZooError):
    """A file could not be fetched, verified or unpacked."""


class ClusterError(ZooError):
    """The workers of a cluster cannot find one another, do not agree, or have lost one of them."""


class ServingError(ZooError):
    """A server could not be asked, refused to answer, or answered what nobody can read.

    `status` is its HTTP status or gRPC code, None where it gave none.
    """

    def __init__(self, message: str, status: int | str | None = None) -> None:
        super().__init__(message)
        self.status = status
