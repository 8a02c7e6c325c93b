"""What runs beside the receivers waits for a broker, and what ends by itself ends the process with a word."""

import asyncio
import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agents.gateway import serving
from agents.gateway.serving import CannotListen, Ended, HttpReceiver, ThreadReceiver
from agents.settings.settings import load as load_settings
from agents.wire.publisher import NotDelivered

PATIENCE_S = 30
ANYWHERE = load_settings(ingest_port=0)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition is another thread's
            await asyncio.sleep(0.01)


def hello():
    async def answer(_request):
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", answer)])


def test_a_thread_waits_for_a_broker_that_is_away_and_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(serving, "BROKER_RETRY_S", 0.01)
    lives = []

    def run(stop):
        lives.append(len(lives))
        if len(lives) < 3:
            raise NotDelivered("nobody answered")
        stop.wait(PATIENCE_S)

    async def whole():
        receiver = ThreadReceiver("bridge", run)
        assert await receiver.start() == "bridge"
        await until(lambda: len(lives) == 3)
        assert receiver.ended() is None
        await receiver.stop()
        assert receiver.ended() is None

    asyncio.run(whole())
    assert caplog.text.count("nobody answered") == 2


def test_a_thread_that_meets_anything_else_says_so():
    def run(_stop):
        raise ZeroDivisionError("never")

    async def whole():
        receiver = ThreadReceiver("bridge", run)
        await receiver.start()
        await until(lambda: receiver.ended() is not None)
        await receiver.stop()
        return receiver.ended()

    assert asyncio.run(whole()) == "bridge ended: never"


def test_when_one_receiver_ends_the_others_are_stopped_in_order_and_the_reason_is_raised():
    said, stopped = [], threading.Event()

    def broken(_stop):
        raise ZeroDivisionError("never")

    def steady(stop):
        stop.wait(PATIENCE_S)
        stopped.set()

    def receivers(_publisher):
        yield HttpReceiver("REST", hello(), ANYWHERE, "ingest_port")
        yield ThreadReceiver("steady", steady)
        yield ThreadReceiver("broken", broken)

    with pytest.raises(Ended, match="broken ended: never"):
        serving.run(load_settings(kafka_bootstrap="127.0.0.1:1"), receivers, said=said.append)
    assert [line.split()[0] for line in said] == ["REST", "steady", "broken"]
    assert stopped.is_set()


def test_a_server_listens_where_it_says_until_it_is_stopped():
    async def whole():
        receiver = HttpReceiver("REST", hello(), ANYWHERE, "ingest_port")
        url = (await receiver.start()).removeprefix("REST on ")
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).text == "hello"
            await receiver.stop()
            assert receiver.ended() == "REST ended"
            with pytest.raises(httpx.ConnectError):
                await client.get(url)

    asyncio.run(whole())


def test_a_taken_port_names_the_setting():
    with serving.listening("REST", "127.0.0.1", 0, "X") as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"REST cannot listen on 127.0.0.1:{port}") as refused:
            serving.listening("REST", "127.0.0.1", port, "LLMOPT_INGEST_PORT")
    assert "LLMOPT_INGEST_PORT" in refused.value.remedy


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"GET /", b"GET / HTTP/1.1\r\nx: y\r\ny: "]
)
def test_a_head_without_end_is_cut_off(head):
    async def whole():
        receiver = HttpReceiver("REST", hello(), ANYWHERE, "ingest_port")
        port = int((await receiver.start()).rpartition(":")[2])
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        writing.write(head)
        answered = asyncio.ensure_future(reading.read())
        sent = 0
        while not answered.done() and sent < 50_000_000:
            writing.write(b"x" * 65_536)
            sent += 65_536
            try:
                await writing.drain()
            except ConnectionError:
                break
        try:
            told = await asyncio.wait_for(answered, PATIENCE_S)
        except ConnectionError:  # closed while we were still sending
            told = b""
        writing.close()
        await receiver.stop()
        return told, sent

    told, sent = asyncio.run(whole())
    assert not told or told.startswith(b"HTTP/1.1 400 ")
    assert sent < 10_000_000


def test_many_requests_over_one_connection_each_have_their_own_head():
    async def whole():
        receiver = HttpReceiver("REST", hello(), ANYWHERE, "ingest_port")
        url = (await receiver.start()).removeprefix("REST on ")
        async with httpx.AsyncClient() as client:
            found = [(await client.get(url, headers={"x": "y" * 30_000})).text for _ in range(5)]
        await receiver.stop()
        return found

    assert asyncio.run(whole()) == ["hello"] * 5
