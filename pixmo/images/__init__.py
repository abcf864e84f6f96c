"""Images: taken in from a folder, each with its fingerprint."""
