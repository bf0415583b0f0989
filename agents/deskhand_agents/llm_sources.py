"""Whether a sentence that a model wrote is backed: it is a sentence of a passage, or says nothing at all.

A model under somebody else's control can cite a real quote beside an invented sentence. So a sentence stands only
when it is its source's sentence, whole or shortened by words that decide nothing. Conditions, denials, numbers,
names and what may or must be done always stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deskhand.answers import Citation, Passage
from deskhand.fencing import normalise
from deskhand_agents.commitments import bare
from deskhand_agents.reply_lines import plain
from deskhand_agents.sentences import compact, content_words, split_sentences

MIN_KEPT = 0.8
"""Least share of a source's words that a shortened sentence keeps."""

MAX_SENTENCES = 3
"""Most sentences of a passage that one quote may span."""

MAX_COURTESY_WORDS = 25

_PUNCTUATION = r".,;:!?'\u2019\"()\u201c\u201d…-"
_TOKEN = re.compile(rf"[€£$¥%]|\d+(?:[.,:/-]\d+)*|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[^\s\w{_PUNCTUATION}]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FREE = _words("a an the also and so then please therefore however just simply")
_GUARDS = _words("""
    not no never none neither nor cannot without only unless except if when while whether until till before after
    within inside outside during from to by for at in on of over under above below between than or but
    can could may might must should shall will would need needs have has had do does did is are was were
    all any every each both either some most least up maximum minimum always i we you they he she it
    excluding including excluded included
""")
_COURTESIES = _words("""
    a about again all also and any anything apologies apologise apologize appreciate are as ask asking bringing clear
    contact contacting convenience dear do else feel for frustrating further glad good happy have hear hello help
    helped helpful hope how i if inconvenience kind know let me message more of or our patience please question
    questions reaching read regards reply sincerely sorry thank thanks that the this to trouble truly understand us
    very we wish with write writing you your m re
""")


def cite(text: str, passage: Passage, quote: str) -> Citation | None:
    """Return the citation of a sentence whose source says the same, None when it does not.

    Args:
        text: The sentence as it would stand in the reply.
        passage: What it is said to come from.
        quote: What it is said to quote. The citation quotes the whole sentence around it, word for word.
    """
    sentence = compact(normalise(text))
    source = _around(quote, passage)
    if source is None or not _says_same(sentence, plain(source)):
        return None
    return Citation(sentence=sentence, passage_id=passage.id, quote=source)


def _around(quote: str, passage: Passage) -> str | None:
    """Return the shortest run of whole sentences that holds ``quote`` and stands so in the passage."""
    wanted, whole = bare(quote), bare(passage.text)
    if not wanted or wanted not in whole:
        return None
    sentences = split_sentences(passage.text)
    for length in range(1, MAX_SENTENCES + 1):
        for start in range(len(sentences) - length + 1):
            run = " ".join(sentences[start : start + length])
            if wanted in bare(run) and bare(run) in whole:
                return compact(run)
    return None


def _says_same(sentence: str, source: str) -> bool:
    own, theirs = _tokens(sentence), _tokens(source)
    kept = _matched(own, theirs)
    if kept is None:
        return False
    if any(_decides(token, is_first=i == 0) for i, token in enumerate(theirs) if i not in kept):
        return False
    words, n_kept = content_words(source), len(content_words(sentence))
    return n_kept >= MIN_KEPT * len(words)


def _tokens(text: str) -> list[str]:
    return [match[0] for match in _TOKEN.finditer(text) if match[0].lower() not in _FREE]


def _matched(own: Sequence[str], theirs: Sequence[str]) -> set[int] | None:
    """Return the places of ``own`` in ``theirs``, in order; None when a word of ``own`` is not there."""
    places, at = set(), 0
    for token in own:
        while at < len(theirs) and theirs[at].lower() != token.lower():
            at += 1
        if at == len(theirs):
            return None
        places.add(at)
        at += 1
    return places if places else None


def _decides(token: str, *, is_first: bool) -> bool:
    """Tell whether leaving a word out may change what is said."""
    lower = token.lower()
    is_name = token != lower and not is_first
    return is_name or not lower.isalpha() or lower in _GUARDS or lower.endswith(("n't", "n\u2019t"))


def is_courtesy(text: str) -> bool:
    """Tell whether a sentence is made of the words of politeness alone: thanks, regret, an offer to help.

    Its words are a closed list, so that no fact, name, number or promise can be said with them.
    """
    words = re.findall(r"[^\W_]+", text.lower().replace("'", " ").replace("\u2019", " "))
    is_short = 0 < len(words) <= MAX_COURTESY_WORDS
    is_polite = _COURTESIES.issuperset(words)
    return is_short and is_polite and not re.search(r"[<>\[\]{}@/\\]", text)
