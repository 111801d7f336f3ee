"""Requests and answers of Triple and gRPC as the SDK writes and reads them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any, Protocol
from urllib.parse import quote

import pytest
from test_sdk_codec import Order, grown

from meshfast import hessian, http2, protobuf, sdk
from meshfast.sdk.triple import Answer, Fields, Request, TripleTarget
from meshfast.sdk.typed import bound

TRI = TripleTarget("com.x.Cart", "red", "1.0.0", app="shop")
GRPC = TripleTarget("com.x.Cart", protocol="grpc")
OK: Fields = [(b":status", b"200"), (b"content-type", b"application/grpc+proto")]
DONE: Fields = [(b"grpc-status", b"0")]


class Text:
    """What any message of protobuf has."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def SerializeToString(self) -> bytes:
        return b"<" + self.text

    @classmethod
    def FromString(cls, data: bytes) -> Text:
        if not data.startswith(b"<"):
            raise RuntimeError("no such message")
        return cls(data[1:])


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def request(target: TripleTarget, *args: Any, types: Any = None, **more: Any) -> Request:
    return target.request(0, "add", args, types, more.get("attachments"), 250, own=more.get("own"))


def wrapped(value: bytes, kind: bytes = b"hessian4") -> bytes:
    return protobuf.field(1, kind) + protobuf.field(2, value) + protobuf.field(3, b"java.lang.Object")


def answered(body: bytes, head: Fields = OK, trailers: Fields = DONE, raw: bool = False, code: Any = None) -> Any:
    return TRI.answered(Answer(head, body, trailers, raw, code))


def test_a_request_of_a_java_interface() -> None:
    types = ["Ljava/lang/String;", "I", "[J", "[B", "[Ljava/lang/String;"]
    made = request(TRI, "book", 2, [1], b"x", None, types=types)
    fields = dict(made.head())
    http2.check_request(made.head())
    assert fields[b":path"] == b"/com.x.Cart/add" and fields[b"content-type"] == b"application/grpc+proto"
    assert fields[b"tri-service-group"] == b"red" and fields[b"tri-service-version"] == b"1.0.0"
    assert (fields[b"tri-consumer-appname"], fields[b"grpc-timeout"], fields[b"_to"]) == (b"shop", b"250m", b"250")
    found = list(protobuf.fields(made.body[5:]))
    assert made.body == framed(made.body[5:]) and found[0] == (1, b"hessian4")
    values = [hessian.decode(value)[0] for number, value in found if number == 2 and isinstance(value, bytes)]
    assert values == ["book", 2, [1], b"x", None] and found[2] == (2, b"\x92")  # an int, no long
    kinds = [value for number, value in found if number == 3]
    assert kinds == [b"java.lang.String", b"int", b"[J", b"[B", b"[Ljava.lang.String;"]
    assert dict(made.within(7).head())[b"_to"] == b"7" and len(made) > len(made.body)
    assert dict(made.within(200_000_000).head())[b"grpc-timeout"] == b"200000S"


def test_messages_go_as_they_are() -> None:
    assert request(TRI, Text(b"hi")).body == framed(b"<hi") and request(TRI, Text(b"")).raw
    made = request(GRPC, b"raw")
    assert made.body == framed(b"raw") and made.raw
    names = [name for name, _ in made.head()]
    assert not any(name.startswith((b"tri-", b"_to")) for name in names)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: request(GRPC, "text"), TypeError, "one argument, bytes or a message"),
        (lambda: request(GRPC), TypeError, "one argument"),
        (lambda: request(TRI, Text(b"x"), 1), TypeError, "such a method has one argument"),
        (lambda: request(TRI, 1, types=["I", "I"]), TypeError, "1 arguments and 2 types"),
        (lambda: request(TRI, 1 << 70), OverflowError, "long"),
        (lambda: request(TRI, object()), TypeError, "cannot carry"),
        (lambda: TRI.request(0, "a/b", (), None, None, 1), ValueError, "no name of a method"),
        (lambda: TRI.request(0, "hi", (), None, None, 1, False), TypeError, "one way are Dubbo2's"),
        (lambda: TripleTarget("com/x"), ValueError, "no name of a service"),
        (lambda: TripleTarget("x", "red", protocol="grpc"), ValueError, "no group and no version"),
    ],
)
def test_what_cannot_be_asked(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_an_argument_that_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="nested too deep"):
        request(TRI, value)


