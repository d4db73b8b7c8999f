"""Teach BERT to find answers in a text, and export a model that takes the question and the text as they are.

python examples/answer_questions.py train-v2.0.json dev-v2.0.json         # SQuAD 1.1 or 2.0
python examples/answer_questions.py mine.json --epochs 6                  # a fifth of the paragraphs is held out
"""

import argparse
import random

import keras_bert_zoo as kbz
from keras_bert_zoo.training.fit import Settings


def by_paragraph(table, share=0.2, seed=0):
    """Return two tables that have no context in common."""
    contexts = sorted(set(table.pairs))
    held = set(random.Random(seed).sample(contexts, round(share * len(contexts))))
    return table.where(lambda row: row.pair not in held), table.where(lambda row: row.pair in held)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("train", help="a SQuAD file")
    options.add_argument("validation", nargs="?", help="another one")
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--learning-rate", type=float, default=5e-5)
    options.add_argument("--length", type=int, default=384, help="tokens of question and window together")
    options.add_argument("--export-to", default="saved_models/answers")
    given = options.parse_args()

    train = kbz.data.read_squad(given.train)
    if given.validation:
        validation = kbz.data.read_squad(given.validation)
    else:
        train, validation = by_paragraph(train)
    head = kbz.heads.QuestionAnswering(no_answer=any(label.is_impossible for label in train.labels))
    settings = Settings(epochs=given.epochs, learning_rate=given.learning_rate, length=given.length)
    run = kbz.finetune(given.weights, head, train, validation, settings=settings)

    figures = run.bundle.evaluate(validation)
    print(f"Held out: {figures['exact_match']:.1%} exact, F1 {figures['f1']:.1%} on {len(validation)} questions")
    (answer,) = run.bundle.predict(validation.texts[:1], context=validation.pairs[:1])
    print(f"{validation.texts[0]} {answer['answer'] or '(no answer)'} [{answer['start']}:{answer['end']}]")
    model, tokenizer, length = run.bundle.model, run.bundle.tokenizer, run.bundle.max_length
    print(f"Exported to {kbz.export_saved_model(model, head, tokenizer, given.export_to, max_length=length)}")


if __name__ == "__main__":
    main()
