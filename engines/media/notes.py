"""What a person should know about how a file was read: things that were mended or left out on the way."""

from __future__ import annotations

from engines.errors import Message

SENTENCES = {
    "cut_short": "The file is cut short; this is what is there of it.",
    "only_beginning": "Decoding the file takes long, so only its beginning was looked at.",
    "stretched": "The picture uses a small part of its range of brightness and was stretched to all of it.",
    "dark_ground": "The picture is bright on transparency and was laid on a dark ground.",
    "very_quiet": "The sound is very quiet and was made louder.",
    "other_tracks": "Sound track {number} of {n_tracks} ({languages}) was heard; another can be chosen by its number.",
}


def note(key: str, **values: object) -> Message:
    """One of the notes above."""
    return Message(f"note.{key}", SENTENCES[key], **values)
