"""Colours of other kinds become those of a plain screen, and plain ones stay as they are, bit by bit.

The right values are those of the pictures that the videos were made from, by the formulas of the standards
(`tests.made.colours`). An independent player agrees: of ../shared/cases/hdr_pq.mp4, FFmpeg 5.1.9 with zimg
(`zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,zscale=t=iec61966-2-1:m=gbr:r=pc`) gives the corners
(200, 29, 30), (28, 200, 31), (30, 30, 199), (198, 200, 29), dark bars of 16 and bright ones of 235, or of 230 with
`tonemap=mobius:param=0.7:peak=49.261:desat=0` before the last step; here they are (200, 29, 30), (26, 200, 30),
(28, 30, 199), (198, 200, 31), 16 and 230.
"""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from staa_video import decode
from staa_video.picture import Scaler
from staa_video.picture.colour import KNEE, PEAK_NITS, WHITE_NITS, conversion, luma, tone_mapped, xyz
from tests.made import awkward, colours
from tests.made.awkward import CORNERS, SHARED
from tests.made.colours import BT709, FULL, HLG, LIMITED, P3, PQ, SRGB, Colours
from tests.made.videos import Image

X265 = {"x265-params": "log-level=none:crf=4:keyint=10:bframes=0"}
X264 = {"crf": "1"}
VP9 = {"lossless": "1"}  # this build of FFmpeg writes it in 8 bits alone
AV1 = {"crf": "10", "preset": "12", "svtav1-params": "lp=1"}
META = {
    "x265-params": "log-level=none:crf=4:bframes=0:hdr10=1:max-cll=4000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
}
HDR = {
    "PQ of HEVC": Colours(PQ, options=X265),
    "PQ of HEVC in 12 bits": Colours(PQ, pixels="yuv420p12le", options=X265),
    "PQ of HEVC in full range": Colours(
        PQ, range=FULL, options=X265 | {"x265-params": "log-level=none:crf=4:bframes=0:range=full"}
    ),
    "PQ that a box of MP4 names": Colours(PQ, options=X265, boxed=True),
    "PQ in full range that a box of MP4 names": Colours(PQ, range=FULL, options=X265, boxed=True),
    "PQ with its brightest light": Colours(PQ, options=META),
    "PQ of H.264": Colours(PQ, codec="libx264", options=X264),
    "PQ of H.264 in 8 bits": Colours(PQ, codec="libx264", pixels="yuv420p", options=X264),
    "PQ of H.264 in 8 bits and full range": Colours(PQ, range=FULL, codec="libx264", pixels="yuv420p", options=X264),
    "PQ of VP9 in 8 bits": Colours(PQ, codec="libvpx-vp9", container="webm", pixels="yuv420p", options=VP9),
    "PQ of AV1": Colours(PQ, codec="libsvtav1", options=AV1),
    "PQ of BT.709": Colours(PQ, 1, 1, options=X265),
    "PQ of P3": Colours(PQ, P3, options=X265),
    "HLG of HEVC": Colours(HLG, options=X265),
    "HLG of HEVC in full range": Colours(
        HLG, range=FULL, options={"x265-params": "log-level=none:crf=4:bframes=0:range=full"}
    ),
    "HLG of H.264 in 8 bits": Colours(HLG, codec="libx264", pixels="yuv420p", options=X264),
    "HLG of VP9 in Matroska": Colours(HLG, codec="libvpx-vp9", container="matroska", pixels="yuv420p", options=VP9),
    "HLG of AV1": Colours(HLG, codec="libsvtav1", options=AV1),
    "ICtCp of PQ": Colours(PQ, matrix=14, pixels="yuv444p10le", options=X265),
    "ICtCp of HLG": Colours(HLG, matrix=14, options=X265),
}


