"""The command line as a user meets it, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fastswap.cli.show import show
from fastswap.doctor import Diagnosis


def fastswap(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = "from fastswap.cli import main; main()"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_help_names_every_verb() -> None:
    done = fastswap("--help")
    assert done.returncode == 0
    for verb in ("extract", "train", "convert", "faces", "evaluate", "demo", "doctor"):
        assert verb in done.stdout


@pytest.mark.parametrize("verb", ["extract", "train", "convert", "evaluate", "demo", "doctor"])
def test_help_shows_defaults_and_common_flags(verb: str) -> None:
    done = fastswap(verb, "--help")
    assert done.returncode == 0
    for flag in ("--json", "--debug", "--quiet", "default"):
        assert flag in done.stdout


def test_wrong_usage_exits_with_2() -> None:
    assert fastswap("extract", "-i", "a.mp4").returncode == 2
    assert fastswap("swap").returncode == 2


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = fastswap("extract", "-i", tmp_path / "nowhere.mp4", "-o", tmp_path / "faces", "--quiet", "--json")
    assert done.returncode == 1
    assert "nowhere.mp4" in one_line(done)
    assert json.loads(done.stdout.splitlines()[-1])["exit_code"] == 1
    assert not (tmp_path / "faces").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = fastswap("extract", "-i", tmp_path / "nowhere.mp4", "-o", tmp_path / "faces", "--debug")
    assert "Traceback" in done.stderr


def test_size_out_of_range_is_usage(tmp_path: Path) -> None:
    done = fastswap("extract", "-i", tmp_path, "-o", tmp_path / "faces", "--size", "31", "--quiet")
    assert done.returncode == 2
    assert "--size" in one_line(done)


def test_doctor_prints_one_json_object_last() -> None:
    done = fastswap("doctor", "--json", "--quiet")
    assert done.returncode == 0
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ok"]
    assert found["implementations"]["warp"]["numba"] is None
    assert found["packages"]["torch"]
    assert sorted(found["nvenc"]) == ["av1", "h264", "hevc"]


def test_doctor_shows_what_runs_as_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = {"warp": {"triton": "no GPU", "numba": None}, "paste": {"cupy": "missing package: cupy; pip install it"}}
    machine = {"python": "3.11", "system": "s", "cpu": "c", "cores": 2, "memory_gib": 1.0, "disk_free_gib": 1.0}
    nvenc = {"h264": None, "hevc": None, "av1": "this GPU's NVENC has not this codec"}
    show(Diagnosis(**machine, gpus=[], driver=None, networks=None, packages={}, implementations=matrix, nvenc=nvenc))
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said if line.startswith("nvenc")] == [["nvenc", "h264,", "hevc"]]
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said]
    assert ["warp", "no GPU", "available", "-"] in lines
    assert ["paste", "-", "-", "missing package"] in lines


def test_a_summary_needs_no_faces() -> None:
    done = fastswap("train", "--summary", "-t", "gan", "--size", "64", "-b", "4", "--json")
    assert done.returncode == 0
    assert "decoder.head" in done.stdout
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["preset"], found["size"], found["batch"]) == ("gan", 64, 4)
    assert found["flops"]["iteration"] > 0


def test_training_without_faces_or_folder_is_usage(tmp_path: Path) -> None:
    done = fastswap("train", "-m", tmp_path, "--quiet")
    assert done.returncode == 2
    assert "-A FACES" in one_line(done)
    done = fastswap("train", "-A", tmp_path, "-B", tmp_path, "--quiet")
    assert done.returncode == 2
    assert "-m MODEL" in one_line(done)
