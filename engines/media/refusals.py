"""Messages about a file: why it is refused, and notes on how it was read where something was mended or left out."""

from __future__ import annotations

from pathlib import Path

from engines.errors import MediaError, Message

MAX_PIXELS = 2**28 // 3
"""Pixels of one photo: a quarter GiB as 24-bit colour, the size at which Pillow itself begins to warn."""
MAX_SCALED_PIXELS = 2**28
"""Pixels of a JPEG, which is scaled while it is read: phones take 200 megapixels. A progressive one is held as
coefficients of two bytes, at most 1.6 GB here."""
MAX_FRAME_PIXELS = 2**25 + 2**22
"""Pixels of one frame of a clip or animated picture: 8K films have 33 million."""
MAX_SECONDS = 4 * 3600
"""Length of a sound or clip."""
MIN_SOUND_S = 0.1
"""Length of a sound about which something can be said: five tokens of the sound tower."""
MAX_TRACKS = 32
"""Tracks in one file; real ones have a handful."""

_PLAYLIST_HEADS = (b"#extm3u", b"ffconcat", b"[playlist]", b"[reference]", b"<asx", b"<smil", b"<mpd", b"<playlist")
_PLAYLIST_SUFFIXES = (".asx", ".cue", ".ffconcat", ".m3u", ".m3u8", ".mpd", ".pls", ".smil", ".wpl", ".xspf")

SENTENCES = {
    "missing": "There is no file {name}; check the path or choose it again.",
    "folder": "{name} is not a file; choose a photo, sound or clip.",
    "forbidden": "{name} may not be read; allow reading it or copy it elsewhere, then choose it again.",
    "empty": "{name} is empty (0 bytes); record or download it again.",
    "playlist": "{name} is a playlist, which only points at other files; choose one of those files itself.",
    "jxl": "{name} is a JPEG XL picture; save it as JPEG, or run `python -m pip install pillow-jxl-plugin` in the "
    "studio's environment and start again.",
    "unknown": "{name} is not a photo, sound or clip, or it is damaged or cut short; JPEG, PNG, MP3 and MP4 are "
    "safe choices.",
    "damaged": "{name} is damaged or cut short and cannot be read; export or download it again.",
    "cut_short": "{name} is cut short and cannot be read without its end; export or download it again.",
    "no_sound": "{name} has no sound track; choose a sound, or a clip with sound.",
    "no_picture": "{name} is a sound without moving pictures; choose a clip.",
    "not_a_photo": "{name} is not a photo but a sound or clip; choose a photo.",
    "not_moving": "{name} is a photo, which neither moves nor sounds; choose a sound or clip.",
    "too_many_pixels": "{name} is larger than {megapixels} megapixels; make it smaller first.",
    "too_many_frame_pixels": "{name} moves and is larger than {megapixels} megapixels; make it smaller first.",
    "too_slow": "{name} takes too long to decode for its size and was given up; save it anew in a usual format.",
    "took_too_long": "{name} took too long to read and was given up; try again, or copy it to another disk first.",
    "too_much_memory": "{name} takes too much memory to decode and was given up; make it smaller first.",
    "too_long": "{name} is longer than {hours} hours; cut it into parts first.",
    "too_many_tracks": "{name} holds more than {tracks} tracks; export it with one picture and one sound track.",
    "no_such_track": "{name} has {n_tracks} sound tracks; choose one of them.",
    "too_short": "{name} is shorter than {shortest_s} seconds, too short to say what it is; choose a longer sound.",
    "no_text": "{name} holds no text; choose a text file that does.",
    "words_unread": "The words in {name} could not be read; if it is so with every picture, install rapidocr again.",
    "past_the_end": "{name} ends before {start_s:.1f} seconds; choose an earlier time.",
}

NOTES = {
    "cut_short": "The file is cut short; this is what is there of it.",
    "only_beginning": "Decoding the file takes long, so only its beginning was looked at.",
    "stretched": "The picture uses a small part of its range of brightness and was stretched to all of it.",
    "dark_ground": "The picture is bright on transparency and was laid on a dark ground.",
    "very_quiet": "The sound is very quiet and was made louder.",
    "other_tracks": "Sound track {number} of {n_tracks} ({languages}) was heard; another can be chosen by its number.",
}


def refusal(why: str, path: Path, *, start_s: float = 0.0, n_pixels: int = MAX_PIXELS, n_tracks: int = 0) -> MediaError:
    """The error for one of the reasons above, naming the file without its folder. n_pixels: how many would be read."""
    values = {
        "name": path.absolute().name,
        "megapixels": n_pixels // 10**6,
        "hours": MAX_SECONDS // 3600,
        "shortest_s": MIN_SOUND_S,
        "n_tracks": n_tracks,
        "tracks": MAX_TRACKS,
    }
    return MediaError(f"media_{why}", SENTENCES[why], **values, start_s=start_s)


def is_playlist(first: bytes, suffix: str) -> bool:
    """Whether a file that begins like this, under a name that ends like this, is a list of other files."""
    text = first.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml"):
        return any(mark in text for mark in _PLAYLIST_HEADS)
    # a list without a head is told by its suffix, as long as it is text
    return text.startswith(_PLAYLIST_HEADS) or (suffix.lower() in _PLAYLIST_SUFFIXES and b"\0" not in text)


def note(key: str, **values: object) -> Message:
    """One of the notes above."""
    return Message(f"note.{key}", NOTES[key], **values)