def test_attachments_are_fields_and_come_back_as_they_were() -> None:
    sent = {"env": "dev1", "replyTo": "Me", "n": 7, "f": 1.5, "yes": True, "Blob": b"\xff\0", "e": "\u00e9"}
    made = request(TRI, attachments=sent, own=sent)
    http2.check_request(made.head())
    fields = dict(made.head())
    assert fields[b"blob-bin"] == b"/wA" and fields[b"e"] == b"\xe9" and fields[b"yes"] == b"true"
    convert = fields[b"tri-header-convert"]
    assert convert == quote(json.dumps({"replyto": "replyTo", "blob": "Blob"}, separators=(",", ":"))).encode()
    back = [(b"tri-header-convert", convert), (b"blob-bin", b"/wA"), (b"replyto", b"Me"), *DONE]
    answer = Answer(OK, b"", back, False)
    assert TRI.attachments_of(answer) == {"Blob": b"\xff\0", "replyTo": "Me"}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("_to", "9", "HTTP or gRPC"),
        ("te", "x", "HTTP or gRPC"), ("grpc-status", "0", "HTTP or gRPC"), ("Content-Type", "x", "HTTP or gRPC"),
        ("tri-service-group", "x", "HTTP or gRPC"), (":path", "/", "HTTP or gRPC"), ("a b", "x", "for names"),
        ("", "x", "for names"), ("\u00e9", "x", "for names"), ("x", "\u20ac", "Latin-1"), ("x", "a\r\nb: c", "control"),
        ("x", " x", "spaces"), ("x-bin", "x", "bytes"), ("x", ["y"], "none of text"), ("x", None, "none of text"),
    ],
)  # fmt: skip
def test_what_is_no_field_is_refused_of_a_call_and_left_out_of_its_context(key: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        request(TRI, attachments={key: value}, own={key: value})
    assert request(TRI, attachments={key: value, "env": "x"}, own={"env": "x"}).head() == request(
        TRI, attachments={"env": "x"}
    ).head()


NAMES = ["", "%7B", "[]", "%7B%22a%22%3A1%7D", "%7B%22env%22%3A%22other%22%7D", "%FF", "[" * 9999]


@pytest.mark.parametrize("text", NAMES, ids=range(len(NAMES)))
def test_names_that_cannot_be_read_change_nothing(text: str) -> None:
    answer = Answer(OK, b"", [(b"tri-header-convert", text.encode()), (b"env", b"x"), (b"b-bin", b"!"), *DONE], False)
    assert TRI.attachments_of(answer) in ({"env": "x", "b-bin": "!"}, {"env": "x", "b": b""})


def test_answers() -> None:
    assert answered(framed(wrapped(hessian.encode({"a": [1, "x"]})))) == {"a": [1, "x"]}
    assert answered(framed(wrapped(b""))) is None and answered(framed(b"")) is None
    assert answered(framed(wrapped(hessian.encode(None), b"hessian2"))) is None
    assert answered(framed(b"any"), raw=True) == b"any"
    order = {"class": "com.x.test.Order", "id": 1, "title": "a"}
    fields = b"C" + hessian.encode(order.pop("class")) + b"\x92" + b"".join(map(hessian.encode, order))
    found = answered(framed(wrapped(fields + b"\x60" + b"".join(map(hessian.encode, order.values())))))
    assert found == Order(1, "a")


def test_what_was_thrown() -> None:
    thrown = b"C" + hessian.encode("com.x.Sold") + b"\x91" + hessian.encode("detailMessage") + b"\x60"
    body = framed(wrapped(thrown + hessian.encode("sold out")))
    with pytest.raises(sdk.RemoteError) as error:
        answered(body, [*OK, (b"tri-exception-code", b"3")])
    assert (error.value.kind, error.value.message, error.value.may_have_run) == ("com.x.Sold", "sold out", True)
    with pytest.raises(sdk.RemoteError, match="just text"):
        answered(framed(wrapped(hessian.encode("just text"))), trailers=[*DONE, (b"tri-exception-code", b"3")])


STATUS: list[tuple[int, str, type[sdk.CallError], bool]] = [
    (12, "meshfast: no route: com.x is not in the mesh", sdk.NoRoute, False),
    (12, "no such method", sdk.StatusError, True),
    (14, "meshfast: no instance of x", sdk.NoInstance, False),
    (14, "meshfast: no available instance of x", sdk.NoInstance, False),
    (14, "meshfast: the connection to the provider was lost before it answered", sdk.ConnectionLost, True),
    (14, "anything else", sdk.StatusError, True),
    (4, "too late", sdk.CallTimeout, True),
    (8, "meshfast: overload", sdk.Overloaded, True),
    (2, "caf\u00e9 % boo", sdk.StatusError, True),
    (99, "", sdk.StatusError, True),
]


@pytest.mark.parametrize(("status", "text", "kind", "may_have_run"), STATUS)
def test_what_a_status_means(status: int, text: str, kind: type[sdk.CallError], may_have_run: bool) -> None:
    fields = [(b"grpc-status", b"%d" % status), (b"grpc-message", quote(text).encode())]
    for head, trailers in (([*OK, *fields], []), (OK, fields)):
        with pytest.raises(sdk.CallError) as error:
            answered(b"", head, trailers)
        assert type(error.value) is kind and text in str(error.value) and error.value.may_have_run is may_have_run


@pytest.mark.parametrize(
    ("http", "status"), [("400", 13), ("401", 16), ("404", 12), ("503", 14), ("200", 2), ("", 2), ("x", 2)]
)
def test_an_answer_that_is_not_grpcs(http: str, status: int) -> None:
    with pytest.raises(sdk.StatusError, match="without grpc-status") as error:
        answered(b"<html>", [(b":status", http.encode())], [])
    assert (error.value.status, error.value.is_grpc) == (status, True)
    with pytest.raises(sdk.StatusError, match="without grpc-status"):
        answered(b"", OK, [(b"grpc-status", b"zero")])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "not one message"), (b"\0\0", "not one message"), (framed(b"x") + b"y", "not one message"),
        (framed(b"x") * 2, "not one message"), (framed(b"x", 1), "compressed"),
        (framed(b"\xff"), "cannot be read"), (framed(protobuf.field(1, b"json")), "answers in json"),
        (framed(wrapped(b"\x51\x99")), "cannot be read"), (framed(wrapped(b"S\x00\x05ab")), "cannot be read"),
        (framed(protobuf.field(1, b"\xff")), "answers in"), (framed(wrapped(b"\x57" * 5000)), "cannot be read"),
    ],
)  # fmt: skip
def test_answers_that_cannot_be_read(body: bytes, text: str) -> None:
    with pytest.raises(sdk.BadAnswer, match=text):
        answered(body)


