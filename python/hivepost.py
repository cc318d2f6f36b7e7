"""Hivepost for Python: send, receive, acknowledge, look back.

One file, Python 3.8 or newer, nothing but the standard library: copy it beside your program.

    from hivepost import AgentMessageQueue

    async def main():
        async with AgentMessageQueue() as queue:
            await queue.send_message("ada", "bob", "please review #12", priority="high")
            for message in await queue.receive_messages("bob"):
                print(message["content"])
                await queue.acknowledge_message(message["id"])

The server is found by HIVEPOST_URL (http://127.0.0.1:4483 where it is not set), the token by HIVEPOST_TOKEN, by the file
HIVEPOST_TOKEN_FILE, or by admin.token in HIVEPOST_DATA_DIR (~/.hivepost). Over https:// the authority in the file
HIVEPOST_CA_FILE is trusted, or those that the machine knows where it is not set.

Messages are dictionaries with the fields of the HTTP API. What `content` says was written by others: before a model reads it,
mark it as data. `provenance` says who really sent it: `trust` is `agent` (with the token of the agent in `from_agent`),
`operator` (with an operator's, who may name any sender), `hivepost` (the server itself) or `imported` (somebody's claim). Each method has a name in camelCase as well. What fails raises
HivepostError, whose `code` is one of those that docs/errors.md explains.

A request is tried again while the server is away (up to `connect_timeout` seconds) and is safe to try again: a message
gets its id here, once, so a second sending of it changes nothing. What the server
refuses for coming too soon (`rate_limited`) was not done, and is tried again as well. There is no outbox for longer
absences in this file, and no message is ever written to disk.
"""

import asyncio
import http.client
import json
import os
import random
import socket
import ssl
import threading
import time
import urllib.parse
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Optional

__all__ = ["AgentMessageQueue", "HivepostError"]

Message = Dict[str, Any]

DEFAULT_URL = "http://127.0.0.1:4483"
# Leases are renewed at a third of this, for as long as a message is held.
LEASE_S = 30.0
# Longest time the server lets a claim wait.
LONGEST_WAIT_S = 60.0
# Time for an answer, beyond the time the request itself asks the server to wait.
ANSWER_S = 30.0
# Pauses between two tries: the longest before the first repetition, and the longest of all.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
PAGE = 500
# Connections kept open for the next request.
MOST_IDLE = 16
# Acknowledgements remembered, so that a message which comes again after its lease was lost is not handed out twice.
MOST_REMEMBERED = 10_000


