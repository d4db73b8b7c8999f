"""Moves weights between a model and a file by a table of rows, and accounts for every tensor on both sides."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

import keras
import ml_dtypes
import numpy as np

from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.weights.rows import AnyRow, Constant, Pair, Shape, Spare, Tied, expand

_FLOATS = ("float64", "float32", "float16", "bfloat16")


class TensorReader(Protocol):
    """A file of named tensors that are read one at a time."""

    @property
    def where(self) -> str:
        """The path, for errors."""
        ...

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        ...

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape without reading it."""
        ...

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype, in NumPy's words, without reading it."""
        ...

    def read(self, name: str) -> np.ndarray:
        """Read one tensor."""
        ...


@dataclasses.dataclass(frozen=True)
class Audit:
    """What became of every tensor of the file and every weight of the model.

    `matched` pairs (ours, theirs); `constants` were checked, tied copies among them; `missing` are weights the file
    lacks, `unused` tensors the model lacks (written, weights the format lacks), `misshapen` says which tensors it
    cannot take and why; `dtype_changes` says which are cast, `config_changes` which fields of the config the format
    could not say and were allowed to change.
    """

    where: str
    matched: tuple[tuple[str, str], ...] = ()
    constants: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    dtype_changes: tuple[str, ...] = ()
    config_changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} tensors matched"]
        for word, names in (
            ("constant and checked", self.constants),
            ("missing", self.missing),
            ("unused", self.unused),
            ("misshapen", self.misshapen),
            ("changed in dtype", _summary(self.dtype_changes)),
            ("changed in the config", self.config_changes),
        ):
            parts += [f"{word}: {', '.join(names)}"] if names else []
        return f"{self.where}: {'; '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain values, for JSON."""
        plain = {name: list(value) for name, value in dataclasses.asdict(self).items() if name != "where"}
        return {"where": self.where, **plain, "matched": [list(pair) for pair in self.matched]}


