"""Fine-tune BERT to choose a label, with Keras's own compile and fit, and export it.

python examples/finetune_classifier.py                                    # film-review sentences, fetched once
python examples/finetune_classifier.py --table reviews.tsv --epochs 4     # your own: columns text and label
"""

import argparse

import keras

import keras_bert_zoo as kbz


def film_reviews():
    """Return sentences to learn from and sentences held out; those without a clear mood are left out."""
    splits = kbz.data.load_dataset("movie_snippets")
    for part in (splits.train, splits.test):
        clear = part.where(lambda row: abs(row.label) > 0.5)  # rated from -4 to 4
        yield clear.map_labels(lambda rating: "positive" if rating > 0 else "negative")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--table", help="tsv, csv or jsonl; a fifth of its rows is held out")
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--learning-rate", type=float, default=1e-4)
    options.add_argument("--export-to", default="saved_models/example")
    given = options.parse_args()

    keras.utils.set_random_seed(0)
    train, held_out = kbz.data.read_table(given.table).split([0.8, 0.2], seed=0) if given.table else film_reviews()
    bert = kbz.load(given.weights)
    head = kbz.heads.Classification(labels=sorted(set(train.labels)))
    model = head.attach(bert.encoder)

    batches = train.batches(head, bert.tokenizer, 32, shuffle=True)
    steps = given.epochs * len(batches)
    model.compile(kbz.adamw(given.learning_rate, steps=steps, warmup=steps // 10), head.loss(), metrics=head.metrics())
    model.fit(batches, epochs=given.epochs)

    figures = model.evaluate(held_out.batches(head, bert.tokenizer, 32), return_dict=True, verbose=0)
    print(f"Held-out accuracy {figures['accuracy']:.3f} on {len(held_out)} rows")
    print(f"Exported to {kbz.export_saved_model(model, head, bert.tokenizer, given.export_to)}")


if __name__ == "__main__":
    main()
