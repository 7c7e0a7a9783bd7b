"""Speech: transcripts that can be played, corrected and saved, and translations of texts."""
