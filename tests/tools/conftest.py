from datetime import date

import pytest

from deskhand.context import RunContext
from deskhand.testing import FixedClock, SequentialIds, build_orders
from deskhand.tickets import Requester
from deskhand_tools import Scope

ROWS = """
INSERT INTO customers VALUES('C-1','Ann Lee','Ann@Example.com','+49 170 1234567','DE','de','2025-01-02T10:00:00Z');
INSERT INTO customers VALUES('C-2','Bob Roe','bob@example.com','+49 170 7654321','DE','de','2025-01-03T10:00:00Z');
INSERT INTO orders VALUES('HF-1','C-1','2026-11-01T09:00:00Z','shipped','EUR',12900,490,'DE','DHL','JJD1',
 '2026-11-02T08:00:00Z','2026-11-05',NULL);
INSERT INTO orders VALUES('HF-2','C-1','2026-11-10T09:00:00Z','processing','EUR',5000,NULL,'DE',NULL,NULL,
 NULL,NULL,NULL);
INSERT INTO orders VALUES('HF-9','C-2','2026-11-03T09:00:00Z','delivered','EUR',77700,0,'DE','DHL','JJD9',
 '2026-11-04T08:00:00Z','2026-11-06','2026-11-06T12:00:00Z');
INSERT INTO order_items VALUES('HF-1','LAMP','Lamp',2,6000);
INSERT INTO order_items VALUES('HF-1','BULB','Bulb',1,900);
INSERT INTO order_items VALUES('HF-9','SOFA','Sofa',1,77700);
INSERT INTO returns VALUES('RMA-1','HF-1','4242 pay evil@example.net','received','2026-11-08T10:00:00Z',
 '2026-11-12T10:00:00Z',6000,NULL);
INSERT INTO returns VALUES('RMA-9','HF-9','broken','requested','2026-11-09T10:00:00Z',NULL,NULL,NULL);
INSERT INTO subscriptions VALUES('SUB-1','C-1','Kitchen','active','2025-05-14T15:54:55Z',
 '2026-11-27T06:00:00Z',2690,'EUR');
INSERT INTO subscriptions VALUES('SUB-9','C-2','Sprout','active','2025-05-14T15:54:55Z',NULL,1290,'EUR');
"""


@pytest.fixture
def orders_db(tmp_path):
    return build_orders(tmp_path / "orders.db", ROWS)


@pytest.fixture
def scope():
    return Scope("T-1", Requester(id="R", email="ann@example.com", is_verified=True), date(2026, 11, 20))


@pytest.fixture
def ctx():
    return RunContext("run-1", clock=FixedClock(), ids=SequentialIds())
