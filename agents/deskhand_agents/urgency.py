"""How soon a ticket must be answered and how its writer sounds, by rules that a person can read."""

from __future__ import annotations

import re

from deskhand.answers import Sentiment
from deskhand.fencing import fold
from deskhand.tickets import Priority

_ORDER = tuple(Priority)
_DANGER = re.compile(
    r"\b(?:smok(?:e|ing|ed)(?! detector)|burn(?:t|s)?\b(?! cd)|burning(?= (?:smell|plastic|hot))|caught fire|on fire"
    r"|fire brigade|spark(?:s|ed|ing)?"
    r"|electric(?:al)? shock|shock(?:ed)? me|got a (?:shock|tingle)|bare (?:wire|copper)|see (?:the )?copper"
    r"|(?:too|so) hot (?:to touch|to hold|(?:that )?i can.?t)|cut (?:his|her|my|their) (?:hand|finger)s?"
    r"|melt(?:ed|ing)|explod\w+|injur\w+|ambulance|was electrocuted|smells? (?:of |like )?burn\w*|gas leak)\b"
)
_URGENT = re.compile(
    r"\b(?:(?<!not )urgent(?:ly)?|asap|as soon as possible|immediately|emergency|critical|time.sensitive)\b"
)
_DEADLINE = re.compile(
    r"\b(?:(?:by|before|until|no later than) (?:today|tonight|tomorrow|noon|(?:this |next )?(?:mon"
    r"|tues|wednes|thurs|fri|satur|sun)day)"
    r"|(?:today|tomorrow)(?: morning| evening| night)?\b(?=.{0,40}\b(?:birthday|party|leav|travel"
    r"|event|deadline|due|closes|charge|ship)))"
)
_MONEY_AT_RISK = re.compile(
    r"\b(?:charged (?:me )?(?:twice|double|again)|double charge|unauthori[sz]ed|hacked"
    r"|charged (?:me )?(?:two|three) times"
    r"|some(?:one|body)(?: else)? (?:is |has |was )?(?:us|log|order|placed an order|in my account)\w*|fraud\w*"
    r"|stolen|not my (?:order|purchase)|did ?n[o']t (?:make|place|authori[sz]e)|chargeback)\b"
)
_PROPERTY = re.compile(
    r"\b(?:leak(?:s|ed|ing)?|dripp(?:ed|ing)|puddle|flood(?:ed|ing)?)\b"
    r"(?=.{0,120}\b(?:floor\w*|parquet|carpet|ceiling|sideboard|cupboard|wall|socket|neighbou?rs?)\b)"
)
_CHASING = re.compile(
    r"\b(?:still waiting|(?:third|fourth|fifth|3rd|4th|5th) (?:e.?mail|mail|message|ticket|request|reminder)"
    r"|for the (?:third|fourth|fifth|last) time|no (?:reply|answer|response)(?! (?:needed|necessary|required))"
    r"|nobody (?:answer\w*|repl\w+)|chasing|again and again)\b"
)
_CALM = re.compile(
    r"\b(?:no (?:rush|hurry)|not urgent|when(?:ever)? you (?:have|get) (?:a )?(?:moment|time"
    r"|chance)|just (?:wondering|curious|a question)"
    r"|feature request|suggestion|quick question|thinking (?:of|about) buying|before i buy)\b"
)
_NEGATIVE = re.compile(
    r"\b(?:angry|furious|annoy\w*|disappoint\w*|frustrat\w*|ridiculous|unacceptable|terrible|awful"
    r"|horrible|worst|useless|fed up|disgust\w*"
    r"|scam|rip.?off|joke|appalling|upset|outrag\w*|not (?:happy|acceptable|good enough)|unhappy"
    r"|never again|waste of|broken|sick of|shame"
    r"|poor (?:service|quality)|let down|rubbish|pathetic|no (?:reply|answer|response)|still (?:no|not|waiting))\b"
)
_POSITIVE = re.compile(
    r"\b(?:love|loving|great|excellent|awesome|fantastic|wonderful|amazing|perfect\w*|delighted"
    r"|happy with|very happy|brilliant|superb|pleased"
    r"|impressed|thank you so much|thanks so much|well done|lovely|enjoy\w*)\b"
)
_SHOUTED = re.compile(r"\b[A-Z]{4,}\b")
_CODE_LIKE = re.compile(
    r"\b[A-Z]+-?\d[\w-]*|\[[A-Z]+_\d+\]|\b(?:HTTP|URL|USB|LED|VAT|IBAN|PDF|ASAP|FAQ|GDPR|WLAN|PIN)\b"
)


def judge_priority(text: str, *, default: Priority = Priority.normal, flags: tuple[str, ...] = ()) -> Priority:
    """Return a priority: danger is urgent, and signs of haste or loss raise the default.

    Signs are urgent words, a deadline, money or property at risk, shouting and threats: one raises to high at least,
    more by two. Asking again raises by one, calm words lower by one.

    Args:
        text: What the customer wrote, masked.
        default: Where the category usually stands.
        flags: Of the screening; ``safety`` is urgent, ``threat`` and ``fraud_sign`` count.
    """
    folded = fold(text)
    if "safety" in flags or _DANGER.search(folded):
        return Priority.urgent
    level = _ORDER.index(default)
    patterns = (_URGENT, _DEADLINE, _MONEY_AT_RISK, _PROPERTY)
    n_signs = sum(1 for pattern in patterns if pattern.search(folded)) + is_shouting(text)
    n_signs += len({"threat", "fraud_sign"} & set(flags))
    if n_signs:
        return max(_ORDER[min(level + (2 if n_signs > 1 else 1), 3)], Priority.high, key=_ORDER.index)
    if _CHASING.search(folded):
        return _ORDER[min(level + 1, 2)] if level < 2 else default
    if _CALM.search(folded):
        return _ORDER[max(level - 1, 0)]
    return default


def judge_sentiment(text: str) -> Sentiment:
    """Return how the customer sounds; neutral when nothing or both sides speak."""
    folded = fold(text)
    n_negative = len(_NEGATIVE.findall(folded)) + (1 if is_shouting(text) else 0) + (1 if "!!" in text else 0)
    n_positive = len(_POSITIVE.findall(folded))
    if n_negative > n_positive:
        return Sentiment.negative
    return Sentiment.positive if n_positive > n_negative else Sentiment.neutral


def is_shouting(text: str) -> bool:
    """Tell whether at least three words, and more than a third of them, are in capitals; codes do not count."""
    plain = _CODE_LIKE.sub(" ", text)
    words = re.findall(r"\b[^\W\d_]{4,}\b", plain)
    shouted = _SHOUTED.findall(plain)
    return len(shouted) >= 3 and 3 * len(shouted) > len(words)
