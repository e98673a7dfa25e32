"""What takes part in a study: a preset as it is, or one with some of its numbers changed to see what they do."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.errors import InputError, UsageError
from fastswap.models import Preset, find_preset
from fastswap.models.strict_json import parse


@dataclass(frozen=True)
class Entry:
    """label: how tables and plots call it, "lite-96" or "lite-96 generator.dense=384"."""

    label: str
    preset: Preset

    @property
    def key(self) -> str:
        """A name for files: another preset never has the same one."""
        return f"{re.sub(r'[^A-Za-z0-9.=-]+', '_', self.label)[:80]}.{fingerprint(dataclasses.asdict(self.preset))}"


def entries(presets: Sequence[str], changes: Sequence[str] = (), variants: Path | None = None) -> list[Entry]:
    """presets: "name" or "name:size"; changes: "objective.adversarial=0.05", applied to each of them; variants: a JSON
    file {"label": {"base": "name:size", "set": {"generator.dense": 384}}}, which come after them.

    Raises UsageError for a preset, field or value that does not exist, InputError for a file that is not like that."""
    named = [_changed(_base(name), "", dict(map(_change, changes))) for name in presets]
    if variants is not None:
        named += [_changed(_base(base), label, changed) for label, base, changed in _variants(variants)]
    labels = [entry.label for entry in named]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice or not named:
        raise UsageError(f"each preset takes part once, got {', '.join(labels) or 'none'}")
    return named


def fingerprint(content: Any) -> str:
    """Eight hex digits of plain JSON values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _base(name: str) -> Preset:
    name, colon, size = name.partition(":")
    if colon and not size.isdecimal():
        raise UsageError(f"'{name}:{size}': a size in pixels goes behind the colon")
    return find_preset(name, int(size) if colon else None)


def _change(text: str) -> tuple[str, Any]:
    """ "path=value": a value that is not JSON is the text itself."""
    path, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: write it as field=value, such as objective.adversarial=0.05")
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


def _changed(preset: Preset, label: str, changes: Mapping[str, Any]) -> Entry:
    content = json.loads(json.dumps(dataclasses.asdict(preset)))
    for path, value in changes.items():
        *outer, last = path.split(".")
        place: Any = content
        for name in outer:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise UsageError(f"--set {path}: a preset has no such field")
        place[last] = value
    try:
        made = parse(Preset, content)
    except ValueError as error:
        raise UsageError(f"--set {', '.join(changes)}: {error}") from error
    said = [f"{path}={json.dumps(value, separators=(',', ':'))}" for path, value in changes.items()]
    return Entry(label or " ".join([f"{preset.name}-{preset.size_out}", *said]), made)


def _variants(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [(str(label), str(each["base"]), dict(each.get("set", {}))) for label, each in content.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path} is not like {{"label": {{"base": "gan:64", "set": {{...}}}}}}: {error}') from error
