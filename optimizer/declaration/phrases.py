"""Words that a prompt can do without or say more plainly, in English; each entry is shorter than what it replaces."""

from collections.abc import Mapping
from types import MappingProxyType

COURTESIES = ("please", "kindly", "basically", "needless to say", "of course", "as you know")
"""Dropped wherever they stand. Words of degree (`very`, `just`, `only`) stay: scales and limits are made of them."""

OPENERS = (
    "i would like you to", "i'd like you to", "i want you to", "i need you to", "your task is to", "your job is to",
    "your goal is to", "you are asked to", "make sure to", "be sure to", "remember to", "do not forget to",
    "don't forget to", "it is important to note that", "it should be noted that", "note that", "keep in mind that",
    "bear in mind that",
)  # fmt: skip
"""Dropped where a sentence begins with them: what follows is a whole sentence by itself."""

THANKS = ("thank you very much", "thank you in advance", "thanks in advance", "thank you", "thanks")
"""Dropped where they are the whole sentence."""

PLAIN: Mapping[str, str] = MappingProxyType(
    {
        "in order to": "to",
        "so as to": "to",
        "for the purpose of": "for",
        "prior to": "before",
        "subsequent to": "after",
        "at this point in time": "now",
        "at the present time": "now",
        "due to the fact that": "because",
        "owing to the fact that": "because",
        "in light of the fact that": "because",
        "in spite of the fact that": "although",
        "despite the fact that": "although",
        "in the event that": "if",
        "in cases where": "where",
        "with regard to": "about",
        "in relation to": "about",
        "pertaining to": "about",
        "in accordance with": "by",
        "by means of": "by",
        "with the exception of": "except",
        "the majority of": "most",
        "a large number of": "many",
        "a sufficient number of": "enough",
        "has the ability to": "can",
        "have the ability to": "can",
        "is able to": "can",
        "are able to": "can",
        "take into consideration": "consider",
        "take into account": "consider",
        "make use of": "use",
        "makes use of": "uses",
        "making use of": "using",
        "utilize": "use",
        "utilizes": "uses",
        "utilized": "used",
        "utilizing": "using",
        "utilise": "use",
        "utilises": "uses",
        "utilised": "used",
        "utilising": "using",
        "utilization": "use",
        "demonstrate": "show",
        "demonstrates": "shows",
        "demonstrated": "showed",
        "demonstrating": "showing",
        "facilitate": "help",
        "facilitates": "helps",
        "facilitating": "helping",
        "endeavor to": "try to",
        "endeavour to": "try to",
        "ascertain": "find out",
        "commence": "begin",
        "commences": "begins",
        "commencing": "beginning",
        "terminate": "end",
        "terminates": "ends",
        "terminated": "ended",
        "elucidate": "explain",
        "approximately": "about",
        "subsequently": "later",
        "consequently": "so",
        "furthermore": "also",
        "nevertheless": "still",
        "numerous": "many",
        "methodology": "method",
        "methodologies": "methods",
        "regarding": "about",
        "whether or not": "whether",
    }
)
"""Long → plain."""

_SLIPS = ("the", "a", "an", "to", "of", "and", "or", "for", "with", "you", "your")
"""Words that stand twice in a row only by a slip."""

PAIRS: Mapping[str, str] = MappingProxyType(
    {
        "each and every": "each",
        "any and all": "all",
        "first and foremost": "first",
        "full and complete": "complete",
        "complete and full": "complete",
        "repeat again": "repeat",
        "combine together": "combine",
        "merge together": "merge",
        "end result": "result",
        "final outcome": "outcome",
        "final conclusion": "conclusion",
        "past history": "history",
        "absolutely essential": "essential",
        "absolutely necessary": "necessary",
        "absolutely must": "must",
        "completely eliminate": "eliminate",
        "basic fundamentals": "fundamentals",
        "exactly the same": "the same",
        "the reason why is because": "the reason is that",
        **{
            f"{word} {word}": word
            for word in ("the", "a", "an", "to", "of", "and", "or", "for", "with", "you", "your")
        },
    }
)
"""Said twice → said once."""
