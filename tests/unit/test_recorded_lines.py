"""Which lines the journal has."""

from pglog_audit.recorded_lines import RecordedLines


def known(recorded):
    """Return the lines up to 20 that it knows."""
    return [seq for seq in range(1, 21) if seq in recorded]


def test_it_knows_what_was_added():
    """Lines of other numbers, drawn in between, are none of the journal's."""
    recorded = RecordedLines()
    assert known(recorded) == []
    for number, seq in enumerate((1, 2, 3, 7, 8, 12), 1):
        recorded.add(seq, number)
    assert known(recorded) == [1, 2, 3, 7, 8, 12]


def test_what_is_forgotten_goes_in_the_order_in_which_it_came():
    """However numbers of the sequence and of the journal differ, as many lines go as were forgotten."""
    recorded = RecordedLines()
    for number, seq in enumerate((1, 2, 3, 7, 8, 12), 1):
        recorded.add(seq, number)
    recorded.forget(2)
    assert known(recorded) == [3, 7, 8, 12]
    recorded.forget(4)
    assert known(recorded) == [8, 12]
    recorded.forget(3)
    assert known(recorded) == [8, 12]
    recorded.add(13, 7)
    recorded.forget(6)
    assert known(recorded) == [13]


def test_lines_that_are_settled_unseen_count():
    """A line whose number in the journal runs ahead of its sequence is known until that many are forgotten."""
    recorded = RecordedLines()
    recorded.add(1, 1)
    recorded.add(2, 5)
    recorded.forget(4)
    assert known(recorded) == [2]
    recorded.forget(5)
    assert known(recorded) == []


def test_it_goes_on_when_all_is_forgotten():
    """The next line is known again, also one that comes late."""
    recorded = RecordedLines()
    recorded.add(1, 1)
    recorded.forget(1)
    recorded.add(2, 2)
    recorded.add(4, 3)
    recorded.add(3, 3)
    assert known(recorded) == [2, 3, 4]
