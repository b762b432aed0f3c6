"""A thread pool makes thumbnails of uploaded pictures, while another thread sweeps the cache, badly."""

import random
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sentry_sdk

from sandbox.programs._report import launch

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE = 16
SMALL = 4


@dataclass(frozen=True)
class Upload:
    number: int
    user: int
    data: bytes


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def picture(rng: random.Random) -> bytes:
    """A small grey PNG, as https://www.w3.org/TR/png/ lays it out."""
    rows = b"".join(b"\0" + rng.randbytes(SIDE) for _ in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def uploads(rng: random.Random) -> list[Upload]:
    """Pictures as they arrive over bad lines: some end too early, some have a byte changed on the way."""
    whole = [picture(rng) for _ in range(6)]
    short = [picture(rng)[: rng.randint(17, 23)] for _ in range(rng.randint(3, 4))]
    damaged = [bytearray(picture(rng)) for _ in range(rng.randint(3, 4))]
    for data in damaged:
        data[rng.randint(60, 250)] ^= 1 << rng.randint(0, 7)
    files = [*whole, *short, *(bytes(data) for data in damaged)]
    rng.shuffle(files)
    return [Upload(number, rng.randint(1, 9), data) for number, data in enumerate(files, start=1)]


def size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def pixels(data: bytes, width: int) -> list[bytes]:
    length = int.from_bytes(data[33:37], "big")
    rows = zlib.decompress(data[41 : 41 + length])
    return [rows[start + 1 : start + 1 + width] for start in range(0, len(rows), width + 1)]


def thumbnail(data: bytes) -> list[bytes]:
    width, height = size(data)
    return [row[:: width // SMALL] for row in pixels(data, width)[:: height // SMALL]]


def work(upload: Upload, cache: dict[int, list[bytes]]) -> None:
    # The SDK gives every job of a pool its own scope: what is set here stays here.
    sentry_sdk.set_user({"id": str(upload.user), "email": f"user{upload.user}@example.com"})
    sentry_sdk.set_tag("picture.bytes", "few" if len(upload.data) < 64 else "many")
    sentry_sdk.add_breadcrumb(
        category="upload", message=f"picture {upload.number}", data={"bytes": len(upload.data)}
    )
    try:
        cache[upload.number] = thumbnail(upload.data)
    except (struct.error, zlib.error) as error:
        sentry_sdk.capture_exception(error)


def sweep(cache: dict[int, list[bytes]]) -> None:
    """Forget every thumbnail, in the way that a dictionary does not like."""
    for number in cache:
        del cache[number]


def run(rng: random.Random) -> None:
    sentry_sdk.set_tag("thumbnail.size", f"{SMALL}x{SMALL}")
    cache: dict[int, list[bytes]] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        jobs = [pool.submit(work, upload, cache) for upload in uploads(rng)]
    for job in jobs:
        job.result()

    # Nobody handles what the sweeper raises: the SDK's threading integration reports it on its own.
    threading.excepthook = lambda _: None
    sweeper = threading.Thread(target=sweep, args=(cache,), name="sweeper")
    sweeper.start()
    sweeper.join()


if __name__ == "__main__":
    launch("sandbox.programs.thumbnails")
