"""LADS: accounts that ask within one bucket of prompts share their randomness, so many accounts learn no more than
one. Diao et al., arXiv 2605.18829.

    stream = PRF_key(bucket(prompt), visit),    visit = how often this account has asked within this bucket

One account sees independent samples of an unchanged distribution, so an honest user pays nothing; the n-th visit of
any account draws the same numbers as every other account's n-th. No code or default is published. Breakers:
paraphrase across a bucket's border, one account with a large volume, greedy decoding. Deviates: the bucket is a keyed
SimHash of the words of the last user message, in place of an embedding; a request of several samples is one visit.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from defenses.primitives.keyed import Key, secrets
from spiritsafe.account import Account
from spiritsafe.defense import Defense, Needs
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request
from spiritsafe.randomness import stream_key


@dataclass(kw_only=True)
class LADS(Defense):
    """``bits`` of the SimHash make the buckets: the more, the narrower; with 0 a bucket is one text, up to case and
    white space."""

    key: Key = None
    bits: int = 16
    visits: Counter[tuple[str, str]] = field(default_factory=Counter, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.ACCOUNTS | Needs.KEY

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= 64:
            raise UserError(f"lads needs bits from 0 (one text a bucket) to 64, got {self.bits}")
        self._secret = int(secrets("lads", self.key)[0])

    def randomness(self, request: Request, account: Account) -> str:
        bucket = self.bucket(request)
        visit = self.visits[account.id, bucket]
        self.visits[account.id, bucket] += 1
        return "lads-" + hashlib.blake2b(f"{self._secret}\0{visit}\0{bucket}".encode(), digest_size=16).hexdigest()

    def bucket(self, request: Request) -> str:
        said = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
        text = " ".join(unicodedata.normalize("NFKC", said).casefold().split())
        return simhash(re.findall(r"\w+", text), self._secret, self.bits) if self.bits else text


def simhash(words: list[str], secret: int, bits: int) -> str:
    """Charikar, STOC 2002: the signs of the sum of the words' random ±1 vectors, as zeros and ones."""
    hashes = torch.tensor([stream_key(secret, word, 0) for word in words], dtype=torch.long)
    votes = (hashes[:, None] >> torch.arange(bits) & 1) * 2 - 1
    return "".join(map(str, (votes.sum(0) > 0).int().tolist()))
