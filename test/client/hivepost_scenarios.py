"""What python/hivepost.py promises, each as a function that fails where it does not hold. Run by python.test.ts:

    python3 hivepost_scenarios.py NAME

Where the server has to do something in the middle, `tell_test` says so and waits until it is done.
"""

import asyncio
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "python"))

import hivepost  # noqa: E402
from hivepost import AgentMessageQueue, HivepostError  # noqa: E402


def tell_test(word):
    print(word, flush=True)
    assert sys.stdin.readline().strip() == "done"


async def fails(code, awaitable, words=""):
    try:
        await awaitable
    except HivepostError as error:
        assert error.code == code, f"{error} instead of {code}"
        assert words in error.message, error.message
    else:
        raise AssertionError(f"no error; expected {code}")


async def everyday():
    async with AgentMessageQueue() as queue:
        assert await queue.receive_messages("bob", timeout=0) == []
        first = await queue.send_message("ada", "bob", "please review: ✓")
        urgent = await queue.sendMessage("ada", "bob", "stop!", priority="urgent")
        received = await queue.receiveMessages("bob")
        assert received == [urgent, first], received
        assert first["provenance"] == {"actor": "operator", "token": "admin", "trust": "operator"}, first
        assert await queue.acknowledge_message(first["id"]) is True
        assert await queue.acknowledgeMessage(urgent["id"]) is True
        assert await queue.acknowledge_message(urgent["id"]) is True, "saying it twice says the same"
        history = await queue.getConversationHistory("bob", "ada")
        assert [(it["content"], it["acknowledged"]) for it in history] == [("please review: ✓", True), ("stop!", True)]


async def errors():
    async with AgentMessageQueue() as queue:
        await fails("agent_not_found", queue.send_message("ada", "nobody", "hello"), "nobody")
        await fails("invalid_input", queue.send_message("ada", "bob", "hello", priority="asap"), "priority")
        await fails("invalid_input", queue.acknowledge_message("m-1"), "m-1 is not held here")
    async with AgentMessageQueue(token="hvp_wrong") as queue:
        await fails("unauthenticated", queue.get_conversation_history("ada", "bob"))
    async with AgentMessageQueue(url="http://127.0.0.1:1", connect_timeout=0.2) as queue:
        await fails("unreachable", queue.send_message("ada", "bob", "hello"), "hivepost serve")
    for url in ("ftp://somewhere", "nonsense"):
        try:
            AgentMessageQueue(url=url)
        except HivepostError as error:
            assert error.code == "invalid_input"
        else:
            raise AssertionError(f"{url} was taken for a server")


async def a_sender_in_a_hurry():
    # A server that is there is waited for however short the patience with one that is away.
    async with AgentMessageQueue(connect_timeout=0.05) as queue:
        started = time.monotonic()
        sent = await asyncio.gather(*(queue.send_message("ada", "bob", f"message {n}") for n in range(20)))
        assert len({it["id"] for it in sent}) == 20
        assert time.monotonic() - started >= 0.7, "15 more than the burst take 750 ms"


async def waiting():
    async with AgentMessageQueue() as queue:
        started = time.monotonic()
        assert await queue.receive_messages("bob", timeout=0.2) == []
        assert time.monotonic() - started >= 0.19
        receiving = asyncio.ensure_future(queue.receive_messages("bob", timeout=20))
        await queue.send_message("ada", "bob", "there")
        assert [it["content"] for it in await receiving] == ["there"]


async def a_whole_fleet():
    agents = [f"agent-{n}" for n in range(60)]
    async with AgentMessageQueue() as queue:
        receiving = [asyncio.ensure_future(queue.receive_messages(it, timeout=20)) for it in agents]

        async def greet(agent):
            while True:
                try:
                    return await queue.send_message("ada", agent, f"hello {agent}")
                except HivepostError as error:
                    assert error.code == "agent_not_found", error  # Until it has said "here I am".
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(greet(it) for it in agents))
        for agent, messages in zip(agents, await asyncio.gather(*receiving)):
            assert [it["content"] for it in messages] == [f"hello {agent}"], messages
        acknowledged = await asyncio.gather(*(queue.acknowledge_message(it.result()[0]["id"]) for it in receiving))
        assert all(acknowledged)


async def a_server_that_is_away():
    async with AgentMessageQueue() as queue:
        await queue.receive_messages("bob", timeout=0)
        tell_test("stop")
        sending = asyncio.ensure_future(queue.send_message("ada", "bob", "patience"))
        await asyncio.sleep(0.2)
        assert not sending.done()
        tell_test("start")
        sent = await sending
        assert await queue.receive_messages("bob", timeout=5) == [sent]


