"""What a record of the video bench says: limits, shares, gains, what binds, and whether the targets are met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastswap.bench.video.device import nvdec_limit
from fastswap.bench.video.trial import CAREFUL, CODEC, JUDGED, OURS, PLAIN

Record = Mapping[str, Any]
Row = Mapping[str, Any]
_NETWORKS = ("detect", "mesh")
TIMES_SWAP, TIMES_WHOLE, TIMES_LITE = 10.0, 1.8, 1.3
"""How many times the CPU time of ours a plain conversion has to take: between decoder and encoder, from file to file,
and from file to file with a network."""
EXTRACT_1080P, EXTRACT_480P = 15.0, 23.96
"""Frames a second: of 1080p on two cores; of 848x480, what Faceswap did on a V100 (2021)."""
SHARE_DECODE, SHARE_CONVERT = 0.95, 0.9
"""On a GPU: of one of its decoders, and of what binds a conversion."""


@dataclass(frozen=True)
class Verdict:
    """value and careful: the latter against the careful plain implementation, where there is one."""

    text: str
    target: str
    value: float
    passed: bool
    careful: float | None = None


def find(record: Record, verb: str, contender: str = OURS, **facts: Any) -> Row | None:
    """The first row with these facts that has figures."""
    wanted = {"verb": verb, "contender": contender, **facts}
    rows = (row for row in record["rows"] if row["reason"] is None)
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def cpu(row: Row | None) -> float | None:
    """CPU milliseconds a frame."""
    return None if row is None else float(row["cpu"]["median"])


def fps(row: Row | None) -> float | None:
    return None if row is None else float(row["fps"]["median"])


def like(record: Record, row: Row, contender: str) -> Row | None:
    """The row of another contender in the same work."""
    facts = ("size", "faces", "generator", "device")
    return find(record, row["verb"], contender, **{name: row[name] for name in facts})


def gain(record: Record, row: Row, contender: str = PLAIN) -> float | None:
    """How many times our CPU time the other one takes: below 1 it is the cheaper one."""
    other, own = cpu(like(record, row, contender)), cpu(row)
    return other / own if other and own else None


def limit(record: Record, row: Row) -> tuple[float, str] | None:
    """What the hardware lets through at most, in frames a second, and why. On a CPU that is what cannot be left out,
    codecs and networks, on all cores; on a GPU the slowest of decoder, network and encoder."""
    size, on_gpu = row["size"], row["device"] == "cuda"
    decoder, encoder = (find(record, verb, CODEC, size=size) for verb in ("decode", "encode"))
    engine = nvdec_limit(record["machine"]["gpu"], size) if on_gpu else None
    if row["verb"] in ("decode", "encode"):
        if engine:
            return engine[1], f"one of {engine[0]} NVDEC"
        alone = fps(decoder if row["verb"] == "decode" else encoder)
        return None if alone is None else (alone, "codec alone")
    network = _network(record, row)
    if decoder is None or encoder is None or network is None or row["verb"] == "swap":
        return None
    ends = [decoder] if row["verb"] == "extract" else [decoder, encoder]
    if not on_gpu:
        needed = sum(each["cpu"]["median"] for each in ends) + network
        return 1e3 * record["machine"]["cores"] / needed, "codecs and networks"
    rates = {"one NVDEC": engine[1] if engine else fps(decoder), "networks": 1e3 / network if network else None}
    rates |= {"encoder": fps(encoder)} if row["verb"] == "convert" else {}
    name, rate = min(((name, rate) for name, rate in rates.items() if rate), key=lambda each: each[1])
    return rate, name


def _network(record: Record, row: Row) -> float | None:
    """Milliseconds a frame in the networks; None where they were not measured."""
    stages = row["stages"]
    if row["verb"] == "convert":
        swap = like(record, {**row, "verb": "swap"}, row["contender"])
        stages = swap["stages"] if swap else ({} if row["faces"] == 0 else None)
    if stages is None:
        return None
    names = _NETWORKS if row["verb"] == "extract" else ("generate",)
    return float(sum(stages[name]["median"] for name in names if name in stages))


def share(record: Record, row: Row) -> float | None:
    found, own = limit(record, row), fps(row)
    return own / found[0] if found and own else None


def stages(record: Record, row: Row) -> dict[str, float]:
    """Milliseconds a frame of all that a conversion or an extraction does, from decoding on."""
    inner: dict[str, float] = {}
    of = like(record, {**row, "verb": "swap"}, row["contender"]) if row["verb"] == "convert" else row
    if of is not None:
        inner = {name: spread["median"] for name, spread in of["stages"].items()}
    coder = PLAIN if row["contender"] == CAREFUL else row["contender"]
    ends = {verb: cpu(find(record, verb, coder, size=row["size"])) for verb in ("decode", "encode")}
    found = {"decode": ends["decode"]} if ends["decode"] else {}
    found |= inner
    if row["verb"] == "convert" and ends["encode"]:
        found["encode"] = ends["encode"]
    return found


def binds(record: Record, row: Row) -> str:
    """The stage that takes the most: on a CPU all share the cores, on a GPU each has a device of its own."""
    found = stages(record, row)
    if row["device"] == "cuda":
        inner = sum(value for name, value in found.items() if name not in ("decode", "encode"))
        decoder = find(record, "decode", f"{OURS}, dali", size=row["size"]) or find(
            record, "decode", f"{OURS}, av", size=row["size"]
        )
        found = {"GPU": inner}
        found |= {"decode": 1e3 / rate} if (rate := fps(decoder)) else {}
        encoder = fps(find(record, "encode", CODEC, size=row["size"]))
        found |= {"encode": 1e3 / encoder} if encoder and row["verb"] == "convert" else {}
    return max(found, key=lambda name: found[name]) if found else "-"


def verdicts(record: Record) -> Iterator[Verdict]:
    """Of what was measured, in the order of the targets."""
    size, faces = JUDGED
    asked = (
        ("between decoder and encoder", "swap", "constant", TIMES_SWAP),
        ("from file to file", "convert", "constant", TIMES_WHOLE),
        ("from file to file, `lite`", "convert", "lite", TIMES_LITE),
    )
    for text, verb, generator, target in asked:
        row = find(record, verb, size=size, faces=faces, generator=generator, device="cpu")
        times = gain(record, row) if row else None
        if row and times:
            said = f"{size}, one face, {text}: CPU time, plain over ours"
            yield Verdict(said, f"{target:g}", times, times >= target, gain(record, row, CAREFUL))
    for size, target in (("1080p", EXTRACT_1080P), ("480p", EXTRACT_480P)):
        rate = fps(find(record, "extract", size=size, faces=1, device="cpu"))
        if rate:
            cores = record["machine"]["cores"]
            yield Verdict(f"extract {size}, one face, frames/s on {cores} cores", f"{target:g}", rate, rate >= target)
    for text, verb, contender, target in (
        ("decoded by DALI, share of one NVDEC", "decode", f"{OURS}, dali", SHARE_DECODE),
        ("converted on the GPU, share of what binds", "convert", OURS, SHARE_CONVERT),
    ):
        row = find(record, verb, contender, size="1080p", faces=1, device="cuda")
        part = share(record, row) if row else None
        if part:
            yield Verdict(f"1080p, {text}", f"{target:.0%}", part, part >= target)
