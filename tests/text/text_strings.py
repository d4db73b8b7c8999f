"""Strings over the whole of Unicode, and vocabularies to cut them with; the same seed gives the same ones."""

import random
import unicodedata
from functools import cache

# A little of many scripts, so that a vocabulary has real words in it.
TEXTS = """
The quick brown fox jumps over the lazy dog; it's unaffable, isn't it? E-mail: someone@example.org, 3.14 + 2 = 5.14!
Falsches Üben von Xylophonmusik quält jeden größeren Zwerg. Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia. Příliš žluťoučký kůň úpěl ďábelské ódy. İstanbul ılık ŞĞ
Съешь же ещё этих мягких французских булок, да выпей чаю. ΞΕΣΚΕΠΑΖΩ ΤΗΝ ΨΥΧΟΦΘΟΡΑ ΒΔΕΛΥΓΜΙΑ, ξεσκεπάζω σοφός ΌΣΙΟΣ
敏捷的棕色狐狸跳过了懒狗。いろはにほへと ちりぬるを カタカナ ﾊﾝｶｸ 키스의 고유조건은 입술끼리 만나야 하고 नमस्ते दुनिया
स्वागत है صِف خَلقَ خَودٍ كَمِثلِ الشَمسِ إِذ بَزَغَت דג סקרן שט בים מאוכזב เป็นมนุษย์สุดประเสริฐเลิศคุณค่า
ＦＵＬＬ　ｗｉｄｔｈ！ 👩‍👩‍👧‍👦 🇺🇳 ﬁ ǅ ẞ K Å
""".split()

_BLOCKS = {
    "ascii": (0x00, 0x7F),
    "latin": (0x80, 0x24F),
    "greek": (0x370, 0x3FF),
    "marks": (0x300, 0x36F),
    "cyrillic": (0x400, 0x52F),
    "rtl": (0x590, 0x6FF),
    "indic": (0x900, 0xDFF),
    "thai": (0xE00, 0xEFF),
    "jamo": (0x1100, 0x11FF),
    "extended": (0x1D00, 0x1FFF),
    "spaces": (0x2000, 0x206F),
    "symbols": (0x2100, 0x2BFF),
    "kana": (0x3000, 0x33FF),
    "cjk": (0x3400, 0x9FFF),
    "hangul": (0xAC00, 0xD7A3),
    "private": (0xE000, 0xF8FF),
    "compatibility": (0xF900, 0xFFFF),
    "plane1": (0x10000, 0x1FFFF),
    "plane2": (0x20000, 0x2FFFF),
    "plane3": (0x30000, 0x3FFFF),
    "tags": (0xE0000, 0xE01FF),
    "private15": (0xF0000, 0xF20FF),
    "private16": (0x100000, 0x1000FF),
}
_EVERYWHERE = (0, 0x10FFFF)
_SPECIAL = (
    "\0\t\n\v\f\r\x1c\x1f\x7f\x85\xa0\xad\u1680\u180e\u200b\u200d\u2028\u2029\u202f\u3000\ufeff\ufffd\x11\x12\x05"
)
_SIGMA = "ΣΣΣσςΑΟ.'\u0301\xad·ˣ: "