def corners(image: Image) -> Image:
    """Return (2, 2, 3), the colours in the middle of the corners."""
    height, width = image.shape[:2]
    return image[np.ix_([height // 8, -height // 8], [width // 8, -width // 8])]


def check(image: Image, number: int, off: int, bright: tuple[int, int] = (220, 240)) -> None:
    """Check the corners, `off` levels at most, and the bars of a picture."""
    assert np.abs(corners(image).astype(int) - CORNERS).max() <= off, corners(image).tolist()
    assert awkward.number(image) == number
    height, width = image.shape[:2]
    bars = [float(image[height // 2, (2 * bar + 1) * width // 20].mean()) for bar in range(10)]
    assert all(bright[0] <= bar <= bright[1] or 10 <= bar <= 22 for bar in bars), bars


@pytest.mark.parametrize("kind", HDR)
def test_hdr_becomes_what_it_was_made_from(kind: str) -> None:
    """In every codec, depth and range, with metadata of light or without: the pictures, and a note."""
    chosen = HDR[kind]
    if chosen.codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {chosen.codec}")
    clip = decode(colours.film(awkward.pictures(3, 341), chosen), 3)
    for image, number in zip(clip.frames, (341, 342, 343), strict=True):
        check(image, number, 24 if chosen.pixels == "yuv420p" else 12)  # a step of 8 bits is that large
    assert clip.notes == (f"HDR ({'PQ' if chosen.transfer == PQ else 'HLG'}) tone-mapped to SDR",)


@pytest.mark.parametrize("name", ["hdr_pq.mp4", "hdr_hlg.mp4"])
def test_files_of_others(name: str) -> None:
    """HDR that another program wrote becomes what that program made it from."""
    if not (SHARED / name).exists():
        pytest.skip("../shared/cases is not beside this checkout")
    clip = decode(SHARED / name, 4)
    for image, number in zip(clip.frames, clip.indices.tolist(), strict=True):
        check(image, number, 10)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_is_never_darker(transfer: int) -> None:
    """Light above the white stays brighter than it, up to the top, and red stays red."""
    grey, red = np.full((48, 64, 3), 255, np.uint8), np.tile(np.array([255, 60, 60], np.uint8), (48, 64, 1))
    levels = [
        Scaler()(colours.frame_of(grey, Colours(transfer), by), None)[20, 20].astype(int)
        for by in (0.1, 0.5, 1, 1.5, 2, 3, 4.9)
    ]
    assert all(np.ptp(level) <= 2 for level in levels)
    assert (np.diff([level.mean() for level in levels]) > 0).all()
    assert 225 <= levels[2].mean() <= 240
    for by in (0.5, 1, 2, 4):
        r, g, b = Scaler()(colours.frame_of(red, Colours(transfer), by), None)[20, 20].astype(int)
        assert r > max(g, b) + 5


def test_the_curve_is_that_of_ffmpeg() -> None:
    """Tone mapping is `tonemap=mobius` of FFmpeg, run here by libavfilter on the same light."""
    for transfer in (PQ, HLG):
        peak = PEAK_NITS[transfer] / WHITE_NITS
        light = np.repeat(
            np.random.default_rng(0).random((16, 64, 1)) ** 3 * peak, 3, -1
        )  # its colours follow the first
        frame = av.VideoFrame(64, 16, "gbrpf32le")
        for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):  # green, blue, red
            plane.update(np.ascontiguousarray(light[..., channel], np.float32).tobytes())
        frame.color_trc, frame.color_primaries, frame.colorspace = 8, 1, 0
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        graph = Graph()
        first = graph.add_buffer(width=64, height=16, format=frame.format, time_base=frame.time_base)
        curve = graph.add("tonemap", f"mobius:param={KNEE}:peak={peak}:desat=0")
        last = graph.add("buffersink")
        first.link_to(curve)
        curve.link_to(last)
        graph.configure()
        first.push(frame)
        mapped = last.pull()
        assert isinstance(mapped, av.VideoFrame)
        planes = [np.frombuffer(bytes(plane), np.float32).reshape(16, -1)[:, :64] for plane in mapped.planes]
        np.testing.assert_allclose(tone_mapped(light, peak), np.stack([planes[2], *planes[:2]], -1), atol=2e-5)


WIDE = {
    "BT.2020": Colours(14, codec="libx264", options=X264),
    "BT.2020 in full range": Colours(14, range=FULL, codec="libx264", options=X264),
    "BT.2020 of an unnamed transfer": Colours(2, codec="libx264", options=X264),
    "Display P3": Colours(BT709, P3, 1, codec="libx264", pixels="yuv420p", options=X264),
    "Display P3 with the curve of sRGB": Colours(SRGB, P3, 1, codec="libx264", pixels="yuv420p", options=X264),
    "Display P3 with a matrix of its own": Colours(SRGB, P3, 12, options=X265),
}


@pytest.mark.parametrize("kind", WIDE)
def test_wide_gamut_becomes_that_of_a_screen(kind: str) -> None:
    """Pictures of wide gamut have the colours that they were made from, their greys stay as they are stored."""
    chosen = WIDE[kind]
    image = decode(colours.film(awkward.pictures(3, 341), chosen), 3).frames[1]
    if chosen.transfer == SRGB:
        check(image, 342, 8, (230, 240))
    else:  # stored with another curve, as a screen shows it
        plain = colours.light(awkward.picture(342)) ** (1 / 2.4) * 255
        assert np.abs(corners(image) - corners(np.rint(plain).astype(np.uint8)).astype(int)).max() <= 14
    clip = decode(colours.film(awkward.pictures(3, 341), chosen), 3)
    assert clip.notes == (
        f"colours of {kind.partition(' of')[0].partition(' in')[0].partition(' with')[0]} converted to BT.709",
    )


@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p", "yuv420p10le"])
def test_ycgco_is_known(pixels: str, range_: int) -> None:
    """The matrix that FFmpeg does not apply is applied here, in both ranges, without a note."""
    frame = colours.frame_of(awkward.picture(341), Colours(SRGB, 1, 8, range_, pixels))
    scaler = Scaler()
    check(scaler(frame, None), 341, 5, (233, 237))
    assert scaler.notes == ()


@pytest.mark.parametrize(
    ("matrix", "primaries", "transfer"),
    [*itertools.product((0, 1, 2, 4, 5, 6, 7), (1, 2, 4, 5, 6, 7), (1, 2, 6, 7, 13, 15)), (9, 2, 2), (9, 1, 14)],
)
def test_what_is_plain_stays_as_it_is(matrix: int, primaries: int, transfer: int) -> None:
    """What FFmpeg converts by itself has the very bits that it gives, and no note."""
    for pixels, range_ in itertools.product(("yuv420p", "yuv420p10le", "yuyv422", "gbrp", "gray"), (0, 1, 2)):
        frame = av.VideoFrame.from_ndarray(awkward.picture(341, 48, 64), "rgb24").reformat(format=pixels)
        frame.colorspace, frame.color_primaries, frame.color_trc = matrix, primaries, transfer
        frame.color_range = range_
        plain = VideoReformatter().reformat(
            frame, 64, 48, "rgb24", dst_color_range="JPEG", interpolation="BILINEAR", threads=1
        )
        scaler = Scaler()
        np.testing.assert_array_equal(scaler(frame, None), plain.to_ndarray())
        assert scaler.notes == ()
        assert conversion(frame).table is None


@pytest.mark.parametrize("range_", [LIMITED, FULL])
def test_a_box_names_matrix_and_range(range_: int) -> None:
    """Of SDR, too, the picture is that of frames that name them."""
    kind = Colours(SRGB, BT709, 1, range_, "yuv420p", options=X265, boxed=True)
    (image,) = decode(colours.film([awkward.picture(341)], kind), 1).frames
    check(image, 341, 4, (232, 238))


def test_primaries_are_those_of_the_standards() -> None:
    """The sums from chromaticities give the matrices that the standards print."""
    to_bt709 = np.linalg.inv(xyz(1))
    np.testing.assert_allclose(np.linalg.inv(to_bt709 @ xyz(9)), colours.TO_BT2020, atol=2e-4)
    np.testing.assert_allclose(np.linalg.inv(to_bt709 @ xyz(12)), colours.TO_P3, atol=2e-4)
    np.testing.assert_allclose(luma(1), colours.LUMA[1], atol=1e-4)
    np.testing.assert_allclose(luma(9), colours.LUMA[9], atol=1e-4)
    np.testing.assert_allclose(to_bt709 @ xyz(11) @ np.ones(3), np.ones(3), atol=1e-3)  # white stays white


def test_hdr_is_faster_where_it_may_be_smaller() -> None:
    """A picture of 4K may be halved before its colours are converted, and shows the same; a plain one never is."""
    large = colours.frame_of(awkward.picture(341, 2160, 3840), Colours(PQ))
    scaler = Scaler(smaller=True)
    image = scaler(large, None)
    assert (image.shape, scaler.source) == ((1080, 1920, 3), (3840, 2160))
    check(image, 341, 14)
    plain = av.VideoFrame.from_ndarray(awkward.picture(341, 2160, 3840), "rgb24").reformat(format="yuv420p")
    assert Scaler(smaller=True)(plain, None).shape == (2160, 3840, 3)
