"""Pretrain a tiny BERT on real text, from nothing, and see what that is worth: a quarter of an hour on two cores.

python examples/pretrain_from_scratch.py                              # film reviews, fetched once
python examples/pretrain_from_scratch.py --corpus notes/ --steps 500  # your own: a sentence a line, or jsonl
"""

import argparse
import math
from pathlib import Path
from statistics import mean, stdev

import keras
import numpy as np

import keras_bert_zoo as kbz
from keras_bert_zoo.training.fit import Settings


def part(source, folder):
    """Write the corpus's documents as train.txt and, every twentieth of them, held_out.txt."""
    folder.mkdir(parents=True)
    with (folder / "train.txt").open("w") as train, (folder / "held_out.txt").open("w") as held_out:
        for number, sentences in enumerate(kbz.data.read_corpus(source, progress=print).documents()):
            file = held_out if number % 20 == 10 else train
            file.write("\n".join(sentences) + "\n\n")


def unigram_loss(folder, tokenizer):
    """Return the loss, in nats a token, of one who knows how frequent each token is and nothing else."""
    counts = {}
    for name in ("train", "held_out"):
        sentences = [text for text in (folder / f"{name}.txt").read_text().split("\n") if text]
        ids = tokenizer.tokenize(sentences).values.numpy()
        counts[name] = np.bincount(ids, minlength=tokenizer.vocab_size)
    known = (counts["train"] + 1) / (counts["train"] + 1).sum()  # a token that was never met has some chance too
    return -(counts["held_out"] * np.log(known)).sum() / counts["held_out"].sum()


def moods(table):
    """Return sentences to learn from, to choose the epoch by and to be asked about, each negative or positive."""
    if table:
        return kbz.data.read_table(table).split([0.6, 0.2, 0.2], seed=0)
    splits = kbz.data.load_dataset("movie_snippets", progress=print)
    clear = [each.where(lambda row: abs(row.label) > 0.5) for each in (splits.train, splits.validation, splits.test)]
    return [each.map_labels(lambda rating: "positive" if rating > 0 else "negative") for each in clear]


def finetuned(bundle, tables, rows, seed, length):
    """Return the held-out accuracy of a bundle that is tuned on so many labelled texts, drawn by the seed."""
    train, validation, test = tables
    head = kbz.heads.Classification(labels=sorted(set(train.labels)))
    settings = Settings(epochs=5 if rows == len(train) else 10, learning_rate=5e-4, length=length, seed=seed)
    if rows < len(train):
        train, _ = train.split([rows / len(train), 1 - rows / len(train)], seed=seed)
    return kbz.finetune(bundle, head, train, validation, test=test, settings=settings, verbose=0).test["accuracy"]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--corpus", default="imdb_reviews", help="a name, a file or a folder; 40 documents or more")
    options.add_argument("--out", default="runs/from-scratch", help="new folder for all that is made")
    options.add_argument("--vocabulary-size", type=int, default=8000)
    options.add_argument("--hidden-size", type=int, default=128)
    options.add_argument("--length", type=int, default=64, help="tokens a row")
    options.add_argument("--batch-size", type=int, default=32, help="rows an update")
    options.add_argument("--steps", type=int, default=16000, help="updates")
    options.add_argument("--learning-rate", type=float, default=1e-3)
    options.add_argument("--table", help="tsv, csv or jsonl with text and label to be tuned on; else film reviews")
    options.add_argument("--labelled", type=int, default=1000, help="labelled texts to tune on, beside all there are")
    options.add_argument("--seeds", type=int, default=3, help="times to tune, 0 for not at all")
    given = options.parse_args()
    out = Path(given.out)

    part(given.corpus, out / "text")
    learnt = kbz.learn_vocabulary(out / "text/train.txt", size=given.vocabulary_size, out=out / "vocab.txt")
    print(f"Vocabulary: {len(learnt.tokens)} tokens, {learnt.tokens_per_word:.2f} a word of {learnt.words} words")
    tokenizer = kbz.Tokenizer.from_file(out / "vocab.txt", lower=True)
    for name, copies in (("train", 3), ("held_out", 1)):  # each copy is cut anew; masks are drawn in training
        made = kbz.write_pretraining_data(
            out / f"text/{name}.txt",
            out / name,
            tokenizer,
            pairs="none",  # so small a model learns more from words than from which text follows which
            max_length=given.length,
            short_share=0.3,
            dupe_factor=copies,
            shards=2,
        )
        print(f"Examples: {made['instances']} in {out / name}")

    config = kbz.BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=given.hidden_size,
        num_hidden_layers=2,
        num_attention_heads=max(1, given.hidden_size // 32),
        intermediate_size=4 * given.hidden_size,
        max_position_embeddings=max(128, given.length),
        initializer_range=0.05,
        hidden_dropout_prob=0.0,  # far from knowing its text by heart
        attention_probs_dropout_prob=0.0,
    )
    every = max(1, given.steps // 20)
    recipe = kbz.Recipe(
        [kbz.Phase(out / "train", given.steps, given.batch_size)],
        validation=out / "held_out",
        learning_rate=given.learning_rate,
        mask_share=0.3,  # twice the paper's, for as many more answers an update: Wettig et al. 2023
        max_predictions=math.ceil(0.3 * given.length),
        log_every=every,
        validate_every=2 * every,
        checkpoint_every=2 * every,
    )
    run = kbz.pretrain(config, recipe, vocabulary=tokenizer, out=out / "bert")
    losses = [row["val_masked_lm_loss"] for row in run.rows if "val_masked_lm_loss" in row]
    baseline = unigram_loss(out / "text", tokenizer)
    print(f"Loss of held-out masked tokens: {losses[-1]:.3f}, after {run.seconds / 60:.1f} minutes")
    print(
        f"By the tokens' frequency alone: {baseline:.3f}, a perplexity {math.exp(baseline - losses[-1]):.2f} times that"
    )

    if not given.seeds:
        return
    tables = moods(given.table)
    everything = len(tables[0])
    for rows in sorted({min(given.labelled, everything), everything}):  # labels are what costs; texts alone are plenty
        for name in ("pretrained", "random"):
            figures = []
            for seed in range(given.seeds):
                keras.utils.set_random_seed(seed)
                fresh = kbz.Bundle(kbz.build_encoder(config), tokenizer)
                begun = kbz.load(out / "bert") if name == "pretrained" else fresh
                figures.append(finetuned(begun, tables, rows, seed, given.length))
            spread = f" ± {stdev(figures):.3f}" if len(figures) > 1 else ""
            told = f"Tuned on {rows:,} texts from {name} weights: accuracy {mean(figures):.3f}{spread}"
            print(f"{told} on {len(tables[2]):,} held-out texts")


if __name__ == "__main__":
    main()
