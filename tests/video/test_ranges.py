"""How a user names frames, and what is said of what nobody can read."""

from __future__ import annotations

import pytest

from fastswap.errors import UsageError
from fastswap.video.ranges import frame_ranges


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10-12", [10, 11, 12], [0, 9, 13]),
        ("10-12,20-", [10, 12, 20, 10**9], [9, 13, 19]),
        ("-3", [0, 3], [4]),
        ("7", [7], [6, 8]),
        (" 1 , 3-3 ", [1, 3], [0, 2, 4]),
        ("5-9,2-6", [2, 4, 6, 9], [1, 10]),
    ],
)
def test_ranges_count_from_0_and_hold_both_ends(text: str, inside: list[int], outside: list[int]) -> None:
    ranges = frame_ranges(text)
    assert all(frame in ranges for frame in inside)
    assert not any(frame in ranges for frame in outside)


@pytest.mark.parametrize("text", ["", "-", "1-2-3", "a-b", "1,,2", "1-2,", "--3", "1:3", "٣", "1.5"])
def test_what_is_no_range_is_said_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="write 10-200,300-") as error:
        frame_ranges(text)
    assert "\n" not in str(error.value)


def test_a_range_the_wrong_way_round_is_asked_about() -> None:
    with pytest.raises(UsageError, match="did you mean 10-20"):
        frame_ranges("1-3,20-10")


@pytest.mark.parametrize(("text", "last"), [("1-3,9,4-5", 9), ("1-3,9-", None), ("0", 0)])
def test_the_last_frame_is_known_where_no_end_is_open(text: str, last: int | None) -> None:
    assert frame_ranges(text).last == last


def test_single_frames_can_be_multiples_and_ranges_cannot() -> None:
    assert frame_ranges("0,5,10").are_multiples(5)
    assert not frame_ranges("0,6").are_multiples(5)
    assert not frame_ranges("0-5").are_multiples(5)
    assert frame_ranges("0-5,7-").are_multiples(1)
