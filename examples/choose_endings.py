"""Fine-tune BERT to choose how a text goes on, as in SWAG, and export it.

python examples/choose_endings.py --train train.csv --held-out val.csv      # SWAG's own files
python examples/choose_endings.py --train quiz.jsonl --held-out dev.jsonl   # yours: text, choices, label
"""

import argparse

import keras

import keras_bert_zoo as kbz


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--train", required=True)
    options.add_argument("--held-out", required=True)
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--learning-rate", type=float, default=5e-5)
    options.add_argument("--export-to", default="saved_models/endings")
    given = options.parse_args()

    keras.utils.set_random_seed(0)
    train, held_out = (kbz.data.read_choices(path) for path in (given.train, given.held_out))
    bundle = kbz.load(given.weights).attach(kbz.heads.MultipleChoice())
    model, head = bundle.model, bundle.head

    batches = train.batches(head, bundle.tokenizer, 16, length=min(128, bundle.max_length), shuffle=True)
    steps = given.epochs * len(batches)
    model.compile(kbz.adamw(given.learning_rate, steps=steps, warmup=steps // 10), head.loss(), metrics=head.metrics())
    model.fit(batches, epochs=given.epochs)

    print(f"Held-out accuracy {bundle.evaluate(held_out)['accuracy']:.3f} on {len(held_out)} rows")
    answer = bundle.predict(held_out.texts[:1], choices=held_out.pairs[:1])[0]
    print(held_out.texts[0], "->", held_out.pairs[0][answer["choice"]])
    print(f"Exported to {kbz.export_saved_model(model, head, bundle.tokenizer, given.export_to)}")


if __name__ == "__main__":
    main()
