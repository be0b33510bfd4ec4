import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core.seeds import generator, shuffled, stream

quick = settings(max_examples=50, deadline=None)
names = st.lists(st.text(max_size=4), min_size=1, max_size=20, unique=True)


def test_a_stream_is_the_same_number_everywhere():
    assert stream("pairing") == 13855883545887159543
    assert stream("emit", "A+B@K562") == 3591876277691730467
    assert shuffled(["c0", "c1", "c2", "c3", "c4"], 7, "controls", "K562").tolist() == [4, 2, 3, 0, 1]


@given(first=st.lists(st.text("ab", max_size=2), max_size=3), second=st.lists(st.text("ab", max_size=2), max_size=3))
@quick
def test_streams_are_equal_only_for_equal_paths(first, second):
    # no names and one empty name are one path
    assert (stream(*first) == stream(*second)) == ((first or [""]) == (second or [""]))


def test_generators_of_one_seed_are_independent_of_each_other():
    draws = np.asarray([generator(0, "purpose", i).standard_normal(2000) for i in range(8)])
    off_diagonal = np.corrcoef(draws)[~np.eye(8, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


def test_a_generator_repeats_for_its_seed_and_name_and_for_no_other():
    def drawn(seed, *path):
        return generator(seed, *path).integers(2**62)

    assert drawn(3, "emit", "A") == drawn(3, "emit", "A")
    assert len({drawn(3, "emit", "A"), drawn(4, "emit", "A"), drawn(3, "emit", "B"), drawn(3, "emitA")}) == 4


def test_drawing_for_one_purpose_leaves_the_others_alone():
    untouched = generator(1, "b").random(3)
    generator(1, "a").random(1000)
    np.testing.assert_array_equal(generator(1, "b").random(3), untouched)


@given(ids=names, seed=st.integers(0, 9), rng=st.randoms(use_true_random=False))
@quick
def test_shuffled_names_come_out_the_same_whatever_order_they_went_in(ids, seed, rng):
    turned = list(ids)
    rng.shuffle(turned)
    first = [ids[i] for i in shuffled(ids, seed, "x")]
    assert first == [turned[i] for i in shuffled(turned, seed, "x")]
    assert sorted(first) == sorted(ids)


@given(ids=names, seed=st.integers(0, 9))
@quick
def test_leaving_an_id_out_leaves_the_order_of_the_others(ids, seed):
    whole = [ids[i] for i in shuffled(ids, seed, "x")]
    without = [ids[1:][i] for i in shuffled(ids[1:], seed, "x")]
    assert without == [one for one in whole if one != ids[0]]


def test_a_shuffle_depends_on_seed_and_purpose_and_is_uniform():
    ids = [f"cell-{i}" for i in range(40)]
    orders = {tuple(shuffled(ids, seed, purpose).tolist()) for seed in range(5) for purpose in "ab"}
    assert len(orders) == 10
    places = np.asarray([np.argsort(shuffled(ids, seed, "x")) for seed in range(400)])
    # the mean place of each id over 400 shuffles: standard error (40 / sqrt 12) / 20
    assert np.abs(places.mean(axis=0) - 19.5).max() < 4 * 40 / np.sqrt(12 * 400)