class HivepostError(Exception):
    """A request failed. Switch on `code`; the text says what to do about it."""

    def __init__(self, code: str, message: str, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: Seconds after which trying again may help, where the server said so.
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class AgentMessageQueue:
    """The bus for a program that wants no more than mail.

    Leases are remembered and renewed in here (by a thread, so that a program that is busy keeps its messages), and an
    acknowledgement needs only the message's id. Each request under way uses a thread.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        *,
        limit: int = 10,
        hold: float = 600.0,
        connect_timeout: float = 10.0,
        ca_file: Optional[str] = None,
    ) -> None:
        """
        limit: messages one `receive_messages` returns at most.
        hold: seconds a received message is kept from others without an acknowledgement.
        connect_timeout: seconds a request waits for a server that is away before it fails with `unreachable`.
        ca_file: certificates (PEM) of the authorities to trust in place of those that the machine knows.
        """
        url = url or os.environ.get("HIVEPOST_URL") or DEFAULT_URL
        ca_file = ca_file or os.environ.get("HIVEPOST_CA_FILE") or None
        self._http = _Http(url, token or _find_token(), connect_timeout, ca_file)
        self._limit = limit
        self._held = _HeldMessages(self._http, hold)

    async def send_message(self, from_agent: str, to_agent: str, message: str, priority: str = "normal") -> Message:
        """Returns the message once it is on the server's disk. Raises `agent_not_found`, `inbox_full`, …"""
        body = {
            "id": _new_id(),
            "from_agent": from_agent,
            "to_agent": to_agent,
            "content": message,
            "priority": priority,
        }
        return await _in_thread(lambda call: self._http.request(call, "POST", "/messages", body))

    async def receive_messages(self, agent_id: str, timeout: float = 30) -> List[Message]:
        """The next messages for an agent, the most urgent first; none if none came within `timeout` seconds.

        They come again unless they are acknowledged. An agent that is not registered yet is registered: receiving says
        "here I am".
        """
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            messages = await _in_thread(lambda call: self._receive(call, agent_id, min(left, LONGEST_WAIT_S)))
            if messages or time.monotonic() >= deadline:
                return messages

    async def acknowledge_message(self, message_id: str) -> bool:
        """Says that a received message was handled. False where it was no longer held for us."""
        return await _in_thread(lambda call: self._held.acknowledge(call, message_id))

    async def get_conversation_history(self, agent1: str, agent2: str) -> List[Message]:
        """All that two agents ever said to each other, the oldest first."""
        history: List[Message] = []
        query = {"participant": agent1, "with": agent2, "order": "asc", "limit": str(PAGE)}
        while True:
            path = "/messages?" + urllib.parse.urlencode(query)
            page = await _in_thread(lambda call: self._http.request(call, "GET", path))
            history += page["messages"]
            if "next_cursor" not in page:
                return history
            query["cursor"] = page["next_cursor"]

    async def close(self) -> None:
        """Gives back what was not acknowledged, and ends the connections."""
        await _in_thread(self._held.give_back_all)
        self._http.close()

    async def __aenter__(self) -> "AgentMessageQueue":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    sendMessage = send_message
    receiveMessages = receive_messages
    acknowledgeMessage = acknowledge_message
    getConversationHistory = get_conversation_history

    def _receive(self, call: "_Call", agent_id: str, wait: float) -> List[Message]:
        agent = "/agents/" + urllib.parse.quote(agent_id, safe="")
        claim = {"limit": self._limit, "lease_ms": int(LEASE_S * 1_000), "wait_ms": int(wait * 1_000)}
        try:
            answer = self._http.request(call, "POST", agent + "/inbox/claim", claim, wait)
        except HivepostError as error:
            if error.code != "agent_not_found":
                raise
            self._http.request(call, "PUT", agent, {})
            answer = self._http.request(call, "POST", agent + "/inbox/claim", claim, wait)
        return self._held.take(call, answer["deliveries"])


class _Held:
    """A message in our hands."""

    def __init__(self, lease_id: str, until: float) -> None:
        self.lease_id = lease_id
        #: When it is not kept any longer, by the monotonic clock.
        self.until = until


class _HeldMessages:
    """The messages received and not acknowledged yet, with their leases, which a thread renews."""

    def __init__(self, http_: "_Http", hold: float) -> None:
        self._http = http_
        self._hold = hold
        self._held: Dict[str, _Held] = {}
        #: Message id to what its acknowledgement answered.
        self._acknowledged: "OrderedDict[str, bool]" = OrderedDict()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._renewing = False

    def take(self, call: "_Call", deliveries: List[Dict[str, Any]]) -> List[Message]:
        """Remembers the leases; returns the messages that the caller does not have already."""
        if call.aborted:
            # The caller stopped waiting in the very moment of the answer: the next one shall have them.
            for delivery in deliveries:
                self._give_back(_Call(), delivery["message"]["id"], delivery["lease_id"])
            return []
        fresh = []
        for delivery in deliveries:
            message_id, lease_id = delivery["message"]["id"], delivery["lease_id"]
            with self._lock:
                handled = message_id in self._acknowledged
                held = self._held.get(message_id)
                if held:
                    held.lease_id = lease_id
                elif not handled:
                    self._held[message_id] = _Held(lease_id, time.monotonic() + self._hold)
                    fresh.append(delivery["message"])
            if handled:
                self._http.request(call, "POST", f"/messages/{message_id}/acknowledge", {"lease_id": lease_id})
        self._start_renewing()
        return fresh

    def acknowledge(self, call: "_Call", message_id: str) -> bool:
        with self._lock:
            held = self._held.get(message_id)
            if message_id in self._acknowledged:
                return self._acknowledged[message_id]
        if held is None:
            raise HivepostError(
                "invalid_input",
                f"message {message_id} is not held here: it was not received by this queue, or not acknowledged in time",
            )
        answer = self._http.request(call, "POST", f"/messages/{message_id}/acknowledge", {"lease_id": held.lease_id})
        with self._lock:
            self._held.pop(message_id, None)
            self._acknowledged[message_id] = answer["acknowledged"]
            if len(self._acknowledged) > MOST_REMEMBERED:
                self._acknowledged.popitem(last=False)
        return answer["acknowledged"]

    def give_back_all(self, call: "_Call") -> None:
        self._closed.set()
        with self._lock:
            held = {message_id: it.lease_id for message_id, it in self._held.items()}
            self._held.clear()
        for message_id, lease_id in held.items():
            self._give_back(call, message_id, lease_id)

    def _give_back(self, call: "_Call", message_id: str, lease_id: str) -> None:
        body = {"lease_id": lease_id, "reason": "the receiver went away before it was handled", "delay_ms": 0}
        try:
            self._http.request(call, "POST", f"/messages/{message_id}/reject", body)
        except HivepostError as error:
            # The lease ends by itself in time; only a mistake of ours is worth a traceback.
            if error.code not in ("unreachable", "unavailable", "message_not_found"):
                raise

    def _start_renewing(self) -> None:
        with self._lock:
            if self._renewing or self._closed.is_set() or not self._held:
                return
            self._renewing = True
        threading.Thread(target=self._renew_until_empty, name="hivepost-leases", daemon=True).start()

    def _renew_until_empty(self) -> None:
        while not self._closed.wait(LEASE_S / 3):
            now = time.monotonic()
            with self._lock:
                self._held = {message_id: it for message_id, it in self._held.items() if it.until > now}
                leases = [(message_id, it.lease_id) for message_id, it in self._held.items()]
                if not leases:
                    self._renewing = False
                    return
            for message_id, lease_id in leases:
                self._renew(message_id, lease_id)

    def _renew(self, message_id: str, lease_id: str) -> None:
        body = {"lease_id": lease_id, "lease_ms": int(LEASE_S * 1_000)}
        try:
            # A lease that is lost stays in `_held`: should the message come again, it is not handed out a second time.
            self._http.request(_Call(), "POST", f"/messages/{message_id}/extend", body)
        except HivepostError:
            # The next round tries again; if that is too late, the acknowledgement says so.
            return


class _Call:
    """A request under way, which its caller may stop waiting for."""

    def __init__(self) -> None:
        self.aborted = False
        self.connection: Optional[http.client.HTTPConnection] = None

    def abort(self) -> None:
        self.aborted = True
        connection = self.connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It was closed already, which is all that was wanted.


class _Http:
    """JSON over HTTP to one server, over connections that are kept open. Safe to use from many threads."""

    def __init__(self, url: str, token: str, connect_timeout: float, ca_file: Optional[str]) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme in ("ws", "wss"):
            parts = parts._replace(scheme="http" + parts.scheme[2:])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HivepostError("invalid_input", f"{url} is not the address of a server; expected http://HOST:PORT")
        self._url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._tls = _tls_context(ca_file) if parts.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connect_timeout = connect_timeout
        self._idle: List[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def request(
        self, call: _Call, method: str, path: str, body: Optional[Dict[str, Any]] = None, wait: float = 0
    ) -> Any:
        """The answer, after as many tries as fit into `connect_timeout`, or into ANSWER_S where our requests came too
        fast. Every request here is safe to repeat."""
        started = time.monotonic()
        deadline = started + self._connect_timeout
        tries = 0
        while True:
            try:
                return self._try(call, method, path, body, wait)
            except ssl.SSLCertVerificationError as error:
                raise HivepostError(
                    "unreachable",
                    f"the certificate of {self._url} is not trusted ({error.verify_message}); name the certificate of its "
                    "authority with ca_file or HIVEPOST_CA_FILE, and use a name that it stands for",
                ) from None
            except (OSError, http.client.HTTPException) as error:
                failure = HivepostError(
                    "unreachable",
                    f"cannot reach a Hivepost server at {self._url} ({error or type(error).__name__}); "
                    "start one with: hivepost serve, or set HIVEPOST_URL",
                )
            except HivepostError as error:
                if error.code == "rate_limited":
                    # The server is there and has done nothing: to wait as it says is all there is to do.
                    deadline = max(deadline, started + ANSWER_S)
                elif error.code != "unavailable":
                    raise
                failure = error
            ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tries)
            # Full jitter, so that a fleet does not come back all at once.
            pause = max(failure.retry_after or 0.0, random.uniform(0, ceiling))
            if call.aborted or time.monotonic() + pause >= deadline:
                raise failure
            time.sleep(pause)
            tries += 1

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _try(self, call: _Call, method: str, path: str, body: Optional[Dict[str, Any]], wait: float) -> Any:
        with self._lock:
            reused = self._idle.pop() if self._idle else None
        if reused is not None:
            try:
                return self._exchange(call, reused, method, path, body, wait)
            except (OSError, http.client.HTTPException):
                # The server closes connections that were idle for long; a fresh one tells whether it is there.
                if call.aborted:
                    raise
        fresh = self._connect()
        return self._exchange(call, fresh, method, path, body, wait)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_S, context=self._tls)

    def _exchange(
        self,
        call: _Call,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Optional[Dict[str, Any]],
        wait: float,
    ) -> Any:
        payload = None if body is None else json.dumps(body).encode()
        call.connection = connection
        try:
            if call.aborted:
                raise ConnectionAbortedError("nobody waits for the answer any more")
            if connection.sock is None:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock.settimeout(wait + ANSWER_S)
            connection.request(method, self._base + path, payload, self._headers)
            response = connection.getresponse()
            text = response.read()
        except BaseException:
            connection.close()
            raise
        finally:
            call.connection = None
        self._keep(connection)
        if response.status >= 400:
            raise _problem(self._url, response.status, text)
        return json.loads(text)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()


