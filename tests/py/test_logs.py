"""What goes to the log, and what happens when it goes nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading

import pytest
from peers import until, until_now

from meshfast import hints
from meshfast.accesslog import AccessWriter, json_line, text_line
from meshfast.eventlog import EVERY, PEERS, EventLog
from meshfast.model import AccessLog
from meshfast.record import FIELDS, Record, parse
from meshfast.running import Running
from meshfast.sink import Sink

# --- events


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "meshfast")

    def lines() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return lines


def test_what_happens_again_is_counted(told):
    clock = Clock()
    events = EventLog(clock)
    down = ("peer_down", 3, -111, "Connection refused", "10.0.0.1:20880")
    events.take([down] * 5 + [("peer_up", 0, 0, "", "10.0.0.2:20880")])
    assert told() == ["peer down 10.0.0.1:20880: Connection refused (worker 3)", "peer up 10.0.0.2:20880 (worker 0)"]
    clock.now += EVERY / 2
    events.take([down])
    events.flush()
    assert told() == []
    clock.now += EVERY
    events.flush()
    assert told() == ["peer down 10.0.0.1:20880: 5 more within 1 s"]
    events.flush()
    assert told() == []
    events.take([down])
    assert len(told()) == 1


def test_callers_have_a_new_port_each_time(told):
    clock = Clock()
    events = EventLog(clock)
    events.take([("bad_downstream", 0, -1, "no magic", f"[2001:db8::1]:{port}") for port in range(2000, 3000)])
    assert told() == ["bad downstream [2001:db8::1]:2000: no magic (worker 0)"]
    clock.now += EVERY
    events.take([("bad_downstream", 0, -1, "no magic", f"10.0.{i >> 8}.{i & 255}:1") for i in range(1000)])
    lines = told()
    assert lines[0] == "bad downstream [2001:db8::1]: 999 more within 1 s" and len(lines) == 1 + PEERS
    clock.now += EVERY
    events.take([("accept_failed", 0, -24, "Too many open files", "")])
    lines = told()
    assert lines[0] == f"bad downstream: {1000 - PEERS} more of other addresses within 1 s"
    assert lines[1] == "accept failed (address unknown): Too many open files (worker 0)"


# --- sinks


def test_lines_arrive_whole_and_in_order(tmp_path):
    path = tmp_path / "log"
    sink = Sink(str(path))
    for i in range(1000):
        assert sink.put(f"{i}\n".encode())
    sink.close()
    assert path.read_text() == "".join(f"{i}\n" for i in range(1000))
    assert path.stat().st_mode & 0o777 == 0o640
    assert not sink.put(b"late\n") and sink.dropped == 1


def test_a_file_that_was_moved_is_opened_anew(tmp_path):
    path = tmp_path / "log"
    sink = Sink(str(path))
    sink.put(b"one\n")
    until_now(lambda: path.read_text() == "one\n")
    path.rename(tmp_path / "log.1")
    sink.reopen()
    sink.put(b"two\n")
    (tmp_path / "gone").mkdir()
    sink.path = str(tmp_path / "nowhere" / "log")
    with pytest.raises(OSError, match="No such file"):
        sink.reopen()
    sink.put(b"three\n")
    sink.close()
    assert ((tmp_path / "log.1").read_text(), path.read_text()) == ("one\n", "two\nthree\n")


def test_a_pipe_that_nobody_reads_drops_and_counts():
    ours, theirs = os.pipe()
    sink = Sink(fd=theirs, room=100_000)
    line = b"x" * 999 + b"\n"
    taken = sum(sink.put(line) for _ in range(1000))
    assert taken < 300 and sink.dropped == 1000 - taken
    sink.close(0.05)  # does not wait for ever
    read = b""

    def drain() -> None:
        nonlocal read
        while len(read) < taken * 1000:
            read += os.read(ours, 65536)

    reader = threading.Thread(target=drain)
    reader.start()
    reader.join(10)
    assert read == line * taken
    os.close(ours)
    os.close(theirs)


def test_a_pipe_that_does_not_wait_is_waited_for():
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    sink = Sink(fd=theirs)
    sink.put(b"x" * 199_999 + b"\n")
    read = b""
    while len(read) < 200_000:
        read += os.read(ours, 65536)
    sink.close()
    assert read.endswith(b"x\n") and sink.dropped == 0
    os.close(ours)
    os.close(theirs)


def test_two_on_one_descriptor_cut_no_line():
    ours, theirs = os.pipe()
    sinks = [Sink(fd=theirs), Sink(fd=theirs)]
    for _ in range(20):
        for sink, letter in zip(sinks, (b"a", b"b"), strict=True):
            sink.put((letter * 9999 + b"\n") * 3)
    read = b""
    while len(read) < 1_200_000:
        read += os.read(ours, 65536)
    assert {line[:1] * 9999 == line for line in read.split(b"\n")[:-1]} == {True}
    for sink in sinks:
        sink.close()
    os.close(ours)
    os.close(theirs)


def test_a_full_disk_and_a_closed_pipe_drop_and_count():
    sink = Sink("/dev/full")
    sink.put(b"a\nb\n")
    sink.put(b"c\n")
    sink.close()
    assert sink.dropped == 3
    ours, theirs = os.pipe()
    os.close(ours)
    sink = Sink(fd=theirs)
    sink.put(b"a\n")
    sink.close()
    assert sink.dropped == 1
    os.close(theirs)


def test_a_fifo_without_a_reader_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="fifo"):
        Sink(str(tmp_path / "fifo"))


# --- the access log

CALL = Record(
    1764188694.25, "outbound", "com.x.Cart", "add", "10.0.0.1:999", "10.0.0.7:20880", "dev1", {"env": "dev1", "z": "a"},
    "dubbo", 20, "ok", 0, 120, 60, 0.0015, 1, 0, 2, -7,
)  # fmt: skip


def test_a_call_as_text_and_as_json():
    assert text_line("text")(CALL) == (
        b"2025-11-26T20:24:54.250000Z outbound 10.0.0.1:999 com.x.Cart.add 10.0.0.7:20880 dev1 env=dev1,z=a 20 ok "
        b"120 60 0.001500 -7 dubbo 0 1 0 2\n"
    )
    assert text_line("{status} 100% {{{outcome}}}")(CALL) == b"20 100% {ok}\n"
    said = json.loads(json_line(FIELDS)(CALL))
    assert list(said) == list(FIELDS) and said["labels"] == {"env": "dev1", "z": "a"} and said["request_id"] == -7
    assert said["time"] == "2025-11-26T20:24:54.250000Z" and said["duration"] == 0.0015
    assert json_line(("status", "service"))(CALL) == b'{"status":20,"service":"com.x.Cart"}\n'


def test_what_a_caller_chose_breaks_no_line():
    hostile = CALL._replace(service="a\nb c\r\x00\x1b[31m", method="\u2028\ud800", labels={"e": 'x" y'}, peer="")
    line = text_line("text")(hostile)
    assert line.count(b"\n") == 1 and len(line.split(b" ")) == len(text_line("text")(CALL).split(b" "))
    assert b"a\\x0ab\\x20c" in line and b" - " in line and b"\x1b" not in line
    assert json.loads(json_line(("service",))(hostile))["service"] == hostile.service


@pytest.mark.parametrize("bad", ["{who}", "{status!r}", "{status:>3}", "{status", "status}", "{}", "{0}", "{a.b}"])
def test_a_format_that_is_none(bad):
    with pytest.raises(ValueError):
        parse(bad)


def test_following_outlives_a_mistake(tmp_path, caplog):
    path, state = tmp_path / "access", Running()
    batches = [[("short",)], [CALL] * 2000, []]

    async def story() -> None:
        writer = AccessWriter(AccessLog(str(path)), state)
        task = asyncio.ensure_future(writer.follow(lambda: batches.pop(0) if batches else []))
        await until(lambda: state.access_records == 2000)
        task.cancel()
        writer.close()

    asyncio.run(story())
    assert "1 record(s) are lost" in caplog.text and path.read_text().count("\n") == 2000


def test_written_opened_anew_and_counted(tmp_path):
    path, state = tmp_path / "access", Running()
    writer = AccessWriter(AccessLog(str(path), "{request_id}", (), 1.0), state)
    writer.write([CALL._replace(request_id=i) for i in range(10)])
    writer.write([])
    until_now(lambda: path.read_text().count("\n") == 10)
    path.rename(tmp_path / "access.1")
    writer.reopen()
    writer.write([CALL])
    writer.close()
    assert path.read_text() == "-7\n" and (state.access_records, state.access_dropped) == (11, 0)

    state, batches = Running(), [[CALL] * 300, [CALL] * 20, []]
    writer = AccessWriter(AccessLog(str(path), "json", ("status",)), state)
    writer.finish(lambda: batches.pop(0))
    assert path.read_text().count('{"status":20}\n') == state.access_records == 320

    state = Running()
    writer = AccessWriter(AccessLog("/dev/full"), state)
    writer.write([CALL] * 3)
    writer.close()
    assert state.access_dropped == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fifo", "nobody reads this FIFO: start its reader first"),
        ("socket", "a UNIX socket cannot be opened as a file"),
        ("folder", "it is a directory: name a file in it"),
        ("none/calls.log", "make the directory first"),
        ("round", "its links lead back to themselves"),
    ],
)
def test_a_path_that_cannot_be_opened_says_what_to_do(tmp_path, name, said):
    path = tmp_path / name
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "round").symlink_to("round")
    good = tmp_path / "good"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError) as caught:
            AccessWriter(AccessLog(str(path)), Running())
    assert hints.told(caught.value).startswith(f"accessLog.path {path}: ") and said in hints.told(caught.value)
    if name == "fifo":
        writer = AccessWriter(AccessLog(str(good)), Running())
        good.unlink()
        os.mkfifo(good)
        with pytest.raises(OSError, match=f"accessLog.path {good}: "):
            writer.reopen()
        writer.close()


def test_a_proxy_whose_access_log_nobody_reads_says_so(tmp_path):
    os.mkfifo(tmp_path / "calls")
    log = json.dumps({"path": str(tmp_path / "calls")})
    listener = '{name: out, bind: "tcp://127.0.0.1:0"}'
    spec = f"{{listeners: [{listener}], accessLog: {log}}}"
    (tmp_path / "mesh.yaml").write_text(f"apiVersion: meshfast.io/v1\nkind: Sidecar\nspec: {spec}\n")
    command = [sys.executable, "-m", "meshfast", "proxy", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"cannot start: accessLog.path {tmp_path}/calls: No such device or address; nobody reads" in done.stderr
