"""What the original does with questions, as plain loops: windows, context, pairs of ends, the best of them.

Written after google-research/bert run_squad.py; nothing of the package is used.
"""

import math
from typing import NamedTuple


class Window(NamedTuple):
    example: int
    start: int  # of its first piece in the context
    size: int
    asked: int  # pieces of the question in front


def windows(questions, contexts, length, stride, query_limit):
    """Return every window of pieces, example after example; one for an empty context."""
    found = []
    for i, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked = min(len(question), query_limit)
        room = length - asked - 3
        start = 0
        while True:
            size = min(len(context) - start, room)
            found.append(Window(i, start, size, asked))
            if start + size == len(context):
                break
            start += min(size, stride)
    return found


def has_most_context(spans, number, place):
    best_score, best = None, None
    for i, (start, size) in enumerate(spans):
        end = start + size - 1
        if not start <= place <= end:
            continue
        score = min(place - start, end - place) + 0.01 * size
        if best_score is None or score > best_score:
            best_score, best = score, i
    return best == number


def best(row, n):
    return sorted(range(len(row)), key=lambda i: row[i], reverse=True)[:n]


def answer(context, offsets, rows, logits, n_best, longest, no_answer, threshold):
    """Return one example's answer; `rows` are its windows and `logits` theirs, cut to their real tokens.

    Like the original, but for the text, which is what stands between the offsets.
    """
    spans = [(row.start, row.size) for row in rows]
    found, null, null_logits = [], math.inf, None
    for number, (row, (starts, ends)) in enumerate(zip(rows, logits, strict=True)):
        if starts[0] + ends[0] < null:
            null, null_logits = starts[0] + ends[0], (starts[0], ends[0])
        first = row.asked + 2
        for s in best(starts, n_best):
            for e in best(ends, n_best):
                inside = first <= s < first + row.size and first <= e < first + row.size
                if not inside or e < s or e - s + 1 > longest:
                    continue
                if not has_most_context(spans, number, s - first + row.start):
                    continue
                a, b = offsets[s - first + row.start][0], offsets[e - first + row.start][1]
                found.append((a, b, starts[s], ends[e]))
    if no_answer:
        found.append((-1, -1, *null_logits))
    found.sort(key=lambda span: span[2] + span[3], reverse=True)
    told, seen = [], set()
    for span in found:
        if len(told) >= n_best:
            break
        text = context[span[0] : span[1]] if span[0] >= 0 else ""
        if text not in seen:
            seen.add(text)
            told.append((text, *span))
    if no_answer and "" not in seen:
        told.append(("", -1, -1, *null_logits))
    totals = [s + e for *_, s, e in told]
    weights = [math.exp(total - max(totals)) for total in totals]
    shares = [weight / sum(weights) for weight in weights]
    real = [i for i, span in enumerate(told) if span[1] >= 0]
    odds = null - totals[real[0]] if real else null
    chosen = None
    if real and not (no_answer and odds > threshold):
        chosen = real[0]
    empty = next((share for share, span in zip(shares, told, strict=True) if span[1] < 0), 0.0)
    return {
        "answer": "" if chosen is None else told[chosen][0],
        "start": -1 if chosen is None else told[chosen][1],
        "end": -1 if chosen is None else told[chosen][2],
        "score": empty if chosen is None else shares[chosen],
        "no_answer_score": odds,
        "answers": [span[0] for span in told],
        "starts": [span[1] for span in told],
        "ends": [span[2] for span in told],
        "scores": shares,
        "start_logits": [span[3] for span in told],
        "end_logits": [span[4] for span in told],
    }
