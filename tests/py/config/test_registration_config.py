"""Sidecar registrations: what is accepted, and what is said of the rest."""

from __future__ import annotations

import pytest

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.fixed import changed
from meshfast.registers import Advertise, RegistrationSpec

GOOD = """
apiVersion: meshfast.io/v1
kind: Sidecar
spec:
  workload: {app: shop}
  listeners:
  - {name: in, bind: "tcp://10.0.0.7:20880", direction: inbound, forward: "127.0.0.1:20881"}
  - {name: any, bind: "tcp://0.0.0.0:20882", direction: inbound, forward: "127.0.0.1:20883"}
  - {name: own, bind: "unix:///tmp/own", direction: inbound, forward: "127.0.0.1:20884"}
  - {name: out, bind: "tcp://127.0.0.1:15001"}
  registries:
  - {name: main, address: "zookeeper://10.1.0.1:2181", register: true}
  registrations:
  - {service: com.x.Cart, group: g, version: 1.0.0, listener: in, parameters: {methods: "add,left", weight: "50"}}
"""


def load(text, tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(text)
    return config.load([path])


def problems(text, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)
    return str(caught.value)


def test_it_is_in_the_mesh(tmp_path):
    side = load(GOOD, tmp_path).sidecar
    parameters = {"methods": "add,left", "weight": "50"}
    assert side.registrations == (RegistrationSpec("com.x.Cart", "g", "1.0.0", "dubbo", "in", parameters),)
    assert side.advertise == Advertise("", 3000) and side.registries[0].register


def test_as_what_it_is_advertised(tmp_path):
    text = GOOD.replace("listener: in,", "listener: any,") + '  advertise: {address: "fd00::7", propagation: 500ms}\n'
    assert load(text, tmp_path).sidecar.advertise == Advertise("fd00::7", 500)


def test_at_which_levels(tmp_path):
    def levels(text):
        return load(GOOD + f"  advertise: {{levels: {text}}}\n", tmp_path).sidecar.advertise.levels

    assert levels("[instance]") == ("instance",) and levels("[]") == ()
    assert levels("[instance, interface, instance]") == ("instance", "interface")
    assert "mesh.yaml:15:24: Sidecar spec.advertise.levels[0]" in problems(
        GOOD + "  advertise: {levels: [application]}\n", tmp_path
    )
    assert "write it as a list" in problems(GOOD + "  advertise: {levels: instance}\n", tmp_path)


def test_no_version_is_none(tmp_path):
    assert load(GOOD.replace("1.0.0", "0.0.0"), tmp_path).sidecar.registrations[0].version == ""


def test_it_may_change_while_it_runs(tmp_path):
    old = load(GOOD, tmp_path).sidecar
    new = load(GOOD.replace("com.x.Cart", "com.x.Stock") + "  advertise: {propagation: 1s}\n", tmp_path).sidecar
    assert changed(old, new) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("listener: in,", "listener: inn,", "unknown listener inn"),
        ("listener: in,", "listener: out,", "out is not a listener that forwards to the application"),
        ("listener: in,", "listener: own,", "UNIX socket"),
        ("listener: in,", "listener: any,", "add advertise: {address: 10.0.0.7}"),
        ("register: true", "register: false", "no registry takes them"),
        ("workload: {app: shop}", "workload: {}", "which application offers it"),
        ("com.x.Cart", '"com.x.*"', "is not a service"),
        ("group: g", 'group: "a&b"', "cannot be a group"),
        ("methods:", '"a b":', "is not the name of a parameter"),
        ("methods:", "timestamp:", "timestamp is written by itself"),
        ('"add,left"', '"add&left"', "cannot be written into a URL"),
        ("  registrations:\n", "  advertise: {address: 0.0.0.0}\n  registrations:\n", "cannot be called"),
        ("  registrations:\n", "  advertise: {propagation: 11s}\n  registrations:\n", "more than 10s"),
        ("  registrations:\n", "  registrations:\n  - {service: com.x.Cart, group: g, version: 1.0.0, listener: in}\n",
         "registered twice"),
        ("listener: in,", "listener: in, protocol: rest,", "expected dubbo or tri"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(before, after, said, tmp_path):
    assert before in GOOD
    text = problems(GOOD.replace(before, after, 1), tmp_path)
    assert said in text and "mesh.yaml:" in text
