"""`thecal` and the image, from pairing to a stop without a key: what test_pairing.py shows, on the chip."""

import pytest
from pump_port import run as run
from signed_port import SignedPort, as_a_fresh_account, paired_programmed_and_refused
from signed_port import account as account
from signed_port import therapy as therapy
from thecal_bench.chip.bench import ChipBench

pytestmark = pytest.mark.chip


@pytest.mark.req("SEC-01", "SEC-02", "SEC-06", "SIM-01")
@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.long)])
def test_keys_roles_and_accounts_hold_on_the_image(image, run, account, therapy, tmp_path, fresh):
    with ChipBench(image=image) as bench:
        port = SignedPort(bench=bench)
        paired_programmed_and_refused(run, port, account, therapy)
        if fresh:
            as_a_fresh_account(run, port, account, therapy, tmp_path)
