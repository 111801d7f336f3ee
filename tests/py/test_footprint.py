"""What a sidecar takes while nothing happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIG = """\
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {name: idle}
spec:
  workload: {app: idle}
  workers: 1
  listeners:
  - {name: dubbo, bind: "tcp://127.0.0.1:0", direction: outbound, protocol: dubbo}
"""


def test_an_idle_sidecar_fits_in_40_mib(tmp_path):
    """Python included. Room for 65,536 trace ids is set aside, and must not be in memory before it is used."""
    config = tmp_path / "mesh.yaml"
    config.write_text(CONFIG)
    command = [sys.executable, "-P", "-m", "meshfast", "proxy", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr and any(" ready: " in line for line in process.stderr)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
    assert process.returncode == 0
    assert int(status.split("VmRSS:")[1].split()[0]) <= 40 * 1024
