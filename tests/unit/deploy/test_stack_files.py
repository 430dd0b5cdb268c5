"""Ports are remembered, files are whole, and one command at a time works on the stack."""

import json
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import StackBusy, StackError, StackNotRunning, StateUnreadable
from deploy.stack.addresses import StackAddresses, load_stack, save_stack
from deploy.stack.files import locked, read_json, tail, write_json
from deploy.stack.layout import Layout
from deploy.stack.ports import PORT_RANGE, PortBook, is_free


class Heard(list[str]):
    """What was said."""

    def __call__(self, line: str) -> None:
        self.append(line)


def book(path: Path, heard: Heard, taken: set[int] | None = None) -> PortBook:
    held = taken or set()
    return PortBook(path, rng=random.Random(7), say=heard, free=lambda port: port not in held)


def test_ports_are_chosen_once_and_remembered(tmp_path: Path) -> None:
    heard = Heard()
    first = book(tmp_path / "ports", heard).choose(["kafka", "valkey"])
    assert len(set(first.values())) == 2
    assert all(port in PORT_RANGE for port in first.values())
    again = PortBook(tmp_path / "ports", rng=random.Random(8), say=heard, free=lambda _: True)
    assert again.choose(["valkey", "kafka"]) == first
    assert heard == []


def test_a_taken_port_is_named_and_replaced_for_good(tmp_path: Path) -> None:
    heard = Heard()
    first = book(tmp_path / "ports", heard).choose(["kafka", "valkey"])
    taken = {first["kafka"]}
    second = book(tmp_path / "ports", heard, taken).choose(["kafka", "valkey"])
    assert second["valkey"] == first["valkey"]
    assert second["kafka"] != first["kafka"]
    assert heard == [
        f"Port {first['kafka']} of kafka is taken by another process; choosing another."
    ]
    assert book(tmp_path / "ports", heard).choose(["kafka"])["kafka"] == second["kafka"]


def test_ports_of_others_are_not_given_out(tmp_path: Path) -> None:
    heard = Heard()
    write_json(tmp_path / "ports", {f"other-{port}": port for port in PORT_RANGE if port % 50})
    avoid = {port for port in PORT_RANGE if port % 100}
    port = book(tmp_path / "ports", heard).choose(["kafka"], avoid=avoid)["kafka"]
    assert port % 100 == 0


def test_a_full_range_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="No free port between 20000 and 31999"):
        book(tmp_path / "ports", Heard(), set(PORT_RANGE)).choose(["kafka"])


@pytest.mark.parametrize("damaged", ["", "{", "[1]", '{"kafka": "soon"}'])
def test_a_damaged_book_costs_only_other_ports(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "ports").write_text(damaged)
    chosen = book(tmp_path / "ports", Heard()).choose(["kafka"])
    assert read_json(tmp_path / "ports") == chosen


def test_a_listener_takes_a_port_and_a_closed_one_gives_it_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()
    assert is_free(port)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_only_one_process_holds_the_lock_and_its_death_frees_it(tmp_path: Path) -> None:
    lock, heard = tmp_path / "lock", Heard()
    source = (
        "import sys, pathlib; from deploy.stack.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), wait_s=0, say=print):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", source, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StackBusy, match="wait for it"), locked(lock, wait_s=0.2, say=heard):
            pytest.fail("two processes hold the same lock")
        holder.kill()
    assert heard == ["Another headrace command is at work on the stack; waiting for it."]
    with locked(lock, wait_s=0, say=heard):
        pass


def test_the_tail_of_a_log_of_any_size(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_bytes(b"\xff broken\n" * 40_000 + b"last but one\nlast")
    assert tail(log, 2) == ["last but one", "last"]
    assert len(tail(log, 10**6)) < 10_000
    assert tail(log, 0) == []


def test_addresses_survive_the_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path, tmp_path)
    with pytest.raises(StackNotRunning, match="headrace up"):
        load_stack(layout)
    names = ("kafka", "valkey", "triton-grpc", "triton-http", "triton-metrics")
    ports = dict(zip(names, range(1, 6), strict=True))
    saved = StackAddresses.of(ports, tmp_path / "models")
    save_stack(layout, saved)
    assert load_stack(layout) == saved
    assert saved.valkey_url == "redis://127.0.0.1:2/0"


@pytest.mark.parametrize("damaged", ["{", json.dumps({"model_repository": "x"}), '{"a": 1}'])
def test_damaged_addresses_say_what_to_do(tmp_path: Path, damaged: str) -> None:
    layout = Layout(tmp_path, tmp_path, tmp_path)
    layout.stack.mkdir()
    layout.addresses.write_text(damaged)
    with pytest.raises(StateUnreadable, match="run `headrace up`"):
        load_stack(layout)


def test_the_environment_moves_the_state_folder_and_its_downloads() -> None:
    plain = Layout.discover({})
    assert plain.state == plain.fetched == plain.checkout / ".headrace"
    moved = Layout.discover({"HEADRACE_STATE_DIR": "/elsewhere"})
    assert moved.triton_env == Path("/elsewhere/triton-env")
    shared = Layout.discover({"HEADRACE_STATE_DIR": "/a", "HEADRACE_FETCHED_DIR": "/b"})
    assert (shared.models, shared.kafka_lib) == (Path("/a/models"), Path("/b/lib/kafka"))