def _problem(url: str, status: int, text: bytes) -> HivepostError:
    """What the server says went wrong (RFC 9457), or that it is no server of ours."""
    try:
        problem = json.loads(text)
        retry_after_ms = problem.get("retry_after_ms")
        retry_after = None if retry_after_ms is None else retry_after_ms / 1_000
        return HivepostError(problem["code"], problem.get("detail", problem["code"]), retry_after)
    except (ValueError, KeyError, AttributeError):
        code = "unavailable" if status in (429, 502, 503, 504) else "unreachable"
        return HivepostError(code, f"what listens at {url} answered {status} and is perhaps no Hivepost server")


def _tls_context(ca_file: Optional[str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise HivepostError("invalid_input", f"{ca_file} is no certificate (PEM) of an authority: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _in_thread(work: Callable[[_Call], Any]) -> Any:
    """Runs blocking work in a thread of its own; a caller that is cancelled ends it.

    A thread for each, and not a pool: a pool full of long polls would let nothing else through, and its threads keep an
    interpreter from ending.
    """
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    call = _Call()

    def settle(result: Any, error: Optional[BaseException]) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work(call)
        except BaseException as raised:  # Whatever it is belongs to the caller.
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            pass  # The loop was closed, so nobody waits.

    threading.Thread(target=run, name="hivepost-request", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        call.abort()
        raise


def _find_token() -> str:
    token = os.environ.get("HIVEPOST_TOKEN")
    if token:
        return token.strip()
    folder = os.environ.get("HIVEPOST_DATA_DIR") or os.path.join(os.path.expanduser("~"), ".hivepost")
    file = os.environ.get("HIVEPOST_TOKEN_FILE") or os.path.join(folder, "admin.token")
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read().strip()
    except FileNotFoundError:
        raise HivepostError(
            "unauthenticated",
            f"no token: there is no file {file}; set HIVEPOST_TOKEN or HIVEPOST_TOKEN_FILE, "
            "or start a server with: hivepost serve",
        ) from None


_id_lock = threading.Lock()
_last_moment = 0


def _new_id() -> str:
    """A UUIDv7 (RFC 9562, section 6.2, method 1); those of one process sort by the order they were made in."""
    global _last_moment
    with _id_lock:
        # 48 bits of milliseconds and a counter of 12, as one number that only grows, also when the clock is set back.
        _last_moment = max(_last_moment + 1, time.time_ns() // 1_000_000 << 12)
        moment = _last_moment
    chance = int.from_bytes(os.urandom(8), "big") >> 2
    value = (moment >> 12 << 80) | (0x7 << 76) | ((moment & 0xFFF) << 64) | (0b10 << 62) | chance
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
