"""The checker of recorded histories (linear.py): it takes good ones, and finds what is wrong in each bad one."""

from __future__ import annotations

import pytest
from linear import Op, check, main, read


def history(text: str) -> list[Op]:
    """Lines of `thread begin end what key value result`."""
    return read("# any\n" + "\n".join(line.strip() for line in text.strip().splitlines()))[1]


GOOD = {
    "ring": [
        "0 1 2 push 0 7 1\n1 3 4 pop 0 0 7\n1 5 6 pop 0 0 0",
        "0 1 9 push 0 7 1\n1 2 3 pop 0 0 0\n1 4 5 pop 0 0 7",  # the push happens between the two
        "0 1 2 push 0 1 1\n0 3 4 push 0 2 1\n0 5 6 push 0 3 1\n0 7 8 push 0 4 1\n0 9 10 push 0 5 0\n1 11 12 pop 0 0 1",
    ],
    "trace": [
        "0 1 2 put 0 5 0\n1 3 4 find 0 0 5\n0 5 6 put 0 5 1\n0 7 8 put 0 6 2\n1 9 10 find 0 0 5",  # the first stays
        "0 1 2 put 0 5 0\n0 5 6 turn 0 5 1\n0 7 8 turn 0 6 2\n1 9 10 find 0 0 6",
        "0 1 9 put 0 5 0\n1 1 9 turn 0 6 2\n2 2 3 find 0 0 5\n2 4 5 find 0 0 6",
        "0 1 2 put 0 5 0\n1 3 4 put 0 6 -1\n1 5 6 find 0 0 5\n1 7 8 find 0 0 0",
        "0 1 2 put 0 5 0\n0 3 4 put 1 6 0\n1 5 6 find 0 0 5",
    ],
    "table": [
        "0 1 2 publish 0 1 0\n1 3 4 lookup 0 0 1\n0 5 6 remove 0 0 1\n1 7 8 lookup 0 0 0",
        "0 1 2 publish 0 1 0\n0 3 9 publish 0 2 0\n1 4 5 lookup 0 0 1\n1 6 7 lookup 0 0 2",
        "0 1 2 publish 3 1 0\n0 3 4 publish 2 2 0\n1 5 6 lookup 1 0 2\n0 7 8 publish 1 3 0\n1 9 10 lookup 1 0 3",
    ],
}
BAD = {
    "ring": [
        "0 1 2 push 0 7 1\n1 3 4 pop 0 0 0",  # lost
        "0 1 2 push 0 7 1\n1 3 4 pop 0 0 7\n1 5 6 pop 0 0 7",  # twice
        "0 1 2 push 0 7 1\n0 3 4 push 0 8 1\n1 5 6 pop 0 0 8",  # out of order
        "1 1 2 pop 0 0 7\n0 3 4 push 0 7 1",  # before it was there
        "0 1 2 push 0 7 0\n1 3 4 pop 0 0 0",  # refused, though there was room
        "0 1 2 push 0 1 1\n0 3 4 push 0 2 1\n0 5 6 push 0 3 1\n0 7 8 push 0 4 1\n0 9 10 push 0 5 1",  # one too many
    ],
    "trace": [
        "0 1 2 put 0 5 0\n0 3 4 turn 0 6 2\n1 5 6 find 0 0 5",  # stale
        "0 1 2 put 0 5 0\n0 3 4 put 0 6 2\n1 5 6 find 0 0 6",  # turned over
        "0 1 2 put 0 5 0\n1 3 4 put 0 5 0",  # the first was forgotten
        "0 1 2 put 0 5 0\n1 3 4 find 0 0 6",  # from nowhere
        "0 1 9 put 0 5 0\n1 1 9 turn 0 6 2\n2 2 3 find 0 0 6\n2 4 5 find 0 0 5",  # back in time
        "0 1 2 put 0 5 0\n0 3 4 put 1 6 0\n1 5 6 find 0 0 6",  # another id's
    ],
    "table": [
        "0 1 2 publish 0 1 0\n0 3 4 publish 0 2 0\n1 5 6 lookup 0 0 1",  # stale
        "0 1 2 publish 0 1 0\n0 3 9 publish 0 2 0\n1 4 5 lookup 0 0 2\n2 6 7 lookup 0 0 1",  # back in time
        "0 1 2 publish 0 1 0\n1 3 4 lookup 1 0 1",  # another name's
        # The prefix went after the name had come: there was an answer at every moment.
        "0 1 2 publish 2 1 0\n0 4 5 publish 0 2 0\n0 6 7 remove 2 0 1\n1 3 8 lookup 0 0 0",
        # The name was there before the version for any was.
        "0 1 2 publish 3 1 0\n0 4 5 publish 0 2 0\n0 6 7 publish 3 3 0\n1 3 8 lookup 0 0 3",
    ],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in GOOD.items() for text in texts])
def test_good(name, text):
    assert check(name, history(text)) == []


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in BAD.items() for text in texts])
def test_bad(name, text):
    assert check(name, history(text)) != []


def test_a_long_history_with_one_thing_wrong():
    lines = []
    for i in range(2000):
        lines += [f"0 {10 * i + 1} {10 * i + 8} push 0 {i + 1} 1", f"1 {10 * i + 5} {10 * i + 9} pop 0 0 {i + 1}"]
    assert check("ring", history("\n".join(lines))) == []
    lines[3001] = lines[3001].rsplit(" ", 1)[0] + " 7"
    bad = check("ring", history("\n".join(lines)))
    assert any(op.result == 7 for op in bad)


def test_command(tmp_path, capsys):
    good, bad, empty = tmp_path / "good", tmp_path / "bad", tmp_path / "empty"
    good.write_text("# ring\n" + GOOD["ring"][0])
    bad.write_text("# ring\n" + BAD["ring"][0])
    empty.write_text("# ring")
    assert main([str(good)]) == 0
    assert main([str(good), str(bad)]) == 1
    assert "not linearizable" in capsys.readouterr().out
    assert main([str(empty)]) == 1  # nothing was recorded
