"""CPU time a picture of `cxr-data convert` and of Python for the same files, taken in turns.

    cargo build --release -p cxr-data
    python data-tools/benches/peers.py target/release/cxr-data WORK_FOLDER     # needs numpy, Pillow, pydicom

Python decodes and scales to 256 x 256 and writes nothing. cxr-data's start, shards and dataset.json count.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

PICTURES, REPEATS, TURNS, SIDE = 24, 8, 4, 1024


def chest(random):
    """A bright middle, two dark lungs, noise of 2 grey levels."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    lung = lambda c: np.exp(-(((x - c) / 0.14) ** 2) - ((y - 0.5) / 0.3) ** 2)
    body = 60 + 100 * np.exp(-((x - 0.5) ** 2) / 0.05) + 50 * y - 80 * (lung(0.3) + lung(0.7))
    return np.clip(body + random.normal(size=body.shape) * 2, 0, 255).astype(np.uint8)


def write_dicom(path, pixels):
    """Uncompressed, 12 bits of 16, with a window."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Rows = data.Columns = SIDE
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = "2000", "3000"
    data.PixelData = (pixels.astype(np.uint16) * 16).tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)


def make(work):
    random = np.random.default_rng(0)
    for i in range(PICTURES):
        pixels = chest(random)
        for kind in ("png", "jpg", "dcm"):
            (work / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(work / "png" / f"{i:02}.png")
        Image.fromarray(pixels).save(work / "jpg" / f"{i:02}.jpg", quality=92)
        write_dicom(work / "dcm" / f"{i:02}.dcm", pixels)


def python(kind, files):
    """CPU milliseconds a picture."""
    start = time.process_time()
    for file in files:
        if kind == "dcm":
            data = pydicom.dcmread(file)
            shown = apply_voi_lut(data.pixel_array, data) / 4095 * 255 + 0.5
            image = Image.fromarray(shown.astype(np.uint8))
        else:
            image = Image.open(file).convert("L")
        np.asarray(image.resize((256, 256), Image.BOX))
    return (time.process_time() - start) / len(files) * 1e3


def ours(program, work, kind, files):
    """CPU milliseconds a picture."""
    table, out = work / f"{kind}.csv", work / f"out-{kind}"
    rows = [f"{r}-{f.name},{f.relative_to(work)}" for r in range(REPEATS) for f in files]
    table.write_text("id,image\n" + "\n".join(rows) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [program, "convert", "manifest", "--manifest", table, "--out", out, "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used / len(rows) * 1e3


def main():
    program, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    make(work)
    for kind in ("png", "jpg", "dcm"):
        files = sorted((work / kind).iterdir())
        python(kind, files)
        turns = [(python(kind, files), ours(program, work, kind, files)) for _ in range(TURNS)]
        theirs, mine = (statistics.median(t) for t in zip(*turns))
        ratio = statistics.median(t / m for t, m in turns)
        rates = f"cxr-data {1000 / mine:.0f}, Python {1000 / theirs:.0f} images/s a core"
        print(f"{kind}: {files[0].stat().st_size >> 10} KiB, {rates}, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
