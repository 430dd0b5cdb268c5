import os
import subprocess
import sys
from pathlib import Path

from deploy.running import register, running
from deploy.stack.identity import Identity
from deploy.stack.layout import Layout


def layout(folder: Path) -> Layout:
    return Layout(folder, folder, folder)


def test_a_process_is_listed_while_it_runs(tmp_path: Path) -> None:
    here = layout(tmp_path)
    assert running(here) == []
    with register(here, "worker", "fraud", "http://127.0.0.1:1/metrics", clock=lambda: 12.5) as me:
        assert me.pid == os.getpid()
        assert me.started_at_ms == 12_500
        assert running(here) == [me]
        assert running(here, "fraud") == [me]
        assert running(here, "flights") == []
    assert running(here) == []


def test_a_killed_process_and_a_damaged_file_are_forgotten(tmp_path: Path) -> None:
    here = layout(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity.of(child.pid)
    assert identity is not None
    # Entered and never left, as when the process is killed.
    entered = register(here, "worker", "fraud", "http://x/metrics", identity=identity)
    entered.__enter__()
    (tmp_path / "run" / "worker-1.json").write_text("{")
    assert [process.pid for process in running(here)] == [child.pid]
    child.kill()
    child.wait()
    assert running(here) == []
    assert list((tmp_path / "run").iterdir()) == []
