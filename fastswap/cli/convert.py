"""`fastswap convert`: its flags, named after Faceswap's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastswap.cli.verb import Device, Input, Jobs, Output, Ray, Verb

_Model = Annotated[Path, tyro.conf.arg(aliases=["-m"], metavar="MODEL")]
Colour = Annotated[Literal["none", "reinhard", "covariance", "histogram"], tyro.conf.arg(aliases=["-c"])]


@dataclass(kw_only=True)
class Convert(Verb):
    """Replace the faces of A in a video by B's, with a trained model."""

    input: Input
    """A's video, a picture, a folder of pictures, or a folder of videos (each is converted)."""
    model: _Model
    """The model's folder."""
    output: Output
    """The swapped video (for pictures: a picture or a folder)."""
    faces: Path | None = None
    """The face set of this very input (default: the one the model was trained on if it is, else the faces are
    found)."""
    person: int | None = None
    """Who of the input is replaced (default: the one trained on, or the most frequent)."""
    frames: str | None = None
    """Swap these frames only, counted from 0, as in 10-200,300-; all others stay as they are (default: all)."""
    colour: Colour = "covariance"
    """How the swap takes A's colours."""
    mask: Literal["predicted", "mesh", "both", "file"] = "predicted"
    """What of the aligned face is replaced: what the network predicts, the mesh's oval, where both say face, or the
    face set's own NNNNNN_K.mask.png (the mesh's oval for a face without one)."""
    erode: tuple[float, ...] = (0.0,)
    """Shrink the mask, as a share of the aligned square (negative: grow); four numbers: top, right, bottom, left."""
    feather: tuple[float, ...] = (0.09,)
    """Width of the mask's soft edge, as a share of the aligned square; four numbers: top, right, bottom, left."""
    blend: Literal["none", "pyramid", "poisson"] = "none"
    """How the face is joined to what is round it: faded in, at every scale, or by its gradients."""
    sharpen: Literal["none", "unsharp", "box", "gaussian"] = "none"
    """Sharpen the swap; unsharp leaves grain alone."""
    face_scale: float = 1.0
    """Draw the face this much larger than A's, about its middle."""
    opacity: float = 1.0
    """How much of the swap shows: 0 leaves A."""
    occlusion: bool = True
    """Leave what is in front of the face, such as a hand, as it is."""
    swap_sides: bool = False
    """Use the model the other way round: the input shows B and gets the face of A."""
    mask_output: Path | None = None
    """Write what was pasted too, white on black: a video (for pictures: a picture or a folder)."""
    still: int | None = None
    """Write this one frame of the video only, as a picture (from 0)."""
    smooth: bool = True
    """Smooth the face's place over time, so that a still head does not tremble."""
    decoder: Literal["auto", "dali", "av"] = "auto"
    """Who decodes: the GPU's own unit through DALI, or the CPU (default: the GPU what it decodes just as the CPU)."""
    codec: str = "auto"
    """Video codec of the output (default: what the container usually holds)."""
    encoder: Literal["auto", "nvenc", "cpu"] = "auto"
    """Who encodes: the GPU's NVENC (A100, H100, H200 and B200 have none) or the CPU (default: NVENC where it is)."""
    quality: int | None = None
    """The codec's constant rate factor: lower is better and larger, 0 is lossless."""
    pictures: Literal["png", "jpg"] = "png"
    """What the pictures are where the output is a folder and the input a video."""
    impl: Literal["auto", "triton", "cupy", "numba", "reference"] = "auto"
    """Implementation of the operations."""
    device: Device = "auto"
    """Where the model runs."""
    ray: Ray = None
    """Work on a Ray cluster: host:port of its head node, auto, or local to start one here (docs/cluster.md)."""
    jobs: Jobs = None
    """Work in N processes (with --ray: on N parts at once)."""

    def run(self) -> Any:
        from fastswap.cluster import convert
        from fastswap.conversion import ConvertSettings

        settings = ConvertSettings(
            self.input,
            self.model,
            self.output,
            faces=self.faces,
            person=self.person,
            frames=self.frames,
            colour=self.colour,
            mask=self.mask,
            erode=self.erode,
            feather=self.feather,
            blend=self.blend,
            sharpen=self.sharpen,
            face_scale=self.face_scale,
            opacity=self.opacity,
            occlusion=self.occlusion,
            swap_sides=self.swap_sides,
            mask_output=self.mask_output,
            still=self.still,
            smooth=self.smooth,
            device=self.device,
            impl=self.impl,
            decoder=self.decoder,
            codec=self.codec,
            encoder=self.encoder,
            quality=self.quality,
            pictures=self.pictures,
        )
        return convert(settings, ray=self.ray, jobs=self.jobs, quiet=self.quiet)
