"""Which of several texts follows? Ask a model of BERT's own pretraining; nothing is trained.

python examples/next_sentence.py "He opened the door." "The room was empty." "Tomatoes are a fruit."
"""

import argparse

import keras_bert_zoo as kbz


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("first")
    options.add_argument("following", nargs="+")
    options.add_argument("--weights", default="hf://google-bert/bert-base-uncased", help="a folder, hf://org/name")
    given = options.parse_args()

    bert = kbz.load(given.weights, head=kbz.heads.NextSentence())  # the weights have two heads: this is the one
    answers = bert.predict([given.first] * len(given.following), text_pair=given.following)
    for text, answer in sorted(zip(given.following, answers, strict=True), key=lambda pair: -pair[1]["probability"]):
        print(f"{answer['probability']:.3f}  {text}")


if __name__ == "__main__":
    main()
