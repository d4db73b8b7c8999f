"""Our tokenizer beside Hugging Face's `tokenizers`, in MB of text a second.

    python benchmarks/tokenizer.py FILE

Runs take turns, so that a busy machine slows both; the figures are medians.  Both get the same batches and may use all
cores; `tokenizers` has two batch calls, of which the fast one leaves out offsets.  Without --vocabulary both use one
made from the file: its words by frequency, their endings, and every character.
"""

from __future__ import annotations

import collections
import re
import statistics
import time
from collections.abc import Callable

import click

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def vocabulary_of(text: str, size: int) -> list[str]:
    """The commonest words of a text, then endings and single characters, `size` tokens at most."""
    words = collections.Counter(re.findall(r"\w+|[^\w\s]", text.lower())).most_common(size // 2)
    endings = collections.Counter(f"##{word[i:]}" for word, _ in words for i in range(1, len(word)))
    characters = sorted({*text.lower()} - {*" \t\r\n"})
    tokens = [*SPECIAL, *characters, *(f"##{c}" for c in characters), *(word for word, _ in words)]
    tokens += [ending for ending, _ in endings.most_common(size)]
    return list(dict.fromkeys(tokens))[:size]


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--vocabulary", type=click.Path(exists=True, dir_okay=False), help="A vocab.txt.")
@click.option("--batch", default=1024, show_default=True, help="Lines a call.")
@click.option("--runs", default=7, show_default=True)
@click.option("--cased", is_flag=True)
def main(file: str, vocabulary: str | None, batch: int, runs: int, cased: bool) -> None:
    import tensorflow as tf
    import tokenizers
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    from keras_bert_zoo.text.tokenizer import Tokenizer
    from keras_bert_zoo.text.vocabulary import read_vocabulary

    with open(file, encoding="utf-8") as lines:
        texts = [line.rstrip("\n") for line in lines if line.strip()]
    tokens = read_vocabulary(vocabulary) if vocabulary else vocabulary_of("\n".join(texts), 30_522)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    batches = [texts[i : i + batch] for i in range(0, len(texts), batch)]
    tensors = [tf.constant(part) for part in batches]

    ours = Tokenizer(tokens, lower=not cased)
    theirs = tokenizers.Tokenizer(WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    theirs.normalizer = BertNormalizer(lowercase=not cased)
    theirs.pre_tokenizer = BertPreTokenizer()

    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: [ours.tokenize(part) for part in tensors],
        "ours with offsets": lambda: [ours.tokenize_with_offsets(part) for part in tensors],
        "tokenizers": lambda: [theirs.encode_batch(part, add_special_tokens=False) for part in batches],
        "tokenizers fast": lambda: [theirs.encode_batch_fast(part, add_special_tokens=False) for part in batches],
    }
    same = sum(
        ours.tokenize([text]).values.numpy().tolist() == theirs.encode(text, add_special_tokens=False).ids
        for text in texts[:500]
    )
    click.echo(f"{len(texts):,} lines, {megabytes:.2f} MB, {len(tokens):,} tokens; {same} of the first 500 lines agree")
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            took = seconds(call)
            if run:  # the first traces and warms up
                times[name].append(took)
    speeds = {name: megabytes / statistics.median(values) for name, values in times.items()}
    for name, speed in speeds.items():
        click.echo(f"{name:20s} {speed:8.1f} MB/s")
    best = max(speeds["tokenizers"], speeds["tokenizers fast"])
    click.echo(f"ours / tokenizers' encode_batch: {speeds['ours'] / speeds['tokenizers']:.1f}")
    click.echo(f"ours / the faster of its batch calls: {speeds['ours'] / best:.1f}")


if __name__ == "__main__":
    main()
