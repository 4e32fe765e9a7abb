# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits, judged by Python: what is stored for a changed text loads as what Python makes of that text.

Random values of literals are shown, their texts changed a little in many places, and saved. EDITS is the number of edits (12000).
"""
import ast
import os
import pickle
import random
import sys
import warnings

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from codec import TOOL, Codec, Refused  # noqa: E402
from test_text import Literals, same  # noqa: E402

COUNT = int(os.environ.get("EDITS", "12000"))

pytestmark = pytest.mark.skipif(not TOOL, reason="CODECTOOL does not name the test program")

SPELLINGS = """0x1F 0o17 0b101 1_000 0XAB_CD -0x10 +5 --5 1e3 1E-3 .5 5. 1_0.5e1_0 -0.0 1e999 -1e999 0_0 00 1j 2.5J 1+2j 1-2j
-1-2j 3 + 0j -0.0+1e999j 10000000000000000000000 -9223372036854775808 9223372036854775808 () (1,) (1) ((2)) set() {1,2} {}
[...] ... None True False 'a'"b" 'a' 'b' r'\\n\\'' R"x" b'x' B"\\x00" rb'\\x00' bR'y' u'é' U'' '''t"t''' '\\N{DIGIT ONE}' '\\x41\\u0042\\U00000043'
'\\101\\0' '\\q' b'\\q' "it's" '\\\\' f'x' f'{1}' 1__0 1_ 0x 07 'a' b'b' [1,] [,] [1 2] {1:2,} {1:2, 3} (,) 1if lambda:0 not-a-name
0777 1e 'unclosed b'é' - -- +- ~5 1<2 [*[1]] {**{}} 'a'*2 1+2 1.5-2 [1]+[2] x.y.z 5L ur'x' $ ? 'a\\
b' b'''1
2'''""".split()
SPELLINGS += ["1 + 2j", "- 5", "( 1 , 2 )", "[1, # comment\n 2]", "'a' 'b'", "('a'\n 'b')", "{ 'k' : [ ] }", "b'a' b'b'", "'''two\nlines'''",
              "'tab\\tnew\\nline'", "[\n]", "{1, 2,\n}", "'a' # x", "(1,\n\n2)", "-(5)", "+(-5)", "- 1j", "'\\\n'", "r'\\\n'"]


def evaluated(text):
    """What Python makes of it; ValueError: no literal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.literal_eval(text.strip(" \t\n"))
        except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(str(error))


def tokens(text):
    """Where the words of a text start and end, comments and strings whole."""
    found, at = [], 0
    while at < len(text):
        end = at + 1
        if text[at] in "'\"":
            while end < len(text) and text[end] != text[at]:
                end += 2 if text[end] == "\\" else 1
            end += 1
        elif text[at].isalnum() or text[at] in "_.":
            while end < len(text) and (text[end].isalnum() or text[end] in "_."):
                end += 1
        found.append((at, min(end, len(text))))
        at = end
    return found


def edited(pick, text):
    """A text with a word replaced, doubled, removed, moved, or with something put in front of it."""
    found = tokens(text)
    words = [place for place in found if text[place[0]].isalnum() or text[place[0]] in "'\"_."]
    start, end = pick.choice(words if words and pick.random() < 0.8 else found)
    other = pick.choice(found)
    kind = pick.randrange(8)
    if kind < 3:
        return text[:start] + pick.choice(SPELLINGS) + text[end:]
    if kind == 3:
        return text[:start] + text[end:]
    if kind == 4:
        return text[:end] + pick.choice((", ", " ", "")) + text[start:end] + text[end:]
    if kind == 5:
        return text[:start] + pick.choice((" ", "\n", "  # comment\n", "\\\n", ",", "-", "(", ")", "\t", "u", "b", "r")) + text[start:]
    if kind == 6:
        return text[:start] + pick.choice(("[%s]", "(%s)", "(%s,)", "{%s}", "{'k': %s}", "-%s")) % text[start:end] + text[end:]
    return text[:start] + text[slice(*other)] + text[end:]


def alike(left, right):
    """As same(), complex numbers with the signs of their zeros included."""
    return same(left, right) and repr(left) == repr(right)


def judge(save, text, counts):
    """Saves `text`, and compares with Python."""
    loaded = refused = failure = None
    try:
        stored = save(text.encode("utf-8", "surrogatepass"))
    except Refused as refusal:
        refused = refusal
    try:
        loaded = None if refused else pickle.loads(stored)
    except (TypeError, AttributeError, ImportError, ValueError) as error:
        failure = error  # a list in a set, as ast.literal_eval() says it, or a name that stands for nothing
    try:
        value = evaluated(text)
        # What has commas but no brackets is no tuple here: most of that is text.
        if evaluated("[%s\n]" % text.strip(" \t\n")) != [value] and value == value:
            value = ValueError
    except ValueError:
        value = ValueError
    plain = text[:-1] if text.endswith("\n") else text
    if refused:
        kind = "refused"
        assert value is ValueError, (text, refused)
    elif failure:
        kind = "does not load"
        assert value is ValueError, (text, failure)
    elif value is not ValueError and alike(loaded, value):
        kind = "literal"
    elif loaded == plain:
        kind = "text"
        # A name alone, ... among them, is text.
        assert value is ValueError or value is Ellipsis, (text, value)
    else:
        kind = "more than literals"  # such as a name of a class, nan, frozenset({1}), or a repetition of one shared value
        assert value is ValueError, (text, loaded, value)
    counts[kind] = counts.get(kind, 0) + 1


def test_spellings():
    counts = {}
    with Codec() as codec:
        for text in SPELLINGS:
            for form in ("%s", "[%s]", "{'key': %s}", "(%s, 1)\n", "# note\n%s", "[\n    %s,\n]"):
                judge(codec.save, form % text, counts)
    print(counts)
    assert counts["literal"] > 3 * len(SPELLINGS) and counts["text"] > len(SPELLINGS)


@pytest.mark.parametrize("protocol", (0, 2, 4, 5))
def test_edits(protocol):
    literals = Literals(1000 + protocol)
    pick = literals.random
    counts = {}
    with Codec("pickle", protocol) as codec:
        while sum(counts.values()) < COUNT // 4:
            value = literals.value(pick.choice((1, 2, 3)))
            text = codec.show(pickle.dumps(value, protocol)).decode("utf-8", "surrogateescape")
            if text.startswith("#") or ":=" in text or len(text) > 2000 or "\udc80" <= max(text, default="") <= "\udcff":
                continue
            for _ in range(pick.choice((1, 1, 2, 4))):
                text = edited(pick, text) if text else pick.choice(SPELLINGS)
            # Where nothing is stored, and over what was shown: then what only looks like a value is refused.
            judge(pick.choice((codec.save, codec.over)), text, counts)
    print(counts)
    assert counts["literal"] > COUNT // 30
