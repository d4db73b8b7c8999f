"""The odd sizes every test uses: all differ, so that a swapped axis cannot pass."""

BATCH, TIME = 5, 7
VOCAB, HIDDEN, LAYERS, HEADS, INNER, POSITIONS, TYPES = 99, 12, 3, 4, 37, 23, 2