def import_rows(
    model: keras.Model,
    reader: TensorReader,
    rows: Sequence[AnyRow],
    *,
    unused: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Audit:
    """Give every weight of the model its tensor from the file, or change nothing at all.

    `unused` and `missing` are patterns (`cls.*`, `head_*`) of tensors that may be left over and of weights that may
    keep the value they have.  Weights are cast to the dtype the model stores; a tensor with NaN or an infinite number
    is loaded and warned about.

    Raises: CheckpointError listing all that is missing, unused or misshapen, each wrong constant, and each pattern
    that names nothing.  Only a wrong checksum, which shows when a tensor is read, is raised midway.
    """
    audit, pairs = compare(model, reader, rows)
    sources = {pair.ours: f"'{pair.theirs}' (for {pair.ours})" for pair in pairs}
    problems = [
        *audit.misshapen,
        *_refused("missing", audit.missing, missing, lambda path: sources.get(path, f"'{path}'")),
        *_refused("unused", audit.unused, [*unused, *_spare(rows, audit.unused)], lambda name: f"'{name}'"),
    ]
    if problems:
        hint = " Build it from the config in that folder."
        if audit.missing or audit.unused:
            hint += " What may be left out is named with missing= and unused=."
        raise CheckpointError(f"{reader.where}: {'; '.join(problems)}.{hint}")
    variables = variables_by_path(model)
    broken = []
    for pair in pairs:
        if pair.ours not in audit.missing:
            value = reader.read(pair.theirs)
            broken += [] if np.isfinite(value).all() else [pair.theirs]
            variables[pair.ours].assign(pair.op.ours(value).astype(variables[pair.ours].dtype))
    if broken:
        told = f"{reader.where}: {_quoted(broken)} holds numbers that are NaN or infinite; the model cannot answer with"
        warnings.warn(f"{told} them. Train it again, or fetch the file again.", stacklevel=2)
    return audit


def compare(model: keras.Model, reader: TensorReader, rows: Sequence[AnyRow]) -> tuple[Audit, list[Pair]]:
    """Return what an import would do to every tensor and weight, and the pairs it would follow; nothing changes.

    Raises: CheckpointError where two weights of the model share a path.
    """
    variables = variables_by_path(model)
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    tensors = set(reader.names())
    pairs = expand(rows, shapes)
    present = [pair for pair in pairs if pair.theirs in tensors]
    constants = [row for row in rows if isinstance(row, Constant) and row.theirs in tensors]
    tied = [row for row in rows if isinstance(row, Tied) and {row.theirs, row.source} <= tensors]
    checked = (*(row.theirs for row in constants), *(row.theirs for row in tied))
    audit = Audit(
        where=reader.where,
        matched=tuple((pair.ours, pair.theirs) for pair in present),
        constants=checked,
        missing=tuple(sorted(set(shapes) - {pair.ours for pair in present})),
        unused=tuple(sorted(tensors - {pair.theirs for pair in pairs} - set(checked))),
        misshapen=(
            *_unfit(present, reader, shapes),
            *_wrong(constants, reader, shapes),
            *_untied(tied, reader),
        ),
        dtype_changes=tuple(
            f"'{pair.theirs}' {reader.dtype(pair.theirs)} -> {variables[pair.ours].dtype}"
            for pair in present
            if reader.dtype(pair.theirs) != variables[pair.ours].dtype
        ),
    )
    return audit, pairs


def export_rows(model: keras.Model, rows: Sequence[AnyRow], dtype: str | None = None) -> dict[str, np.ndarray]:
    """Return every weight of the model under its name in the other format, in the dtype the model stores or `dtype`.

    The arrays are contiguous: safetensors writes the memory as it lies and would store a transposed view wrongly.
    Raises: CheckpointError where a weight has no row or two weights share a name.
    """
    variables = variables_by_path(model)
    pairs = expand(rows, variables)
    homeless = sorted(set(variables) - {pair.ours for pair in pairs})
    if homeless:
        raise CheckpointError(
            f"Model '{model.name}': no row of the table says where to write {_quoted(homeless)}."
            " Pass the rows of its head too."
        )
    _refuse_twins(f"Model '{model.name}' would write", [pair.theirs for pair in pairs])
    tensors = {}
    for pair in pairs:
        value = pair.op.theirs(keras.ops.convert_to_numpy(variables[pair.ours].value))
        tensors[pair.theirs] = np.ascontiguousarray(value if dtype is None else value.astype(numpy_dtype(dtype)))
    return tensors


def export_audit(
    model: keras.Model,
    rows: Sequence[AnyRow],
    where: str,
    dtype: str | None = None,
    *,
    config_changes: tuple[str, ...] = (),
) -> Audit:
    """Return the audit of a model that was written whole with these rows, in the dtype it stores or `dtype`."""
    variables = variables_by_path(model)
    pairs = expand(rows, variables)
    return Audit(
        where,
        matched=tuple((pair.ours, pair.theirs) for pair in pairs),
        dtype_changes=tuple(
            f"'{pair.theirs}' {variables[pair.ours].dtype} -> {dtype}"
            for pair in pairs
            if dtype not in (None, variables[pair.ours].dtype)
        ),
        config_changes=config_changes,
    )


def common_dtype(names: Iterable[str]) -> str:
    """Return the widest of some float dtypes, that of a file which says only one."""
    found = set(names)
    # half of either kind is no part of the other
    return found.pop() if len(found) == 1 else "float64" if "float64" in found else "float32"


def numpy_dtype(name: str) -> np.dtype:
    """Return NumPy's dtype of that name; bfloat16 is none of its own."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def warn_of_widened(audit: Audit) -> None:
    """Warn where half precision was read into float32, so that nobody wonders about the memory."""
    halves = {change.split()[1] for change in audit.dtype_changes if change.endswith("16 -> float32")}
    for half in sorted(halves):
        warnings.warn(
            f"{audit.where} stores {half}; it is loaded as float32, which takes twice the memory. Pass"
            f' dtype="{half}" to keep it as it is, or dtype="float32" to say that this is meant.',
            stacklevel=3,
        )


def variables_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the model's weights by path; the state of seeds, metrics and optimizers is not among them.

    Raises: CheckpointError where two weights share a path.
    """
    _refuse_twins(f"Model '{model.name}' has", [variable.path for variable in model.weights])
    return {variable.path: variable for variable in model.weights}


def _unfit(pairs: Iterable[Pair], reader: TensorReader, shapes: Mapping[str, Shape]) -> Iterator[str]:
    for pair in pairs:
        want, got = pair.op.their_shape(shapes[pair.ours]), tuple(reader.shape(pair.theirs))
        if got != want:
            yield f"'{pair.theirs}' is {list(got)}, the encoder needs {list(want)}"
        elif reader.dtype(pair.theirs) not in _FLOATS:
            yield f"'{pair.theirs}' holds {reader.dtype(pair.theirs)}, the encoder needs one of {', '.join(_FLOATS)}"


def _wrong(rows: Iterable[Constant], reader: TensorReader, shapes: Mapping[str, Shape]) -> Iterator[str]:
    for row in rows:
        want, got = row.values(shapes), tuple(reader.shape(row.theirs))
        if got != want.shape:
            yield f"'{row.theirs}' is {list(got)}, the encoder needs {list(want.shape)}"
        elif not np.array_equal(reader.read(row.theirs), want):
            yield f"'{row.theirs}' does not hold the constant that it is in every such file"


def _untied(rows: Iterable[Tied], reader: TensorReader) -> Iterator[str]:
    for row in rows:
        if not np.array_equal(reader.read(row.theirs), reader.read(row.source)):
            yield f"'{row.theirs}' is not the copy of '{row.source}' that it is in every such file"


def _spare(rows: Iterable[AnyRow], names: Iterable[str]) -> list[str]:
    return sorted({row.theirs for row in rows if isinstance(row, Spare)} & set(names))


def _refused(word: str, names: Sequence[str], allowed: Sequence[str], show: Callable[[str], str]) -> list[str]:
    """Say which names no pattern allows, and which patterns allow nothing."""
    refused = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in allowed)]
    idle = [pattern for pattern in allowed if not any(fnmatchcase(name, pattern) for name in names)]
    return [f"{word}: {', '.join(map(show, refused))}"] * bool(refused) + [
        f"the pattern {word}='{pattern}' names nothing that is {word}" for pattern in idle
    ]


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise CheckpointError(f"{what} {_quoted(twins)} more than once, so a name does not tell which is meant.")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _summary(changes: Sequence[str]) -> list[str]:
    kinds = [change.split("' ", 1)[1] for change in changes]
    return [f"{kinds.count(kind)} of {kind}" for kind in dict.fromkeys(kinds)]