async def a_wire_that_is_cut():
    """Each message arrives once, in its order, though connections break all the time."""
    async with AgentMessageQueue(limit=100) as queue:
        await queue.receive_messages("bob", timeout=0)
        tell_test("flap")
        for n in range(80):
            await queue.send_message("ada", "bob", str(n))
        tell_test("calm")
        history = await queue.get_conversation_history("ada", "bob")
        assert [it["content"] for it in history] == [str(n) for n in range(80)], [it["content"] for it in history]


async def a_long_task():
    hivepost.LEASE_S = 0.3
    async with AgentMessageQueue() as queue, AgentMessageQueue() as other:
        await queue.receive_messages("bob", timeout=0)
        await queue.send_message("ada", "bob", "takes long")
        [message] = await queue.receive_messages("bob")
        time.sleep(0.8)  # Busy, and not even the event loop runs.
        assert await other.receive_messages("bob", timeout=0) == []
        assert await queue.acknowledge_message(message["id"]) is True


async def a_message_that_comes_again():
    hivepost.LEASE_S = 0.2
    async with AgentMessageQueue() as queue:
        await queue.receive_messages("bob", timeout=0)
        await queue.send_message("ada", "bob", "mine")
        await queue.send_message("ada", "bob", "mine too")
        early, late = await queue.receive_messages("bob")
        queue._held._renew = lambda *_: None  # As if the network were down.
        await asyncio.sleep(0.6)
        assert await queue.acknowledge_message(early["id"]) is False, "its lease had ended"
        assert await queue.receive_messages("bob", timeout=0.5) == [], "both were handed out before"
        assert await queue.acknowledge_message(late["id"]) is True, "it was leased anew"


async def a_receiver_that_is_cancelled():
    async with AgentMessageQueue() as queue:
        receiving = asyncio.ensure_future(queue.receive_messages("bob", timeout=30))
        await asyncio.sleep(0.3)
        receiving.cancel()
        try:
            await receiving
        except asyncio.CancelledError:
            pass
        await queue.send_message("ada", "bob", "for the next one")
        assert len(await queue.receive_messages("bob", timeout=5)) == 1
    requests = [it for it in threading.enumerate() if it.name == "hivepost-request"]
    for thread in requests:
        thread.join(5)  # One whose work is done may still be on its way out.
    assert not any(it.is_alive() for it in requests), requests


async def a_receiver_that_closes():
    async with AgentMessageQueue() as queue:
        await queue.receive_messages("bob", timeout=0)
        await queue.send_message("ada", "bob", "for the next one")
        assert len(await queue.receive_messages("bob")) == 1
    async with AgentMessageQueue(hold=0.02) as queue:
        [message] = await queue.receive_messages("bob", timeout=5)
        hivepost.LEASE_S = 0.03
        assert message["content"] == "for the next one"


async def a_message_held_for_too_long():
    hivepost.LEASE_S = 0.3
    async with AgentMessageQueue(hold=0.05) as queue:
        await queue.receive_messages("bob", timeout=0)
        await queue.send_message("ada", "bob", "mine")
        [message] = await queue.receive_messages("bob")
        await asyncio.sleep(0.3)
        await fails("invalid_input", queue.acknowledge_message(message["id"]), "not acknowledged in time")
        assert await queue.receive_messages("bob", timeout=5) == [message]


async def settings():
    assert "HIVEPOST_TOKEN" not in os.environ
    await everyday()  # With the token's file.
    del os.environ["HIVEPOST_TOKEN_FILE"]
    try:
        AgentMessageQueue()
    except HivepostError as error:
        assert error.code == "unauthenticated" and "admin.token" in error.message
    else:
        raise AssertionError("it found a token where there is none")


async def an_authority_that_is_not_known():
    async with AgentMessageQueue(connect_timeout=600) as queue:
        await fails("unreachable", queue.send_message("ada", "bob", "private"), "HIVEPOST_CA_FILE")
    try:
        AgentMessageQueue(ca_file=__file__)
    except HivepostError as error:
        assert error.code == "invalid_input" and __file__ in error.message
    else:
        raise AssertionError("it took a program for a certificate")


def ids():
    made = [hivepost._new_id() for _ in range(20_000)]
    assert made == sorted(made) and len(set(made)) == len(made)
    assert all(it[14] == "7" and it[19] in "89ab" and len(it) == 36 for it in made)
    assert abs(int(made[0].replace("-", "")[:12], 16) - time.time() * 1_000) < 10_000


if __name__ == "__main__":
    scenario = globals()[sys.argv[1]]
    if asyncio.iscoroutinefunction(scenario):
        asyncio.run(scenario())
    else:
        scenario()
    print("passed", flush=True)
