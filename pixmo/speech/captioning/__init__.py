"""Transcripts become dense captions: by the cleaner offline, or by a language model."""
