from benchmarks.ratios import paired_ratio


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians():
    found = paired_ratio([10.0, 40.0, 30.0], [10.0, 10.0, 20.0])
    assert found is not None
    assert found.ratio == 1.5
    assert (found.low, found.high) == (1.0, 4.0)
    assert found.rounds == 3


def test_what_slows_both_sides_of_a_round_leaves_the_ratio_and_its_interval():
    found = paired_ratio([20.0, 2.0, 200.0], [10.0, 1.0, 100.0])
    assert found is not None
    assert (found.ratio, found.low, found.high) == (2.0, 2.0, 2.0)


def test_the_interval_narrows_with_more_rounds():
    few = paired_ratio([1.0, 2.0, 3.0], [1.0] * 3)
    many = paired_ratio([1.0, 2.0, 3.0] * 20, [1.0] * 60)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low


def test_a_round_that_lacks_a_rate_is_left_out():
    found = paired_ratio([None, 6.0], [1.0, 3.0])
    assert found is not None
    assert (found.ratio, found.rounds) == (2.0, 1)
    assert paired_ratio([None], [1.0]) is None
