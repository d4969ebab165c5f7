"""Finding the answer in a reply, and comparing it with the truth as a number.

The two extractions of lm-evaluation-harness' ``gsm8k`` (EleutherAI, commit 4e7e0d47): *strict* wants the prescribed
format, *flexible* takes the last thing that looks like an answer. Flexible deviates where lm-eval's pattern misleads:
an answer in the prescribed format wins over any later number (``#### 72 (in 3 steps)``), a hyphen after a digit is
arithmetic and no sign (``10-5``), dots that end a sentence are not part of a number (``72...``), and whatever follows a
stop string is another question (run-on text). ``72.0`` equals ``72``.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

STRICT = r"#### (\-?[0-9\.\,]+)"
NUMBER = r"((?<![\d.,)])[-−]\$?\d[\d,]*(?:\.\d+)?|\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+))"
STOP = ("Question:", "</s>", "<|im_end|>")


def cut(text: str, stop: Sequence[str] = STOP) -> str:
    """The text before the first stop string."""
    return min((text.partition(mark)[0] for mark in stop), key=len, default=text)


def strict(text: str, pattern: str = STRICT, stop: Sequence[str] = STOP) -> str | None:
    """The first answer in the prescribed format, or None. ``pattern`` has one group."""
    match = re.search(pattern, cut(text, stop))
    return match.group(1) if match else None


def flexible(text: str, pattern: str = STRICT, loose: str = NUMBER, stop: Sequence[str] = STOP) -> str | None:
    """The answer in the prescribed format, else the last match of ``loose`` (one group), or None."""
    found = strict(text, pattern, stop)
    if found is not None:
        return found
    matches = re.findall(loose, cut(text, stop))
    return matches[-1] if matches else None


def number(text: str) -> Decimal | None:
    """The number a text stands for (``$1,200.`` is 1200), or None."""
    bare = text.strip().replace("−", "-").replace(",", "").replace("$", "").rstrip(".")
    try:
        value = Decimal(bare)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def same(answer: str | None, truth: str) -> bool:
    """Equal as numbers where both are numbers, else equal as words, case and outer space aside."""
    if answer is None:
        return False
    left, right = number(answer), number(truth)
    if left is not None and right is not None:
        return left == right
    return answer.strip().casefold() == truth.strip().casefold()
