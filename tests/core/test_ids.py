import re
import time
from concurrent.futures import ThreadPoolExecutor

from deskhand.ids import RandomIds


def test_100_000_ids_are_unique_and_well_formed():
    ids = [RandomIds().new("run") for _ in range(100_000)]
    assert len(set(ids)) == 100_000
    assert all(re.fullmatch(r"run-[0-9a-hjkmnp-tv-z]{18}", id_) for id_ in ids)
    assert [id_[:13] for id_ in ids] == sorted(id_[:13] for id_ in ids)


def test_ids_of_later_milliseconds_sort_later():
    earlier = RandomIds().new("run")
    time.sleep(0.003)
    assert earlier < RandomIds().new("run")


def test_time_part_sorts_over_carries_and_lasts_a_thousand_years(monkeypatch):
    moments = [0, 31, 32, 1023, 1024, 10**12, 10**12 + 1, 32**9 - 1]
    ids = []
    for moment in moments:
        monkeypatch.setattr("deskhand.ids.time.time_ns", lambda moment=moment: moment * 1_000_000)
        ids.append(RandomIds().new("x"))
    assert ids == sorted(ids) and ids[0].startswith("x-000000000") and ids[-1].startswith("x-zzzzzzzzz")


def test_threads_get_different_ids():
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: RandomIds().new("a"), range(5_000)))
    assert len(set(ids)) == 5_000
