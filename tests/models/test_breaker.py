from deskhand_models.breaker import Breaker, Breakers
from deskhand_models.faults import Fault


def opened():
    breaker = Breaker()
    for _ in range(5):
        breaker.record_failure(Fault.timeout, 0.0, None)
    return breaker


def test_four_failures_and_an_answer_leave_it_closed():
    breaker = Breaker()
    for _ in range(3):
        for _ in range(4):
            breaker.record_failure(Fault.connection, 0.0, None)
        breaker.record_answer()
    assert breaker.admits(0.0)


def test_faults_of_one_request_do_not_open_it():
    breaker = Breaker()
    for fault in set(Fault) - {Fault.server_error, Fault.timeout, Fault.connection, Fault.auth}:
        for _ in range(10):
            breaker.record_failure(fault, 0.0, None)
    assert breaker.admits(0.0) and breaker.hold_s(0.0) == 0


def test_open_breaker_admits_one_probe_after_its_pause():
    breaker = opened()
    assert [breaker.admits(29.9), breaker.admits(30.0), breaker.admits(30.1)] == [False, True, False]
    breaker.record_failure(Fault.server_error, 31.0, None)
    assert [breaker.admits(60.0), breaker.admits(61.0)] == [False, True]
    breaker.release()
    assert breaker.admits(61.5)
    breaker.record_answer()
    assert breaker.admits(61.5) and breaker.admits(61.5)


def test_longest_wait_asked_for_holds():
    breaker = Breaker()
    for wait_s in (5.0, 2.0):
        breaker.record_failure(Fault.rate_limited, 10.0, wait_s)
    assert (breaker.hold_s(11.0), breaker.hold_s(20.0)) == (4.0, 0.0)


def test_each_model_has_its_own():
    breakers = Breakers()
    assert breakers.of("a") is breakers.of("a") is not breakers.of("b")


def test_wait_of_years_ends_after_an_hour():
    breaker = Breaker()
    breaker.record_failure(Fault.rate_limited, 0.0, 1e9)
    assert breaker.hold_s(0.0) == 3600.0 and breaker.hold_s(3600.0) == 0.0
