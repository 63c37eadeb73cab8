"""The reader of Dockerfiles against others, and on any text at all."""

import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support import dockerfile_oracles as oracles
from support import dockerfile_texts as texts

from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.convert import image_config
from buildgraph.dockerfile.outline import outline, targets
from buildgraph.dockerfile.parse import parse, parse_trigger, read
from buildgraph.dockerfile.words import expand, expand_body, expand_words
from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import matcher
from buildgraph.fs.moby import Patterns

ANY = st.text(max_size=200) | texts.FILES


@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
@given(texts.FILES)
def test_as_buildkits_own_parser(text):
    assume(not oracles.go_lags(text))
    assert oracles.our_lines(text) == oracles.go_lines(text)


@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
@given(texts.FILES)
def test_as_a_port_of_a_later_one(text):
    assume(not oracles.port_differs(text))
    assert oracles.our_lines(text) == oracles.port_lines(text)


@settings(max_examples=400)
@given(texts.WORDS, st.sampled_from("\\`"))
@example("${X//*/y}", "\\")
@example("${P%\\*\\}", "\\")
def test_words_as_the_port(word, escape):
    assume(not oracles.port_word_differs(word, escape))
    assert oracles.our_word(word, escape) == oracles.port_word(word, escape)


@settings(max_examples=200)
@given(ANY | st.binary(max_size=200))
def test_any_text_is_read_or_refused(text):
    file, error = read(text)
    assert error is None or error.where is not None
    last = 0
    for stage in file.stages:
        for found in (stage.origin, *stage.instructions):
            assert last < found.where.first <= found.where.last <= len(file.source.lines)
            last = found.where.last


@settings(max_examples=200)
@given(ANY | st.binary(max_size=200))
def test_any_text_is_checked_outlined_and_configured_or_refused(text):
    words = "check" if isinstance(text, str) else b"check"
    report = check(text) if words not in text else None
    try:
        targets(text)
        outline(text)
        image_config(text)
    except UsageError:
        return
    assert report is None or report.error is None


@settings(max_examples=200)
@given(
    st.text(max_size=60) | texts.WORDS, st.dictionaries(st.text(max_size=3), st.text(max_size=9))
)
def test_any_word_is_expanded_or_matched_or_refused(word, env):
    for expanded in (expand, expand_words, expand_body):
        with suppress(UsageError):
            expanded(word, env)
    with suppress(UsageError):
        parse_trigger(word, "Dockerfile")
    with suppress(UsageError):
        matcher(word)(word)
    with suppress(UsageError):
        Patterns.of_text(word).matches(word.replace("\n", "/"))


@pytest.mark.parametrize("head", ["", "RUN \\\n", "ENV a=1 \\\n", "COPY \\\n"])
@pytest.mark.parametrize(
    "unit",
    [
        "RUN x\n",
        "#\n",
        "# c\n",
        "\\\n",
        "\n",
        "ENV a=b \\\n",
        "--mount=type=cache,target=/x \\\n",
        "--mount='type=cache,\"target=/x\"' \\\n",
        "a='b\\\n",
        "RUN <<E\n",
        "<<E \\\n",
        "x",
        "COPY <<E <<F /\nE\nF\n",
        '["a", \\\n',
        "$x ${y:-\\\n",
        "-- -- \\\n",
        "\t",
        "FROM ",
    ],
)
def test_time_is_linear_in_the_text(head, unit):
    def seconds(count):
        text = "FROM a\n" + head + unit * count
        start = time.process_time()
        with suppress(UsageError):
            parse(text)
        return time.process_time() - start

    few, many = 1_500, 18_000
    least = max(0.004, *(seconds(few) for _ in range(2)))
    assert any(seconds(many) < 3 * (many // few) * least for _ in range(5))