def character(random_: random.Random, bounds: tuple[int, int] = _EVERYWHERE) -> str:
    """One character, never half of a surrogate pair."""
    while True:
        code = random_.randint(*bounds)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def _one(random_: random.Random) -> str:
    kind = random_.randrange(9) if random_.random() < 0.97 else 9
    if kind == 0:  # anything at all
        return "".join(character(random_) for _ in range(random_.randint(0, 12)))
    if kind == 1:  # one block and ASCII letters
        bounds = random_.choice(list(_BLOCKS.values()))
        return "".join(
            character(random_, bounds) if random_.random() < 0.7 else random_.choice("abcXYZ 0") for _ in range(10)
        )
    if kind == 2:  # several blocks
        return "".join(character(random_, random_.choice(list(_BLOCKS.values()))) for _ in range(8))
    if kind == 3:  # real words, cased and decomposed at random
        words = random_.choices(TEXTS, k=random_.randint(1, 6))
        form = random_.choice(["NFC", "NFD", "NFKC", "NFKD"])
        text = unicodedata.normalize(form, random_.choice([" ", "", "-", "\u2028"]).join(words))
        return random_.choice([str.upper, str.lower, str.title, str])(text)
    if kind == 4:  # controls and spaces inside words
        return "".join(
            random_.choice(_SPECIAL) if random_.random() < 0.4 else random_.choice("aB中é한,") for _ in range(12)
        )
    if kind == 5:  # sigmas
        return "".join(random_.choice(_SIGMA) for _ in range(random_.randint(1, 10)))
    if kind == 6:  # heaps of marks
        return "".join(
            character(random_, _BLOCKS["marks"]) if random_.random() < 0.6 else character(random_, _BLOCKS["latin"])
            for _ in range(12)
        )
    if kind == 7:  # Hangul, whole and in parts
        return "".join(character(random_, _BLOCKS[random_.choice(["jamo", "hangul"])]) for _ in range(6))
    if kind == 8:  # a word in two scripts with punctuation of any age
        mark = random_.choice("-–—。、·'’_$^`~+\U00011b00\U00011f43\u1b7f\u2e52")
        return random_.choice(TEXTS) + mark + random_.choice(TEXTS) + character(random_)
    # long words, around both limits, in characters of one to four bytes
    length = random_.choice([98, 99, 100, 101, 102, 198, 199, 200, 201, 202, 350])
    unit = random_.choice(["a", "ab", "é", "e\u0301", "ж", "ก", "𐐷", "한", "ß", "\U00016f40", "ﬁ"])
    word = (unit * length)[:length]
    return random_.choice(["", "x ", "-"]) + word + random_.choice(["", " y", ".", "中b", "\u200b"])


def strings(seed: int, count: int) -> list[str]:
    """`count` strings of every awkward kind."""
    random_ = random.Random(seed)
    return [_one(random_) for _ in range(count)]


def invalid_bytes(seed: int, count: int) -> list[bytes]:
    """Strings of bytes that are mostly not UTF-8: cut, changed and mixed."""
    random_ = random.Random(seed)
    out = []
    for text in strings(seed, count):
        data = bytearray(text.encode()[:120])
        for _ in range(random_.randint(1, 4)):
            at = random_.randint(0, len(data))
            junk = [b"\xff", b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80", b"\xf4\x90"]
            data[at:at] = random_.choice(junk)
        if random_.random() < 0.5:
            data = data[random_.randint(0, 3) :]
        out.append(bytes(data))
    return out


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@cache
def realistic_vocabulary() -> tuple[str, ...]:
    """Words, beginnings and endings of real text in many scripts, cased and not, with and without accents."""
    forms: set[str] = set()
    for text in TEXTS:
        for cased in (text, text.lower()):
            forms |= {cased, "".join(c for c in unicodedata.normalize("NFD", cased) if unicodedata.category(c) != "Mn")}
    pieces: set[str] = set()
    for word in forms:
        for i in range(len(word)):
            pieces.add(word[i])
            pieces.add("##" + word[i])
            pieces |= {word[: i + 1], "##" + word[i : i + 3], "##" + word[i:]}
    pieces |= {chr(c) for c in range(33, 127)} | {f"##{chr(c)}" for c in range(33, 127)}
    return (*SPECIAL, *sorted(pieces - {"##"}))


@cache
def adversarial_vocabulary() -> tuple[str, ...]:
    """Nearly every assigned character as a word and as an ending, so that little hides behind [UNK]; and odd tokens.

    The few private-use characters that the tokenizer keeps for itself are left out, U+F0000 and from U+F1000.
    """
    tokens = []
    for code in range(1, 0x110000):
        if 0xD800 <= code <= 0xDFFF or code == 0xF0000 or 0xF1000 <= code < 0xF1200:
            continue
        c = chr(code)
        private = code >= 0xF0000 and code % 256
        if unicodedata.category(c) == "Cn" or private or c.isspace() or code in (0x11, 0x12):
            continue
        # All the ideographs and syllables would only be more of the same, and slow.
        many = 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3 or 0x17000 <= code <= 0x18AFF or code >= 0x20000
        if many and code % 16 and not 0x2B810 <= code < 0x2B930:
            continue
        tokens += [c, f"##{c}"]
    odd = [
        "##",
        "a b",
        "don't",
        "##.",
        "a.",
        "##a.b",
        "中国",
        "##中国",
        "a中",
        "中a",
        "。。",
        "##。",
        "[unused1]",
        "ab",
        "##ab",
    ]
    known = set(tokens)
    return (*SPECIAL, *tokens, *(t for t in odd if t not in known))
