"""A real model behind a real server: llama.cpp's own, over HTTP on loopback, asked as a user's local server is."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from pydantic import BaseModel

from deskhand.errors import Unavailable
from deskhand.libraries import prepare
from deskhand.model_settings import ModelsSettings
from deskhand_models import Models
from deskhand_models.weights import SMOLLM2

CONTEXT = 1024
SERVE = f"""
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], {CONTEXT}, 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
params.hostnames, params.port, params.verbosity, params.warmup = ["127.0.0.1"], 0, -1, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(
        (find_spec("xllamacpp") is None or SMOLLM2.find() is None) and not os.environ.get("CI"),
        reason="needs pip install 'deskhand[embedded]' and deskhand models install smollm2",
    ),
]


class Colour(BaseModel):
    colour: str
    is_bright: bool


@pytest.fixture(scope="module")
def address():
    """The base URL of a llama.cpp server in a process of its own."""
    prepare()  # sets OMP_WAIT_POLICY, which the process inherits
    path = SMOLLM2.find()
    assert path is not None
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


@pytest.fixture
def open_local(address, tmp_path):
    def opened(**changes):
        one = {"model": "openai/smollm2-135m", "api_base": address, "price": "free", "timeout_s": 300}
        one |= {"context_tokens": CONTEXT, "max_output_tokens": 64, "temperature": 0.0, **changes}
        settings = {"tiers": {"strong": ["local"]}, "least_deadline_s": 300, "defs": {"local": one}}
        return Models(ModelsSettings.model_validate(settings), tmp_path / "ledger.db")

    return opened


@pytest.mark.parametrize("transport", ["direct", "litellm"])
async def test_local_server_answers_in_words_and_in_a_schema_and_is_booked(open_local, ask, ctx, transport):
    async with open_local(transport=transport) as models:
        plain = await ask(models, ctx, "Say hello in one short sentence.")
        assert plain.text.strip() and plain.usage.prompt_tokens > 0 and plain.usage.cost_usd == 0
        told = await ask(models, ctx, "Name a colour of one word.", output_schema=Colour)
        assert isinstance(told.parsed, Colour)
        (row,) = models.ledger.costs("model")
        assert row.n_answers == row.n_attempts == 2 and row.completion_tokens > 0


async def test_local_server_with_less_context_than_configured_says_so(open_local, ask, ctx):
    async with open_local(context_tokens=32_768) as models:
        with pytest.raises(Unavailable, match=r"context too long .*exceeds the available context"):
            await ask(models, ctx, "word " * 3 * CONTEXT)
