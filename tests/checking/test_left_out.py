"""A run of the tests says how many of the native kernel's were left out, whatever else was."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from support.native import HERE, say_left_out


@pytest.mark.parametrize("reasons", [[], ["no torch"], [HERE.kwargs["reason"]] * 3 + ["no torch"]])
def test_what_is_left_out_is_said(reasons):
    skipped = [SimpleNamespace(longrepr=("a file", 1, f"Skipped: {reason}")) for reason in reasons]
    reporter = Mock(stats={"skipped": skipped} if reasons else {})
    say_left_out(reporter)
    said = [call.args[0] for call in reporter.write_line.call_args_list]
    count = reasons.count(HERE.kwargs["reason"])
    assert [line.partition(" tests")[0] for line in said] == [f"LEFT OUT: {count}"] * bool(count)
    assert all("`make native` builds it" in line for line in said)
