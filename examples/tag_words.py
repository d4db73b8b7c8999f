"""Fine-tune BERT to find names in texts, with Keras's own compile and fit, and export it.

python examples/tag_words.py names.conll                     # a word a line, its tag in the last column
python examples/tag_words.py en_ewt.conllu --word 2 --tag 4   # parts of speech from Universal Dependencies
"""

import argparse

import keras

import keras_bert_zoo as kbz


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", help="tagged words; a fifth of the sentences is held out")
    options.add_argument("--word", type=int, default=1, help="column of the word")
    options.add_argument("--tag", type=int, help="column of the tag; the last unless given")
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--learning-rate", type=float, default=2e-4)
    options.add_argument("--export-to", default="saved_models/names")
    options.add_argument("--text", help="a text to answer at the end")
    given = options.parse_args()

    keras.utils.set_random_seed(0)
    table = kbz.data.read_conll(given.file, word=given.word, tag=given.tag)
    train, held_out = table.split([0.8, 0.2], seed=0)
    labels = kbz.heads.TokenClassification.labels_in(table.labels)
    bert = kbz.load(given.weights, encoder_only=True).attach(kbz.heads.TokenClassification(labels))

    batches = train.batches(bert.head, bert.tokenizer, 32, shuffle=True)
    steps = given.epochs * len(batches)
    optimizer = kbz.adamw(given.learning_rate, steps=steps, warmup=steps // 10)
    bert.model.compile(optimizer, bert.head.loss(), metrics=bert.head.metrics())
    bert.model.fit(batches, epochs=given.epochs)

    figures = bert.evaluate(held_out)
    print(f"Held-out entity F1 {figures['f1']:.3f} on {len(held_out)} sentences")
    answer = bert.predict([given.text or held_out.texts[0]])[0]
    for entity, label, start, end in zip(*(answer[name] for name in ("entity", "label", "start", "end")), strict=True):
        print(f"  {label:8} {start:4}-{end:<4} {entity}")
    print(f"Exported to {kbz.export_saved_model(bert.model, bert.head, bert.tokenizer, given.export_to)}")


if __name__ == "__main__":
    main()