def test_protobuf() -> None:
    data = b"\x08\x96\x01" + protobuf.field(2, b"x" * 300) + b"\x1d\1\2\3\4" + b"\x21" + bytes(8)
    assert list(protobuf.fields(data)) == [(1, 150), (2, b"x" * 300), (3, 0x04030201), (4, 0)]
    whole = set[int]()
    for end in range(len(data)):
        try:
            list(protobuf.fields(data[:end]))
            whole.add(end)
        except ValueError:
            pass
    assert whole == {0, 3, 306, 311}
    for bad in (b"\x0b", b"\xff" * 11, b"\x0a\x05ab"):
        with pytest.raises(ValueError, match="protobuf"):
            list(protobuf.fields(bad))


class Texts(Protocol):
    def ask(self, text: Text) -> Text: ...

    def join(self, left: str, right: sdk.Int) -> str: ...


class Two(Protocol):
    def ask(self, text: Text, more: int) -> Text: ...


class Raw(Protocol):
    def ask(self, text: bytes) -> bytes: ...


def test_stubs_with_messages() -> None:
    class Service:
        gives: Any = b"<there"

        def call(self, method: str, *args: Any, types: Any, idempotent: bool) -> Any:
            self.called = (method, args, types)
            return self.gives

    service = Service()
    stub = bound(Texts, "x", lambda name: service, False, "tri")  # type: ignore[type-abstract]
    message = Text(b"hi")
    assert stub.ask(message).text == b"there" and service.called == ("ask", (message,), None)
    service.gives = b"no"
    with pytest.raises(sdk.BadAnswer, match="no such message"):
        stub.ask(message)
    service.gives = "ab"
    assert stub.join("a", right=2) == "ab" and service.called[2] == ("java.lang.String", "int")
    service.gives = b"raw"
    assert bound(Raw, "x", lambda name: service, False, "grpc").ask(b"x") == b"raw"  # type: ignore[type-abstract]
    assert service.called[2] is None
    wrong = ((Texts, "dubbo", 'say protocol="tri"'), (Two, "tri", "one argument"), (Texts, "grpc", "one argument"))
    for kind, protocol, text in wrong:
        with pytest.raises(TypeError, match=text):
            bound(kind, "x", lambda name: service, False, protocol)


def test_base64_without_its_end() -> None:
    for size in range(5):
        data = bytes(range(250, 250 + size))
        made = dict(request(TRI, attachments={"b": data}).head())
        assert made[b"b-bin"] == base64.b64encode(data).rstrip(b"=")
        assert TRI.attachments_of(Answer(OK, b"", [(b"b-bin", made[b"b-bin"])], False)) == {"b": data}


def test_what_another_sends_is_bounded_in_words_and_in_time() -> None:
    for value in (grown(), b"H" + hessian.encode("message") + grown(50, before=1) + b"Z"):
        with pytest.raises(sdk.RemoteError) as found:
            answered(framed(wrapped(value)), trailers=[*DONE, (b"tri-exception-code", b"1")])
        assert len(str(found.value)) < 10_000
    order = b"C" + hessian.encode("com.x.test.Order") + b"\x91" + hessian.encode("at") + b"\x60J\x7f" + bytes(7)
    with pytest.raises(sdk.BadAnswer, match="cannot be read"):  # a date beyond all calendars
        answered(framed(wrapped(order)))


def test_who_calls_by_dubbo2_alone_loads_no_http2() -> None:
    code = "import sys, meshfast.sdk; print(sorted(one for one in sys.modules if one.startswith('meshfast')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'meshfast.sdk.clients'" in loaded
    assert not any(f"'meshfast.{one}'" in loaded for one in ("http2", "sdk.streams", "sdk.triple", "sdk.fat"))
