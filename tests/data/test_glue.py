"""GLUE's files, written here as they come out of its archives, and what is handed in."""

import pytest

from keras_bert_zoo.data import GLUE, read_glue
from keras_bert_zoo.data.glue import write_predictions
from keras_bert_zoo.errors import ConfigError, DataError

MNLI = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
)
PARSES = "( a ( b c ) )\t( d e )\t(ROOT (NP a))\t(ROOT (VP d))"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"

# (task, what the archive holds, texts, second texts, labels, lines)
LABELLED = {
    "cola": (
        "cola",
        "gj04\t1\t\tOur friends won't \"buy this analysis.\nks08\t0\t*\tThem drove home.\n",
        ["Our friends won't \"buy this analysis.", "Them drove home."],
        None,
        ["1", "0"],
        [1, 2],
    ),
    "sst2": (
        "sst2",
        'sentence\tlabel\nhide new secretions \t0\nsaw " how bad this movie was \t1\n',
        ["hide new secretions ", 'saw " how bad this movie was '],
        None,
        ["0", "1"],
        [2, 3],
    ),
    "mrpc": (
        "mrpc",
        'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t702876\t702977\tHe said "yes .\tHe agreed .\n'
        "0\t2108705\t2108831\tShares fell .\tThey rose ."
        "\n",
        ['He said "yes .', "Shares fell ."],
        ["He agreed .", "They rose ."],
        ["1", "0"],
        [2, 3],
    ),
    "mrpc, the original file": (
        "mrpc",
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t1\t2\tA café .\tA bar .\r\n",
        ["A café ."],
        ["A bar ."],
        ["1"],
        [2],
    ),
    "stsb": (
        "stsb",
        f"{STSB}\tscore\n0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane.\t5.000\n"
        '1\tmain-news\theadlines\t2015\t0010\thttp://a\t"b\t"A man.\tA dog.\t0.600\n',
        ["A plane.", '"A man.'],
        ["An air plane.", "A dog."],
        ["5.000", "0.600"],
        [2, 3],
    ),
    "mnli": (
        "mnli",
        f"{MNLI}\tsentence1\tsentence2\tlabel1\tgold_label\n"
        f"0\t31193\t31193n\tgovernment\t{PARSES}\tSkimming it.\tIt is skimmed.\tneutral\tneutral\n",
        ["Skimming it."],
        ["It is skimmed."],
        ["neutral"],
        [2],
    ),
    "mnli, dev": (
        "mnli",
        f"{MNLI}\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"0\t63735\t63735n\tslate\t{PARSES}\tA.\tB.\tneutral\tneutral\tneutral\tcontradiction\tentailment\tneutral\n"
        f"1\t91383\t91383c\tslate\t{PARSES}\tC.\tD.\tcontradiction\tneutral\tentailment\tneutral\tentailment"
        "\tentailment\n",
        ["A.", "C."],
        ["B.", "D."],
        ["neutral", "entailment"],
        [2, 3],
    ),
    "qnli": (
        "qnli",
        'index\tquestion\tsentence\tlabel\n0\tWhen did "it end?\tIn 1990.\tentailment\n'
        "1\tWho?\tNobody knew.\tnot_entailment\n",
        ['When did "it end?', "Who?"],
        ["In 1990.", "Nobody knew."],
        ["entailment", "not_entailment"],
        [2, 3],
    ),
    "rte": (
        "rte",
        "index\tsentence1\tsentence2\tlabel\n0\tNo weapons found.\tWeapons found.\tnot_entailment\n",
        ["No weapons found."],
        ["Weapons found."],
        ["not_entailment"],
        [2],
    ),
    "wnli": (
        "wnli",
        "index\tsentence1\tsentence2\tlabel\n0\tI stuck a pin.\tThe pin had a hole.\t1\n",
        ["I stuck a pin."],
        ["The pin had a hole."],
        ["1"],
        [2],
    ),
}
# (task, what a test file holds, texts, second texts, index)
UNLABELLED = {
    "cola": (
        "cola",
        "index\tsentence\n0\tBill whistled past.\n1\tHim left.\n",
        ["Bill whistled past.", "Him left."],
        None,
    ),
    "sst2": ("sst2", "index\tsentence\n0\tuneasy mishmash\n", ["uneasy mishmash"], None),
    "mrpc": ("mrpc", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t108\t109\tPCCW .\tNow .\n", ["PCCW ."], ["Now ."]),
    "stsb": ("stsb", f"{STSB}\n0\ta\tb\t2\t9\tx\ty\tA girl.\tA boy.\n", ["A girl."], ["A boy."]),
    "qqp": (
        "qqp",
        'id\tquestion1\tquestion2\n0\tWould "a?\tAre b?\n1\tWhy?\t\n',
        ['Would "a?', "Why?"],
        ["Are b?", ""],
    ),
    "mnli": ("mnli", f"{MNLI}\tsentence1\tsentence2\n0\t1\t1n\tfiction\t{PARSES}\tE.\tF.\n", ["E."], ["F."]),
    "mnli, diagnostic": (
        "mnli",
        "index\tsentence1\tsentence2\n0\tThe cat sat.\tIt stood.\n",
        ["The cat sat."],
        ["It stood."],
    ),
    "qnli": ("qnli", "index\tquestion\tsentence\n0\tWhat?\tThat.\n", ["What?"], ["That."]),
    "rte": ("rte", "index\tsentence1\tsentence2\n0\tA.\tB.\n", ["A."], ["B."]),
    "wnli": ("wnli", "index\tsentence1\tsentence2\n0\tA.\tB.\n", ["A."], ["B."]),
}


@pytest.fixture
def file(tmp_path):
    def make(content, name="train.tsv"):
        (tmp_path / name).write_bytes(content.encode())
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_files(file, name):
    task, content, texts, pairs, labels, lines = LABELLED[name]
    table = read_glue(task, file(content), labelled=True)
    assert (table.texts, table.pairs, table.labels, table.lines) == (texts, pairs, labels, lines)
    found = GLUE[task]
    assert (found.pair is None) == (pairs is None)
    assert not found.labels or set(labels) <= set(found.labels)


@pytest.mark.parametrize("name", UNLABELLED)
def test_test_files_have_no_labels(file, name):
    task, content, texts, pairs = UNLABELLED[name]
    table = read_glue(task, file(content, "test.tsv"))
    assert (table.texts, table.pairs, table.labels) == (texts, pairs, None)
    with pytest.raises(DataError, match=r"test\.tsv: a test file of GLUE has no labels"):
        read_glue(task, file(content, "test.tsv"), labelled=True)


def test_every_task_is_read_above():
    assert {task for task, *_ in LABELLED.values()} | {"qqp"} == {task for task, *_ in UNLABELLED.values()} == set(GLUE)


QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def rows_of_qqp(count):
    return "".join(f'{i}\t{2 * i}\t{2 * i + 1}\tWhat "is {i}?\tWho was {i}?\t{i % 2}\n' for i in range(count))


def test_torn_lines_of_qqp_are_left_out_and_told(file):
    torn = "900\t1\t2\tHow do I\n learn?\tHow?\t1\n"  # one question with a line break: two lines
    path = file(QQP + rows_of_qqp(3) + torn + rows_of_qqp(300)[:-1])
    with pytest.warns(UserWarning, match=r"train\.tsv: 2 torn lines were left out, the first is line 5; 303 rows stay"):
        table = read_glue("qqp", path)
    assert table.texts[:5] == ['What "is 0?', 'What "is 1?', 'What "is 2?', 'What "is 0?', 'What "is 1?']
    assert table.lines[2:4] == [4, 7]
    assert (len(table), table.labels[-1], table.pairs[-1]) == (303, "1", "Who was 299?")


def test_many_torn_lines_are_another_file(file):
    path = file(QQP + rows_of_qqp(150) + "1\t2\n3\t4\n")
    with pytest.raises(DataError, match=r"train\.tsv: 2 lines, the first is line 152, have not 6 cells"):
        read_glue("qqp", path)
    whole = file(UNLABELLED["qqp"][1] + "2\tHow\n", "test.tsv")
    with pytest.raises(DataError, match=r"test\.tsv, line 4: 2 cells, the header has 3"):
        read_glue("qqp", whole)  # what is handed in must have every row


@pytest.mark.parametrize(
    ("task", "content", "told"),
    [
        ("sst2", "", r"train\.tsv is empty"),
        ("sst2", "sentence\tlabel\n", r"train\.tsv has no rows after its header"),
        ("sst2", "sentence\tlabel\na\t1\nb\n", r"train\.tsv, line 3: 1 cells, the header has 2 \(sentence, label\)"),
        (
            "sst2",
            "text\tlabel\na\t1\n",
            r"is no file of GLUE's sst2: its columns are text, label. It wants sentence and",
        ),
        ("rte", LABELLED["qnli"][1], "is no file of GLUE's rte: .* It wants sentence1, sentence2 and label"),
        ("stsb", "sentence1\tsentence2\na\tb\n", r"and score \(train, dev\) or index \(test\)"),
        ("cola", LABELLED["sst2"][1], r"train\.tsv, line 1: 2 cells, columns= names 4"),
        ("mrpc", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t2\t3\tA\n", r"line 2: 4 cells, the header has 5"),
        ("colla", "", "GLUE has no task 'colla'. Did you mean cola?"),
        ("squad", "", "GLUE has no task 'squad'. There are: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli."),
    ],
)
def test_files_that_are_refused(file, task, content, told):
    with pytest.raises(DataError, match=told):
        read_glue(task, file(content))


def test_figures_that_count():
    figures = {"loss": 0.5, "accuracy": 0.75, "f1": 0.25, "mcc": -0.125, "pearson": 0.5, "spearman": 0.25}
    scores = {name: task.score(figures) for name, task in GLUE.items()}
    assert scores == {
        "cola": -0.125,
        "sst2": 0.75,
        "mrpc": 0.5,
        "stsb": 0.375,
        "qqp": 0.5,
        "mnli": 0.75,
        "qnli": 0.75,
        "rte": 0.75,
        "wnli": 0.75,
    }
    assert GLUE["stsb"].monitor == "pearson+spearman"
    with pytest.raises(ConfigError, match=r"no figure f1 among accuracy: .* 'classification' with the labels 0, 1\."):
        GLUE["mrpc"].score({"accuracy": 1.0})


def test_what_makes_the_head():
    assert GLUE["cola"].arguments == {"pair": False, "labels": ["0", "1"]}
    assert GLUE["mnli"].arguments == {"pair": True, "labels": ["entailment", "neutral", "contradiction"]}
    assert (GLUE["stsb"].head, GLUE["stsb"].arguments) == ("regression", {"pair": True})
    assert {task.head for name, task in GLUE.items() if name != "stsb"} == {"classification"}


def test_predictions_are_written_as_the_server_takes_them(file, tmp_path):
    out = tmp_path / "MNLI-m.tsv"
    test = file("index\tsentence1\tsentence2\n7\ta\tb\n3\tc\td\n", "test.tsv")
    write_predictions("mnli", test, [{"label": "neutral"}, {"label": "entailment"}], out)
    assert out.read_text() == "index\tprediction\n7\tneutral\n3\tentailment\n"
    test = file(f"{STSB}\n0\ta\tb\t2\t9\tx\ty\tA.\tB.\n1\ta\tb\t2\t9\tx\ty\tA.\tB.\n2\ta\tb\t2\t9\tx\ty\tA.\tB.\n")
    write_predictions("stsb", test, [{"value": 5.25}, {"value": -0.5}, {"value": 2.71828}], out)
    assert out.read_text() == "index\tprediction\n0\t5.000\n1\t0.000\n2\t2.718\n"
    write_predictions("cola", file(LABELLED["cola"][1]), [{"label": "1"}, {"label": "0"}], out)  # no index of its own
    assert out.read_text() == "index\tprediction\n0\t1\n1\t0\n"


@pytest.mark.parametrize(
    ("task", "answers", "error", "told"),
    [
        ("rte", [{"label": "yes"}], ConfigError, "which is no prediction for this task. It wants .* labels entailment"),
        ("rte", [{"value": 1.0}], ConfigError, "no prediction for this task"),
        ("stsb", [{"label": "1"}], ConfigError, r"It wants the head 'regression'\."),
        ("rte", [], DataError, r"train\.tsv has 1 rows, but there are 0 answers"),
    ],
)
def test_answers_that_are_no_predictions(file, tmp_path, task, answers, error, told):
    out = tmp_path / "out.tsv"
    with pytest.raises(error, match=told):
        write_predictions(task, file(UNLABELLED[task][1]), answers, out)
    assert not out.exists()
