"""`kbz benchmark`: ours and the peers that are installed, side by side on the user's machine.

plan.py       how much is measured            contenders/   one file a peer, one table
texts.py      the texts that are asked        worker.py     one process a contender, which works when told
turns.py      who is next; ratios, spread     measure.py    the whole run
report.py     its result, as JSON             tables.py, picture.py   for people
"""
