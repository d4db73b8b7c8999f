"""Questions with their contexts and answers: SQuAD 1.1 and 2.0 files, or lists in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_bert_zoo.data.tables import IN_MEMORY, Table
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.files import new_file


class Answer(NamedTuple):
    """An answer as it stands in its context; `start` is its first character, counted from 0."""

    text: str
    start: int


class Question(NamedTuple):
    """What a table of questions holds as labels: one question's id and its answers, none for one without an answer."""

    id: str
    answers: tuple[Answer, ...]

    @property
    def is_impossible(self) -> bool:
        """Whether the context holds no answer (SQuAD 2.0)."""
        return not self.answers


def read_squad(path: str | os.PathLike[str], *, answers: bool = True, **columns: Any) -> Table:
    """Read a SQuAD file, 1.1 or 2.0: questions as `texts`, their contexts as `pairs`, a `Question` each as `labels`.

    `answers=False` also takes files without answers, and gives a table without labels.  `columns` are names that
    other kinds of file need; here nothing has to be named.
    Raises: DataError naming the file and the question's id, or where in the file it stands.
    """
    path = Path(path).expanduser()
    data = _parsed(path)
    articles = _list(data, "data", f"{path}")
    questions, contexts, labels = [], [], []
    for place, context, asked in _asked(articles, str(path)):
        where = f"{path}, question {_text(asked, 'id', place)!r}"
        questions.append(_text(asked, "question", where, empty=True))
        contexts.append(context)
        labels.append(_question(asked, context, where, answers))
    if not questions:
        raise DataError(f"{path} has no questions.")
    ids = [label.id for label in labels]
    _check_different(ids, str(path))
    return Table(questions, contexts, labels if answers else None, str(path), ids, "question")


def question_table(
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[Iterable[tuple[str, int]]],
    ids: Sequence[str] | None = None,
) -> Table:
    """Make a table from lists: for each question its context and its answers, (text, first character); none is [].

    Raises: DataError naming the item, as `read_squad` does; also where the lists differ in length.
    """
    ids = [str(i + 1) for i in range(len(questions))] if ids is None else list(ids)
    for name, column in {"contexts": contexts, "answers": answers, "ids": ids}.items():
        if len(column) != len(questions):
            raise DataError(f"{IN_MEMORY}: {len(questions)} questions but {len(column)} {name}.")
    _check_different(ids, IN_MEMORY)
    labels = []
    for id_, context, given in zip(ids, contexts, answers, strict=True):
        where = f"{IN_MEMORY}, question {id_!r}"
        _check_context(context, where)
        labels.append(Question(id_, tuple(_answer(text, start, context, where) for text, start in given)))
    return Table(list(questions), list(contexts), labels, IN_MEMORY, ids, "question")


def write_squad(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table of questions as a SQuAD 2.0 file that `read_squad` reads; equal contexts make one paragraph.

    Raises: DataError for a table without contexts or `Question` labels, and where the file cannot be written.
    """
    labels, contexts = question_labels(table), table.pairs
    if contexts is None:
        raise DataError(f"{table.source}: a SQuAD file needs a context for every question.")
    paragraphs: dict[str, list[Any]] = {}
    for question, context, label in zip(table.texts, contexts, labels, strict=True):
        answers = [{"text": text, "answer_start": start} for text, start in label.answers]
        asked = {"id": label.id, "question": question, "answers": answers, "is_impossible": label.is_impossible}
        paragraphs.setdefault(context, []).append(asked)
    listed = [{"context": context, "qas": asked} for context, asked in paragraphs.items()]
    document = {"version": "v2.0", "data": [{"title": "", "paragraphs": listed}]}
    path = Path(path).expanduser()
    try:
        with new_file(path) as aside:
            aside.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None


def question_labels(table: Table) -> list[Question]:
    """Return a table's labels.  Raises: DataError where they are not `Question`s."""
    for i, label in enumerate(table.labels or [None]):
        check_question(label, table.place, i)
    return list(table.labels or [])


def check_question(label: Any, where: Any, index: int) -> None:
    """Raises: DataError unless a label is a `Question`; `where(index)` names its row."""
    if not isinstance(label, Question):
        raise DataError(
            f"{where(index) if label is not None else 'the table'}: question answering learns from answers that know"
            f" their place, got {label!r:.60}. Read a SQuAD file (.json), or use kbz.data.question_table."
        )


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: invalid UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: broken JSON ({error.msg}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). A SQuAD file (.json) is wanted.") from None


def _asked(articles: list[Any], path: str) -> Iterator[tuple[str, str, Any]]:
    """Yield each question with its context, and where it stands."""
    for a, article in enumerate(articles):
        for p, paragraph in enumerate(_list(article, "paragraphs", f"{path}, data[{a}]")):
            place = f"{path}, data[{a}].paragraphs[{p}]"
            context = _text(paragraph, "context", place, empty=True)
            for q, asked in enumerate(_list(paragraph, "qas", place)):
                told = asked.get("id") if isinstance(asked, dict) else None
                _check_context(context, f"{path}, question {told!r}" if told else place)
                yield f"{place}.qas[{q}]", context, asked


def _question(asked: Mapping[str, Any], context: str, where: str, wanted: bool) -> Question:
    if not wanted:
        return Question(asked["id"], ())
    given = [] if asked.get("is_impossible") is True and "answers" not in asked else _list(asked, "answers", where)
    answers = []
    for answer in given:
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        answers.append(_answer(_text(answer, "text", where), start, context, where))
    impossible = asked.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise DataError(f"{where}: 'is_impossible' is {impossible!r}, it must be true or false.")
    if impossible and answers:
        raise DataError(f"{where}: is_impossible is true, but there are answers. One of them is wrong.")
    if not impossible and not answers:
        raise DataError(f'{where}: there is no answer. A question without one is marked by "is_impossible": true.')
    return Question(asked["id"], tuple(answers))


def _answer(text: str, start: Any, context: str, where: str) -> Answer:
    if not isinstance(start, int) or isinstance(start, bool):
        raise DataError(f"{where}: 'answer_start' is {start!r}, it must be a number: the answer's first character.")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: the answer is {text!r}, it must be a filled string.")
    found = context[start : start + len(text)] if start >= 0 else ""
    if found != text:
        at = context.find(text)
        hint = f"It stands at {at}." if at >= 0 else "It is nowhere in the context."
        raise DataError(
            f"{where}: answer_start {start} does not match: the context has {found[:60]!r} there, the answer is"
            f" {text[:60]!r}. {hint} Characters are counted from 0."
        )
    return Answer(text, start)


def _check_context(context: Any, where: str) -> None:
    if not isinstance(context, str) or not context.strip():
        raise DataError(f"{where}: the context is empty ({context!r:.40}), so nothing can be found in it.")


def _check_different(ids: Sequence[str], source: str) -> None:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise DataError(f"{source}, question {id_!r}: the id stands there twice. Every question needs its own.")
        seen.add(id_)


def _list(found: Any, key: str, where: str) -> list[Any]:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{where}: '{key}' is missing or no list. A SQuAD file has data > paragraphs > qas > answers.")
    return value


def _text(found: Any, key: str, where: str, *, empty: bool = False) -> str:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, str) or not (value or empty):
        raise DataError(f"{where}: '{key}' is missing or no filled string, got {value!r:.60}.")
    return value
