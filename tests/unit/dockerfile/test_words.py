"""Word expansion: each form, quoting, splitting, what is refused, and that nothing takes long."""

import time
from contextlib import suppress

import pytest

from buildgraph.dockerfile.words import expand, expand_body, expand_words, expansion
from buildgraph.errors import UsageError

ENV = {"PWD": "/home", "SHELL": "bash", "KO": "한국어", "NULL": "", "F": "xxyy", "P": "/a/b/c.txt"}
ENV |= {"S": "3000 4000/udp", "STARS": "/foo*/*/*.txt", "NEEDLE": "\\*/", "U": "http://x.de"}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ('he"ll"o', "hello"),
        ("he\\'llo", "he'llo"),
        ("abc\\\\d", "abc\\d"),
        ("a\\", "a"),
        ("'a\\b'", "a\\b"),
        ('"a\\b"', "a\\b"),
        ('"a\\"b\\$c\\\\"', 'a"b$c\\'),
        ('"it\'s"', "it's"),
        ("'$PWD'", "$PWD"),
        ('"$PWD"', "/home"),
        ("\\$PWD", "$PWD"),
        ("he$PWD.", "he/home."),
        ("he${PWD}x", "he/homex"),
        ("he${KO}", "he한국어"),
        ("$PWDx", ""),
        ("$.x", "$.x"),
        ("he$", "he$"),
        ("'${'", "${"),
        ("\\${", "${"),
        ("$1$12$@$*$#$?$-$!$0 $$", " "),
        ("${XX}", ""),
        ("${XX:-}", ""),
        ("${XX:-000}", "000"),
        ("${XX-000}", "000"),
        ("${NULL:-000}", "000"),
        ("${NULL-000}", ""),
        ("${PWD:-000}", "/home"),
        ("${PWD:+x}", "x"),
        ("${NULL:+x}", ""),
        ("${NULL+x}", "x"),
        ("${XX+x}", ""),
        ("${PWD:?no}", "/home"),
        ("${NULL?no}", ""),
        ("${XX:-a${PWD}b}", "a/homeb"),
        ("${XX:-${YY:-${ZZ-'}'}}}", "}"),
        ('${XX:-"a b"}', "a b"),
        ("${XX:-a\\}b}", "a}b"),
        ("${XX:-%s %d}", "%s %d"),
        ("${F#x}", "xyy"),
        ("${F##*x}", "yy"),
        ("${F#*x*y}", "y"),
        ("${F##}", "xxyy"),
        ("${F#?}", "xyy"),
        ("${F%y}", "xxy"),
        ("${F%%y*}", "xx"),
        ("${F%*}", "xxyy"),
        ("${F%%*}", ""),
        ("${XX#x}", ""),
        ("${P##*/}", "c.txt"),
        ("${P%.*}", "/a/b/c"),
        ("${P%%/*}", ""),
        ("${KO#?}", "국어"),
        ("${KO%?}", "한국"),
        ("${F#'x'}", "xyy"),
        ("${F#$NULL}", "xxyy"),
        ("${F/x/1}", "1xyy"),
        ("${F//x/1}", "11yy"),
        ("${F/x*/1}", "1"),
        ("${F//?/-}", "----"),
        ("${F///}", "xxyy"),
        ("${F/$NULL/ww}", "wwxxyy"),
        ("${XX//a/b}", ""),
        ("${P//\\//_}", "_a_b_c.txt"),
        ("${STARS/$NEEDLE/.} ${STARS//$NEEDLE/.}", "/foo.*/*.txt /foo..*.txt"),
        ("${U/http:\\/\\//s:}", "s:x.de"),
        ("${U/x/\\}}", "http://\\}.de"),
        ("<<", "<<"),
        ("a < b << c", "a < b << c"),
    ],
)
def test_words_become(word, text):
    assert expand(word, ENV) == text


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("${}", "bad-substitution"),
        ("${", "bad-substitution"),
        ("${.}", "bad-substitution"),
        ("${:x}", "bad-substitution"),
        ("${{x}}", "bad-substitution"),
        ("${PWD", "bad-substitution"),
        ("${PWD:", "bad-substitution"),
        ("${PWD:x}", "bad-substitution"),
        ("${PWD:#x}", "bad-substitution"),
        ("${PWD:%x}", "bad-substitution"),
        ("${PWD=x}", "bad-substitution"),
        ("${PWD^}", "bad-substitution"),
        ("${F/x}", "bad-substitution"),
        ("${F//}", "bad-substitution"),
        ("${F#\\x}", "bad-substitution"),
        ("${F#x\\\\\\}", "bad-substitution"),
        ("${F%$BACK}", "bad-substitution"),
        ("'", "unclosed-quote"),
        ("a'b", "unclosed-quote"),
        ('"', "unclosed-quote"),
        ('"a$PWD', "unclosed-quote"),
        ('"a\\"', "unclosed-quote"),
        ("${XX?}", "variable-required"),
        ("${NULL:?}", "variable-required"),
    ],
)
def test_what_cannot_be_expanded(word, code):
    with pytest.raises(UsageError) as caught:
        expand(word, ENV | {"BACK": "\\"})
    assert caught.value.code == code


