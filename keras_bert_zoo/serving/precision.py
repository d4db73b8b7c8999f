"""What a smaller precision costs: the figures of a model on data, in float32 and as an export computes."""

from __future__ import annotations

import dataclasses

import keras

from keras_bert_zoo.bundle import Bundle
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.encoder import serving_copy
from keras_bert_zoo.errors import ConfigError


def precision_figures(
    bundle: Bundle, table: Table, precision: str, *, batch_size: int = 32
) -> dict[str, dict[str, float]]:
    """Return the figures of `bundle.evaluate` on a table by precision: "float32" first, then the export's own.

    Raises: ConfigError without a head; DataError on the table's rows.
    """
    if bundle.model is None:
        raise ConfigError("This bundle is an encoder without a head, which has no figures.")
    served = serving_copy(bundle.model, precision)
    outputs = keras.tree.map_structure(lambda x: keras.ops.cast(x, "float32"), served.output)
    smaller = dataclasses.replace(bundle, model=keras.Model(served.input, outputs))
    return {
        "float32": bundle.evaluate(table, batch_size=batch_size),
        precision: smaller.evaluate(table, batch_size=batch_size),
    }
