"""Find the nearest sentences by their vectors; with pairs, teach the vectors first.

python examples/embed_sentences.py --sentences faq.txt "How do I get my money back?"
python examples/embed_sentences.py --sentences faq.txt --pairs asked.tsv "How do I get my money back?"

A table of pairs has the columns text and text_pair: a question and its answer, or two ways to say the same.
"""

import argparse

import keras
import numpy as np

import keras_bert_zoo as kbz


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("question")
    options.add_argument("--sentences", required=True, help="plain text, one a line")
    options.add_argument("--pairs", help="tsv, csv or jsonl of texts that belong together")
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--learning-rate", type=float, default=2e-5)
    options.add_argument("--export-to", default="saved_models/vectors")
    given = options.parse_args()

    keras.utils.set_random_seed(0)
    bundle = kbz.load(given.weights).attach(kbz.heads.SentenceEmbedding())
    model, head = bundle.model, bundle.head
    if given.pairs:
        pairs = kbz.data.read_pairs(given.pairs, label=None)
        batches = pairs.batches(head, bundle.tokenizer, 32, length=bundle.max_length, shuffle=True)
        optimizer = kbz.adamw(given.learning_rate, steps=given.epochs * len(batches))
        model.compile(optimizer, head.loss(), metrics=head.metrics())
        model.fit(batches, epochs=given.epochs)
        print(f"Its own text is the nearest for {bundle.evaluate(pairs)['accuracy']:.1%} of the pairs")

    sentences = kbz.data.read_texts(given.sentences)["text"]
    vectors = np.array([answer["embedding"] for answer in bundle.predict([given.question, *sentences])])
    likeness = vectors[1:] @ vectors[0]  # cosines: every vector has length 1
    for i in np.argsort(-likeness)[:5]:
        print(f"{likeness[i]:.3f}  {sentences[i]}")
    print(f"Exported to {kbz.export_saved_model(model, head, bundle.tokenizer, given.export_to)}")


if __name__ == "__main__":
    main()
