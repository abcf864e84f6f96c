"""pixmo: vision-language data that people spoke and pointed, from sound to checked release."""

__version__ = "0.1.0"
