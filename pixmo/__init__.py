"""pixmo: vision-language data that people spoke and pointed, from recording to validated release."""

__version__ = "0.1.0"
