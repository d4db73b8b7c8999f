"""Raw strings to probabilities: our exported SavedModel beside KerasHub at a fixed length, sentences a second.

    python benchmarks/serving.py [FILE]

FILE holds one text a line (what follows a tab is left out); without it the test sentences of movie_snippets are
asked, in the order they stand.  Both models have the size of MiniLM-L6 and its vocabulary.  Ours is loaded from
disk and asked through `serving_default`.  KerasHub is asked in the fastest way we know: its preprocessor, its
classifier and softmax compiled into one graph; beside it, `classifier.predict(texts)` as its guide shows.

They take turns batch by batch, so that a busy machine slows both; a block of batches gives one ratio.
"""

from __future__ import annotations

import tempfile

import click
from peer import LABELS, PRESET, keras_hub_classifier, read_rows, seconds, tell, tell_ratio

import keras_bert_zoo as kbz


@click.command(help=__doc__)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--texts", "limit", default=512, show_default=True, help="Sentences to ask.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--length", default=128, show_default=True, help="Tokens KerasHub pads to; our limit.")
@click.option("--block", default=4, show_default=True, help="Batches behind one ratio.")
def main(file: str | None, limit: int, batch_size: int, length: int, block: int) -> None:
    import tensorflow as tf

    texts = read_rows(file, "test")[0][:limit]
    bundle = kbz.load(PRESET, encoder_only=True).attach(kbz.heads.Classification(LABELS))
    folder = tempfile.TemporaryDirectory()
    exported = kbz.export_saved_model(bundle.model, bundle.head, bundle.tokenizer, folder.name, max_length=length)
    loaded = tf.saved_model.load(str(exported))
    ours = loaded.signatures["serving_default"]

    classifier = keras_hub_classifier(bundle, length, activation="softmax")
    theirs = tf.function(
        lambda text: classifier(classifier.preprocessor(text), training=False),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )

    batches = [texts[i : i + batch_size] for i in range(0, len(texts), batch_size)]
    blocks = [batches[i : i + block] for i in range(0, len(batches), block)]
    counts = [sum(map(len, part)) for part in blocks]
    pieces = bundle.tokenizer.tokenize(texts).row_lengths() + 2
    click.echo(
        f"{len(texts):,} sentences of {float(tf.reduce_mean(tf.cast(pieces, tf.float32))):.1f} tokens, batches of"
        f" {batch_size} in the order given; KerasHub pads to {length}."
    )
    for batch in (*batches[:3], batches[-1]):  # traced and warm
        ours(text=tf.constant(batch))
        theirs(tf.constant(batch))
        classifier.predict(batch, batch_size=batch_size, verbose=0)

    times: dict[str, list[float]] = {"ours": [], "graph": [], "predict": []}
    for part in blocks:
        took = dict.fromkeys(times, 0.0)
        for batch in part:
            took["ours"] += seconds(lambda: ours(text=tf.constant(batch))["probabilities"].numpy())  # noqa: B023
            took["graph"] += seconds(lambda: theirs(tf.constant(batch)).numpy())  # noqa: B023
        flat = [text for batch in part for text in batch]
        took["predict"] = seconds(lambda: classifier.predict(flat, batch_size=batch_size, verbose=0))  # noqa: B023
        for name, value in took.items():
            times[name].append(value)
    tell("ours, exported SavedModel", counts, times["ours"], "sentences/s")
    tell("KerasHub, one compiled graph", counts, times["graph"], "sentences/s")
    tell("KerasHub, classifier.predict", counts, times["predict"], "sentences/s")
    tell_ratio("ours / KerasHub's graph", times["graph"], times["ours"])
    tell_ratio("ours / KerasHub's predict", times["predict"], times["ours"])


if __name__ == "__main__":
    main()
