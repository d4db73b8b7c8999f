"""Fill in [MASK]: load a masked language model, teach it your own texts, ask it, export it.

python examples/fill_mask.py --texts notes.txt                            # plain text, one text a line
python examples/fill_mask.py --texts notes.txt --ask "The film was [MASK]."
"""

import argparse

import keras

import keras_bert_zoo as kbz


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--texts", required=True, help="plain text; a tenth of its lines is held out")
    options.add_argument("--weights", default="hf://google-bert/bert-base-uncased", help="a folder, hf://org/name")
    options.add_argument("--ask", default="The film was [MASK].")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--learning-rate", type=float, default=5e-5)
    options.add_argument("--export-to", default="saved_models/fill_mask")
    given = options.parse_args()

    keras.utils.set_random_seed(0)
    train, held_out = kbz.data.read_lines(given.texts).split([0.9, 0.1], seed=0)
    bert = kbz.load(given.weights).attach(kbz.heads.MaskedLM(top_k=3))  # keeps the head that the weights have
    print(f"Perplexity before: {bert.evaluate(held_out)['perplexity']:.2f}")

    batches = train.batches(bert.head, bert.tokenizer, 32, length=128, shuffle=True)  # masks are drawn anew each pass
    steps = given.epochs * len(batches)
    optimizer = kbz.adamw(given.learning_rate, steps=steps, warmup=steps // 10)
    bert.model.compile(optimizer, bert.head.loss(), metrics=bert.head.metrics())
    bert.model.fit(batches, epochs=given.epochs)
    print(f"Perplexity after: {bert.evaluate(held_out)['perplexity']:.2f}")

    (answer,) = bert.predict([given.ask])
    print(answer["filled"])
    for tokens, scores in zip(answer["tokens"], answer["scores"], strict=True):
        print("  " + "  ".join(f"{token} {score:.2f}" for token, score in zip(tokens, scores, strict=True)))
    print(f"Exported to {kbz.export_saved_model(bert.model, bert.head, bert.tokenizer, given.export_to)}")


if __name__ == "__main__":
    main()