def test_the_message_of_a_required_variable_is_expanded():
    with pytest.raises(UsageError, match=r"^FOO: needed in /home$"):
        expand("${FOO:?needed in $PWD}", ENV)
    with pytest.raises(UsageError, match=r"^FOO: is not allowed to be unset$"):
        expand("${FOO?}", ENV)
    with pytest.raises(UsageError, match=r"^NULL: is not allowed to be empty$"):
        expand("${NULL:?}", ENV)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("", ()),
        ("  ", ()),
        ("a  b\tc", ("a", "b", "c")),
        ("$S", ("3000", "4000/udp")),
        ('"$S"', ("3000 4000/udp",)),
        ("x$S.y", ("x3000", "4000/udp.y")),
        ("'a b'c d", ("a bc", "d")),
        ("a\\ b", ("a b",)),
        ("$XX a", ("a",)),
        ("''", ()),
        ("a${XX:-b c}d e", ("ab", "cd", "e")),
        ("a<< b", ("a<< b",)),
    ],
)
def test_words_are_split_where_nothing_quotes(word, words):
    assert expand_words(word, ENV) == words


def test_backtick_as_the_escape_character():
    env = {"D": "C:\\x"}
    assert expand("`$D", env, "`") == "$D"
    assert expand("$D\\y", env, "`") == "C:\\x\\y"
    assert expand('"`"a\\"', env, "`") == '"a\\'
    assert expand("${Q:-a`}}", env, "`") == "a}"


def test_what_was_asked_for_is_told():
    found = expansion("$PWD ${A} ${B:-x} ${C+x} $1", ENV)
    assert found.used == {"PWD"}
    assert found.unset == {"A", "B", "C", "1"}
    assert found.undefined == {"A", "1"}


def test_bodies_of_heredocs_keep_their_quotes():
    body = "it's \"$PWD\" '$PWD' \\$PWD \\\\ \\\na `$PWD`\n"
    assert expand_body(body, ENV) == "it's \"/home\" '/home' $PWD \\ \na `/home`\n"


def test_the_template_of_go_in_replacements():
    assert expand("${F//x/'[$0]'}", ENV) == "[x][x]yy"
    assert expand("${F//x/'$1${a}$$'}", ENV) == "$$yy"
    assert expand("${F/x/'$0'}", ENV) == "$0xyy"


def test_env_quoting_as_buildah_lists_it():
    table = {
        "\"b'c'd\"": "b'c'd",
        '\\"b\\"': '"b"',
        "b\\ c": "b c",
        '"b\\" c"': 'b" c',
        "'b\\'": "b\\",
        '""': "",
        '"${E}"': "",
        '"\'"': "'",
        "'\"'": '"',
        "a\"b\"'c'd": "abcd",
        '"a\\\\b"': "a\\b",
        '"a\\nb"': "a\\nb",
        "a\\nb": "anb",
        "[\\'x\\',\\ \\'y\\']": "['x', 'y']",
        '"two  blanks"': "two  blanks",
    }
    assert {word: expand(word, {"E": ""}) for word in table} == table


@pytest.mark.parametrize(
    "word",
    [
        "${Q:-" * 100_000 + "x" + "}" * 100_000,
        "${Q:-" * 100_000,
        '"$F' * 100_000,
        "${L//" + "*a" * 400 + "b/x}",
        "${L##" + "?*" * 400 + "b}",
        "${L%%" + "*a" * 400 + "}",
        "${L//?/x}",
        "\\" * 300_001,
        "<" * 300_000,
        "$" * 300_000,
    ],
)
def test_nothing_takes_long(word):
    start = time.process_time()
    with suppress(UsageError):
        expand(word, {"L": "a" * 20_000, "F": "x"})
    assert time.process_time() - start < 3


def test_variables_that_double_each_other_end():
    value = "x"
    for _ in range(22):
        value = expand("$V$V", {"V": value}) if len(value) < 1 << 21 else value
    with pytest.raises(UsageError) as caught:
        expand("$V$V$V", {"V": value})
    assert caught.value.code == "expansion-too-long"
