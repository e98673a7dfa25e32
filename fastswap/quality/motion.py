"""How a puppet performs: pose, expression and light over time, every track a smooth function of a seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastswap.errors import UsageError

Track = NDArray[np.float64]

YAW, PITCH, ROLL = 20.0, 10.0, 8.0  # degrees: beyond them a single photo has nothing to show on the far side
MOUTH = 0.15  # the widest gap between the lips, in heights of the face oval: a wide "ah"
BLINK_EVERY, BLINK_SECONDS = 2.0, 0.32  # people blink each 2 to 4 s, closed and open again within .3 s
LONG_BLINK_EVERY = 4  # each fourth blink holds, so that closed eyes are a share of the clip and not an accident


@dataclass(frozen=True)
class Motion:
    """One performance of F frames. Every field is float64 [F].

    yaw, pitch, roll: degrees added to the photo's own pose, with the signs of faces.head_pose (yaw > 0: turned to the
    picture's right, pitch > 0: up, roll > 0: clockwise in the picture); shift_x, shift_y: heights of the face oval;
    zoom: a factor; mouth: gap between the lips in heights of the face oval, absolute; smile: -1 (puckered) to 1
    (corners out and up); brows: -1 to 1 (up); blink: 0 (as in the photo) to 1 (closed); light_x, light_y: where the
    light stands, -1..1, to the right and below; brightness: a factor; warmth: -1 (blue) to 1 (orange).
    """

    yaw: Track
    pitch: Track
    roll: Track
    shift_x: Track
    shift_y: Track
    zoom: Track
    mouth: Track
    smile: Track
    brows: Track
    blink: Track
    light_x: Track
    light_y: Track
    brightness: Track
    warmth: Track

    def __post_init__(self) -> None:
        shapes = {np.shape(getattr(self, field.name)) for field in fields(self)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"every track of a motion is [F], got shapes {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.yaw)

    def at(self, frame: int) -> dict[str, float]:
        """The values of one frame by name."""
        return {field.name: float(getattr(self, field.name)[frame]) for field in fields(self)}

    def to_json(self) -> dict[str, Any]:
        return {name: np.round(track, 5).tolist() for name, track in asdict(self).items()}

    @staticmethod
    def from_json(content: dict[str, Any]) -> Motion:
        return Motion(**{name: np.asarray(track, np.float64) for name, track in content.items()})

    @staticmethod
    def neutral(frames: int = 1, mouth: float = 0.0) -> Motion:
        """The photo itself, `frames` times over. mouth: the photo's own gap between the lips (see Puppet.mouth)."""
        tracks = {field.name: np.zeros(frames) for field in fields(Motion)}
        tracks |= {"zoom": np.ones(frames), "brightness": np.ones(frames), "mouth": np.full(frames, mouth)}
        return Motion(**tracks)

    @staticmethod
    def performance(seed: int, frames: int, fps: float) -> Motion:
        """Somebody who talks, looks about, blinks and moves past lamps. Two seeds cover the same ranges on different
        paths. Raises UsageError for less than one frame or a rate that is not positive."""
        if frames < 1 or fps <= 0:
            raise UsageError(f"a motion needs at least one frame and a positive rate, got {frames} at {fps} fps")
        rng = np.random.default_rng(seed)
        time = np.arange(frames) / fps
        return Motion(
            yaw=YAW * _wander(rng, time, 0.28),
            pitch=PITCH * _wander(rng, time, 0.33),
            roll=ROLL * _wander(rng, time, 0.25),
            shift_x=0.10 * _wander(rng, time, 0.2),
            shift_y=0.06 * _wander(rng, time, 0.25),
            zoom=1 + 0.06 * _wander(rng, time, 0.15),
            mouth=MOUTH * _speech(rng, time),
            smile=0.8 * _wander(rng, time, 0.35),
            brows=0.9 * _wander(rng, time, 0.4),
            blink=_blinks(rng, time),
            light_x=_wander(rng, time, 0.2),
            light_y=0.6 * _wander(rng, time, 0.17),
            brightness=1 + 0.14 * _wander(rng, time, 0.13),
            warmth=_wander(rng, time, 0.11),
        )


def _wander(rng: np.random.Generator, time: Track, pace: float, waves: int = 4) -> Track:
    """A smooth walk between -1 and 1 that comes near both ends: sines about `pace` Hz, pressed through tanh so that it
    dwells at the ends as a turned head does."""
    rates = pace * rng.uniform(0.5, 1.9, waves)
    phases = rng.uniform(0, 2 * np.pi, waves)
    weights = rng.uniform(0.5, 1.0, waves)
    walk: Track = np.sin(2 * np.pi * rates * time[:, None] + phases) @ weights
    walk -= (walk.max() + walk.min()) / 2
    pressed: Track = np.tanh(1.3 * walk / max(float(np.abs(walk).max()), 1e-9)) / np.tanh(1.3)
    return np.clip(pressed, -1, 1)


def _speech(rng: np.random.Generator, time: Track) -> Track:
    """The mouth's opening in 0..1: syllables of 1 to 2 Hz under sentences that come and go; closed about a third of
    the time, wide open every few seconds."""
    syllables = 0.5 + 0.5 * _wander(rng, time, 1.1, waves=3)
    sentences = 0.5 + 0.5 * _wander(rng, time, 0.3)
    opening: Track = np.clip(1.45 * syllables * (0.35 + 0.65 * sentences) - 0.22, 0, 1)
    return opening


def _blinks(rng: np.random.Generator, time: Track) -> Track:
    closed = np.zeros_like(time)
    start, count = float(rng.uniform(0.2, BLINK_EVERY * 0.6)), 0
    while start < time[-1]:
        held = 0.5 if count % LONG_BLINK_EVERY == LONG_BLINK_EVERY - 1 else 0.0
        phase = np.clip((time - start) / BLINK_SECONDS, 0, None)
        rise = np.clip(phase * 2.5, 0, 1)
        fall = np.clip((1 + held / BLINK_SECONDS - phase) * 1.9, 0, 1)
        closed = np.maximum(closed, _ease(np.minimum(rise, fall)))
        start += held + float(rng.uniform(0.7, 1.3)) * BLINK_EVERY
        count += 1
    return closed


def _ease(value: Track) -> Track:
    eased: Track = value * value * (3 - 2 * value)
    return eased
