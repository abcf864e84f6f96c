"""Label Studio: exports taken in, kept whole, and parsed strictly into rows."""
