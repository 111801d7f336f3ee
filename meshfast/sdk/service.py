"""One service, and calls of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meshfast.hessian import Value
from meshfast.sdk.calls import LONG
from meshfast.sdk.client import Client
from meshfast.sdk.codec import Target
from meshfast.sdk.context import outgoing
from meshfast.sdk.protocols import DUBBO, TRIPLE
from meshfast.sdk.values import descriptor
from meshfast.sdk.wire import Call, Frame, Settled

if TYPE_CHECKING:
    from meshfast.sdk.streaming import Requests, Stream
    from meshfast.sdk.triple import TripleTarget

__all__ = ["Reply", "Service"]

#: Seconds that a call waits where nothing else is said: Dubbo's own default.
TIMEOUT = 1.0


class Reply(NamedTuple):
    """What came back: the value, and the attachments of the answer."""

    value: Any
    attachments: dict[str, Any]


class Asking:
    """What both faces of a service share: how a call begins."""

    def __init__(
        self, client: Client, service: str, group: str = "", version: str = "", timeout: float = TIMEOUT,
        carry: frozenset[str] | None = None, protocol: str = DUBBO, app: str = "",
    ) -> None:  # fmt: skip
        self.client, self.name, self.timeout, self.protocol = client, service, timeout, protocol
        self._target: Target | TripleTarget
        if protocol == DUBBO:
            self._target = Target(service, group, version)
        else:
            from meshfast.sdk.triple import TripleTarget  # who calls by Dubbo2 alone pays nothing for it

            self._target = TripleTarget(service, group, version, protocol, app)
        self._carry = carry
        self.known = False  # whether the sidecar has had the time to ask for it

    def request(
        self, number: int, method: str, args: Sequence[Any], types: Sequence[str] | None,
        attachments: Mapping[str, Value] | None, timeout: float, two_way: bool = True,
    ) -> Frame:  # fmt: skip
        """A request with what goes along of this context. ``types``: as Java writes them."""
        if not 0 < timeout < 1e6:
            raise ValueError(f"timeout={timeout!r} of {method}: say seconds, more than 0 and less than a million")
        kinds = None if types is None else [descriptor(one) for one in types]
        going = outgoing(self._carry, attachments)
        wait = max(1, int(1000 * timeout))
        return self._target.request(number, method, args, kinds, going, wait, two_way, attachments)

    def _replied(self, answer: Any) -> Reply:
        return Reply(self._target.answered(answer), self._target.attachments_of(answer))

    def opening(
        self, method: str, args: Sequence[Any], requests: Requests | None, sends: bool, types: Sequence[str] | None,
        timeout: float | None, attachments: Mapping[str, Value] | None, fit: Callable[[Any], Any] | None = None,
    ) -> Stream:  # fmt: skip
        """A call that streams, with what goes along of this context. It has not begun."""
        if self.protocol == DUBBO:
            raise TypeError(f'{method}: Dubbo2 has no streams: say protocol="tri"')
        from meshfast.sdk.flows import Flow  # who makes none pays nothing for it
        from meshfast.sdk.streaming import FOREVER, Stream

        if timeout is not None and not 0 < timeout < 1e6:
            raise ValueError(f"timeout={timeout!r} of {method}: say seconds, more than 0 and less than a million")
        kinds = None if types is None else [descriptor(one) for one in types]
        target: TripleTarget = self._target  # type: ignore[assignment]
        first: bytes | None = None
        flow = Flow(self.protocol != TRIPLE or (fit is not None and types is None))
        if not sends and requests is None:
            first, flow.raw = target.message(method, args, kinds)
        elif args:
            raise TypeError(f"{method}: arguments, or requests that are sent one after the other, and not both")
        going = outgoing(self._carry, attachments)
        wait = 0 if timeout is None else max(1, int(1000 * timeout))
        request = target.stream(method, going, wait, attachments, flow)
        seconds = FOREVER if timeout is None else timeout
        return Stream(self, target, flow, request, method, kinds, first, requests, seconds, fit)


class Service(Asking):
    """A service as ``mesh.service`` gives it; ``timeout``: seconds that a call waits where it does not say itself."""

    async def call(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None, idempotent: bool = False,
    ) -> Any:  # fmt: skip
        """Calls a method, and gives what it gives.

        ``types``: those of the arguments as Java writes them, ("java.lang.String", "int"); else those that go with the
        values (``meshfast.hessian``). ``timeout``: seconds for all of it, but for what a service's first call waits
        before (``meshfast.sdk.interest``). ``attachments`` go along besides those of the context. ``idempotent``: it
        may be executed twice, so it is sent once more when its connection ends.

        :raises CallError: there is no value; ``may_have_run`` says whether the call may have been executed
        :raises LimitError: a limit of ``sdk.Limits``; the call was not sent
        :raises TypeError, OverflowError: an argument that Hessian2 cannot carry
        :raises ValueError: a type or a timeout that is none
        """
        return await self._called(self._target.answered, method, args, types, timeout, attachments, idempotent)

    async def fitting(
        self, method: str, args: Sequence[Any], types: Sequence[str] | None, idempotent: bool, fit: Callable[[Any], Any]
    ) -> Any:  # fmt: skip
        """As ``call``; what ``fit`` makes of the value."""

        def how(answer: Any) -> Any:
            return fit(self._target.answered(answer))

        return await self._called(how, method, args, types, None, None, idempotent)

    async def reply(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None, idempotent: bool = False,
    ) -> Reply:  # fmt: skip
        """As ``call``, with the attachments that came back."""
        found: Reply = await self._called(self._replied, method, args, types, timeout, attachments, idempotent)
        return found

    async def tell(
        self, method: str, *args: Any, types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> None:  # fmt: skip
        """Calls one way: nothing comes back, and nobody says whether it arrived. Returns once it was sent."""
        await self._ask(method, args, types, timeout, attachments, False, two_way=False)

    def stream(
        self, method: str, *args: Any, requests: Requests | None = None, sends: bool = False,
        types: Sequence[str] | None = None, timeout: float | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> Stream:  # fmt: skip
        """A call by Triple or gRPC that streams: see ``meshfast.sdk.streaming``. With ``args`` its answers do; with
        ``requests``, which are sent as they come, or ``sends``, for ``Stream.send``, its requests. ``types``: of the
        arguments, or of one request. ``timeout``: seconds for all of it; None: it lasts until it ends.

        :raises TypeError: the service is called by Dubbo2; and as ``call``
        """
        return self.opening(method, args, requests, sends, types, timeout, attachments)

    streaming = Asking.opening

    async def _called(
        self, how: Callable[[Any], Any], method: str, args: Sequence[Any], types: Sequence[str] | None,
        timeout: float | None, attachments: Mapping[str, Value] | None, idempotent: bool,
    ) -> Any:  # fmt: skip
        """What is made of the answer: of a long one beside the loop."""
        answer = await self._ask(method, args, types, timeout, attachments, idempotent)
        return await self.client.read(how, answer) if self._target.size(answer) > LONG else how(answer)

    async def _ask(
        self, method: str, args: Sequence[Any], types: Sequence[str] | None, timeout: float | None,
        attachments: Mapping[str, Value] | None, idempotent: bool, two_way: bool = True,
    ) -> Any:  # fmt: skip
        client = self.client
        client.mine()
        if not self.known:
            client.interest.want(self.name)
            await client.interest.known(self.name)
            self.known = True
        most = self.timeout if timeout is None else timeout
        number = next(client.numbers)
        frame = self.request(number, method, args, types, attachments, most, two_way)
        future: Settled = client.loop.create_future()
        call: Call = client.start(number, frame, future, most, idempotent, two_way)
        try:
            answer = await future  # type: ignore[misc]
            if idempotent and self._target.lost(answer) and call.sends < 2:
                future = client.loop.create_future()
                client.again(call, future)
                answer = await future
            return answer
        except BaseException:
            client.forget(call)  # cancelled, mostly: a call that failed is forgotten already
            raise
