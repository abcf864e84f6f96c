"""Whisper's decoding for many windows at once: the same tokens as `whisper.decode`, in batches."""
